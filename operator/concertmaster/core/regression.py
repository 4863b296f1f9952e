"""Run time and memory of a step over its input size: what a bigger or smaller input will cost.

The runs at hand often process smaller inputs than those to come, and neither quantity is a straight line over the whole
range: start-up dominates small inputs, memory saturates or jumps when a tool changes its method. So the prediction is a
line through the runs with the nearest inputs only (local regression, Cleveland 1979), which never falls as inputs grow and
goes on straight beyond the largest one. Run time is close to linear and noisy, hence a wide neighbourhood with equal
weights; memory bends and is less noisy, hence a narrow one with weights that fade with distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RUNTIME_SPAN = 0.4
MEMORY_SPAN = 0.3
# A line and an idea of its noise need four points.
FEWEST_NEIGHBOURS = 4
FEWEST_RUNS = 3
# One-sided normal quantile of 1 %: when a rank correlation counts as an explanation.
EXPLAINED_Z = 2.326
# Values beyond this are no seconds and no bytes; the cut keeps sums of squares finite.
LARGEST = 1e60


@dataclass(frozen=True, slots=True)
class InputRelation:
    """Seconds or bytes (``values``) over input bytes (``inputs``, ascending), with the share of runs that vote on a query.

    ``fading``: neighbours count less with distance (tricube weights). ``enough``: False when fewer than three usable runs
    exist; a prediction is then their median, or NaN without any. ``explained``: larger inputs go with larger values, by rank
    correlation at 1 %. ``reason``: what the model is, or what is missing.
    """

    inputs: Floats
    values: Floats
    span: float
    fading: bool
    enough: bool
    explained: bool
    reason: str

    @property
    def count(self) -> int:
        """Usable runs."""
        return int(self.values.size)

    @property
    def largest_input(self) -> float | None:
        """The largest input seen, bytes: predictions beyond it are extrapolations."""
        return float(self.inputs[-1]) if self.inputs.size else None

    def predict(self, inputs: Sequence[float] | Floats) -> Floats:
        """Expected value per input (bytes), same shape; for an input that is not finite the median of all runs."""
        queries = np.asarray(inputs, dtype=np.float64)
        out = np.full(queries.shape, float(np.median(self.values)) if self.values.size else math.nan)
        if self.enough:
            flat = out.reshape(-1)
            for i, query in enumerate(queries.reshape(-1)):
                if math.isfinite(query):
                    flat[i] = self._at(min(max(float(query), 0.0), LARGEST), self.inputs, self.values)
        return out

    def typical_error(self, at_most: int = 20) -> float | None:
        """Median relative error (0 to 1) of predicting a run from the others, over ``at_most`` runs across the inputs."""
        if self.count <= FEWEST_RUNS or not self.enough:
            return None
        chosen = np.unique(np.linspace(0, self.count - 1, min(self.count, max(1, at_most))).round().astype(int))
        errors = []
        for i in chosen:
            rest = np.delete(self.inputs, i), np.delete(self.values, i)
            errors.append(abs(self._at(float(self.inputs[i]), *rest) / float(self.values[i]) - 1.0))
        return float(np.median(errors))

    def _at(self, query: float, inputs: Floats, values: Floats) -> float:
        size = inputs.size
        neighbours = min(size, max(FEWEST_NEIGHBOURS, round(self.span * size)))
        # The nearest ones are contiguous, because inputs ascend: search only around the query.
        place = int(np.searchsorted(inputs, query))
        window = slice(max(0, place - neighbours), place + neighbours)
        x, y = inputs[window], values[window]
        near = np.argsort(np.abs(x - query), kind="stable")[:neighbours]
        x, y = x[near], y[near]
        return max(_line_at(x, y, self._weights(x, query), query), float(values.min()))

    def _weights(self, x: Floats, query: float) -> Floats:
        if not self.fading:
            return np.ones_like(x)
        # Beyond the largest input all neighbours lie on one side; distance then counts from the edge.
        distance = np.abs(x - min(max(query, float(x.min())), float(x.max())))
        reach = float(distance.max()) * 1.01
        return np.asarray((1.0 - (distance / reach) ** 3) ** 3 if reach > 0.0 else np.ones_like(x), dtype=np.float64)


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
        none = np.empty(0)
        return InputRelation(none, none, span, fading, False, False, "inputs and values differ in number")
    good = np.isfinite(x) & np.isfinite(y) & (x >= 0.0) & (x <= LARGEST) & (y > 0.0) & (y <= LARGEST)
    x, y = x[good], y[good]
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    if y.size < FEWEST_RUNS:
        reason = f"{y.size} usable pairs of input size and value, {FEWEST_RUNS} are needed"
        return InputRelation(x, y, span, fading, False, False, reason)
    if x[0] == x[-1]:
        return InputRelation(x, y, span, fading, True, False, "the input size never changes")
    explained = _rank_correlation_z(x, y) > EXPLAINED_Z
    reason = f"line through the nearest {span:.0%} of {y.size} runs"
    return InputRelation(x, y, span, fading, True, explained, reason)


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


def _rank_correlation_z(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation as a normal score; ties share their mean rank."""
    a, b = _ranks(x), _ranks(y)
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm * math.sqrt(x.size - 1.0) if norm > 0.0 else 0.0


def _ranks(values: Floats) -> Floats:
    ordered = np.sort(values)
    twice = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    return np.asarray(twice - twice.mean(), dtype=np.float64)
