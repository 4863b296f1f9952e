"""Run time and memory of a step over its input size: what a bigger or smaller input will cost.

The runs at hand often process smaller inputs than those to come, and neither quantity is a straight line over the whole
range: start-up dominates small inputs, memory saturates or jumps when a tool changes its method. So the prediction is a
line through the runs with the nearest inputs only (local regression, Cleveland 1979). The line never falls as inputs grow,
and it goes on straight beyond the largest one. Run time is close to linear and noisy, hence a wide neighbourhood with equal
weights; memory bends and is less noisy, hence a narrow one with weights that fade with distance.

Where runs of the same size differ by a third and more, a few neighbours say little. Within the inputs seen the line then
competes with a power of the input fitted to all runs and with their median, each alone or half and half with another, by
how well they predict runs they did not see. Noise that multiplies is judged on logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Of all runs: level and exponent of a power of the input, median, least value, on logarithms; and the least positive input.
Whole = tuple[float, float, float, float, float]

RUNTIME_SPAN = 0.4
MEMORY_SPAN = 0.25
# A line and an idea of its noise need four points.
FEWEST_NEIGHBOURS = 4
FEWEST_RUNS = 3
# Mean error on logarithms of runs left out, from which on the line has to compete, and what a rival has to save of it.
NOISY = 0.3
WORTH = 0.05
FEWEST_TO_CHOOSE = 6
# So many runs, spread over the inputs, are left out to compare.
MOST_LEFT_OUT = 24
# Shares of line, power and median that compete, the line alone first.
MIXES = np.array([(1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
STEEPEST = 1.5
# One-sided normal quantile of 1%: when a rank correlation counts as an explanation.
EXPLAINED_Z = 2.326
# Values beyond this are no seconds and no bytes; the cut keeps sums of squares finite.
LARGEST = 1e30


@dataclass(frozen=True, slots=True)
class InputRelation:
    """Seconds or bytes (``values``) over input bytes (``inputs``, ascending), with the share of runs that vote on a query.

    ``fading``: neighbours count less with distance (tricube weights). ``enough``: False when fewer than three usable runs
    exist; a prediction is then their median, or NaN without any. ``explained``: larger inputs go with larger values, by rank
    correlation at 1%. ``reason``: what the model is, or what is missing.
    """

    inputs: tuple[float, ...]
    values: tuple[float, ...]
    span: float
    fading: bool
    enough: bool
    explained: bool
    reason: str

    @property
    def count(self) -> int:
        """Usable runs."""
        return len(self.values)

    @property
    def largest_input(self) -> float | None:
        """The largest input seen, bytes: predictions beyond it are extrapolations."""
        return self.inputs[-1] if self.inputs else None

    def predict(self, inputs: Sequence[float] | Floats) -> Floats:
        """Expected value per input (bytes), same shape; for an input that is not finite the median of all runs."""
        queries = np.asarray(inputs, dtype=np.float64)
        out = np.full(queries.shape, float(np.median(self.values)) if self.values else math.nan)
        if self.enough:
            x, y = np.array(self.inputs), np.array(self.values)
            mix, whole = self._mix(x, y), _power_and_median(x, y)
            edge = self._mixed(float(x[-1]), x, y, mix, whole)
            flat = out.reshape(-1)
            for i, query in enumerate(queries.reshape(-1)):
                if math.isfinite(query):
                    held = min(max(float(query), 0.0), LARGEST)
                    # Beyond the inputs seen only a line is carried on, from where the mixture ends.
                    beyond = held > x[-1]
                    flat[i] = max(edge, self._at(held, x, y)) if beyond else self._mixed(held, x, y, mix, whole)
        return out

    def _mixed(self, query: float, x: Floats, y: Floats, mix: Floats, whole: Whole) -> float:
        line = self._at(query, x, y)
        return line if mix[0] == 1.0 else math.exp(float(mix @ _logs(line, query, whole)))

    def _mix(self, x: Floats, y: Floats) -> Floats:
        """Shares of line, power and median that predict runs left out best."""
        if x.size < FEWEST_TO_CHOOSE or x[0] == x[-1]:
            return np.asarray(MIXES[0])
        places = np.unique(np.linspace(0, x.size - 1, min(x.size, MOST_LEFT_OUT)).astype(int))
        off = np.empty((places.size, 3))
        for row, i in enumerate(places):
            rest_x, rest_y = np.delete(x, i), np.delete(y, i)
            line = self._at(float(x[i]), rest_x, rest_y)
            off[row] = _logs(line, float(x[i]), _power_and_median(rest_x, rest_y)) - math.log(y[i])
        errors = np.abs(off @ MIXES.T).mean(axis=0)
        best = int(np.argmin(errors))
        return np.asarray(MIXES[best if errors[0] > NOISY and errors[best] < (1.0 - WORTH) * errors[0] else 0])

    def _at(self, query: float, x: Floats, y: Floats) -> float:
        neighbours = min(x.size, max(FEWEST_NEIGHBOURS, round(self.span * x.size)))
        # Beyond the inputs seen all neighbours lie on one side; distance then counts from the edge.
        distance = np.abs(x - min(max(query, float(x[0])), float(x[-1])))
        reach = float(np.partition(distance, neighbours - 1)[neighbours - 1])
        near = distance <= reach  # ties included, or the order of equal inputs would decide
        weights = np.ones(int(near.sum()))
        if self.fading and reach > 0.0:
            weights = (1.0 - (distance[near] / (reach * 1.01)) ** 3) ** 3
        return max(_line_at(x[near], y[near], weights, query), float(y.min()))


def fit_runtime(inputs: Sequence[float] | Floats, seconds: Sequence[float] | Floats) -> InputRelation:
    """Run time (s) over input size (bytes), one pair per execution. Never raises."""
    return _fit(inputs, seconds, RUNTIME_SPAN, fading=False)


def fit_memory(inputs: Sequence[float] | Floats, peaks: Sequence[float] | Floats) -> InputRelation:
    """Peak memory (bytes) over input size (bytes), one pair per execution. Never raises."""
    return _fit(inputs, peaks, MEMORY_SPAN, fading=True)


def _fit(
    inputs: Sequence[float] | Floats, values: Sequence[float] | Floats, span: float, fading: bool
) -> InputRelation:
    x = np.asarray(inputs, dtype=np.float64).ravel()
    y = np.asarray(values, dtype=np.float64).ravel()
    if x.size != y.size:
        return InputRelation((), (), span, fading, False, False, "inputs and values differ in number")
    good = np.isfinite(x) & np.isfinite(y) & (x >= 0.0) & (x <= LARGEST) & (y > 0.0) & (y <= LARGEST)
    x, y = x[good], y[good]
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    enough = y.size >= FEWEST_RUNS
    if not enough:
        reason = f"{y.size} usable pairs of input size and value, {FEWEST_RUNS} are needed"
    elif x[0] == x[-1]:
        reason = "the input size never changes"
    else:
        reason = f"line through the nearest {span:.0%} of {y.size} runs"
    explained = enough and _rank_correlation_z(x, y) > EXPLAINED_Z
    return InputRelation(tuple(x.tolist()), tuple(y.tolist()), span, fading, enough, explained, reason)


def _line_at(x: Floats, y: Floats, weights: Floats, query: float) -> float:
    """Weighted least-squares line at ``query``; where it would fall with x, the weighted median of y."""
    total = float(weights.sum())
    middle = float(weights @ x) / total
    level = float(weights @ y) / total
    centred = x - middle
    square = float(weights @ centred**2)
    slope = float(weights @ (centred * (y - level))) / square if square > 0.0 else 0.0
    if slope > 0.0:
        return level + slope * (query - middle)
    order = np.argsort(y, kind="stable")
    running = np.cumsum(weights[order])
    return float(y[order][int(np.searchsorted(running, running[-1] / 2.0))])


def _power_and_median(x: Floats, y: Floats) -> Whole:
    positive = x[x > 0.0]
    smallest = float(positive.min()) if positive.size else 1.0
    size, value = np.log(np.maximum(x, smallest)), np.log(y)
    centred = size - size.mean()
    square = float(centred @ centred)
    exponent = min(STEEPEST, max(0.0, float(centred @ value) / square)) if square > 0.0 else 0.0
    return float(np.median(value - exponent * size)), exponent, float(np.median(value)), float(value.min()), smallest


def _logs(line: float, query: float, whole: Whole) -> Floats:
    """Logarithms of what line, power and median predict at ``query``."""
    level, exponent, middle, least, smallest = whole
    return np.array([math.log(line), max(least, level + exponent * math.log(max(query, smallest))), middle])


def _rank_correlation_z(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation as a normal score; ties share their mean rank."""
    a, b = _ranks(x), _ranks(y)
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm * math.sqrt(x.size - 1.0) if norm > 0.0 else 0.0


def _ranks(values: Floats) -> Floats:
    ordered = np.sort(values)
    twice = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    return np.asarray(twice - twice.mean(), dtype=np.float64)
