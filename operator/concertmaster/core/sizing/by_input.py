"""Memory request as a function of input size, where the input explains the peak.

Five candidates compete: no input at all, a straight line, a straight line on logarithms (a power of the input), the
largest peak among the nearest inputs seen (which follows any shape, steps and saturation included), and the geometric mean
of line and nearest, which err on different runs. Each is judged by what it would have cost on runs it did not see, with the
same loss and the same failure bound that choose a single request, so the choice between them has no parameter of its own. A
margin is bytes on top of line and nearest, a factor on power and mean: noise that grows with the size needs the one, noise
that does not the other.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from concertmaster.core.sizing.quantities import plain_memory
from concertmaster.core.sizing.tail import Floats
from concertmaster.core.sizing.waste import Prices, fit_loss

# Neighbours that vote: the smallest odd number that outvotes one unusual run.
NEIGHBOURS = 5
# A line may leave the range of the peaks seen by this factor, not more: fits over narrow inputs explode outside them.
RANGE = 2.0
# Of the way (on logarithms) to the request that is set, for inputs larger than any seen: one prediction in six fails there.
BEYOND = 0.25
MOST_LEVELS = 4
# Levels nearer to each other than this factor are one.
LEAST_APART = 1.25
# Fewer runs cannot tell the models apart.
MIN_RUNS = 10
# A function of the input is harder to use than one number; it has to save at least this share of the loss.
WORTH = 0.1
# The best of several on the same runs looks better than it is: only this share of the failure bound may be used up.
OPTIMISM = 0.7
LARGEST = 2.0**60
KINDS = ("line", "power", "nearest", "mean")
BY_FACTOR, BY_NEIGHBOURS = ("power", "mean"), ("nearest", "mean")
_AROUND = np.array([place for place in range(-NEIGHBOURS, NEIGHBOURS + 1) if place])
_BY_FACTOR = np.array([[kind in BY_FACTOR] for kind in KINDS])


@dataclass(frozen=True, slots=True)
class InputModel:
    """Request over input size (bytes in, bytes out): the prediction and the ``margin`` on it, a factor where ``is_factor``.

    ``kind``: ``line``: intercept + slope * input; ``power``: the same on logarithms; ``nearest``: the largest of the
    ``peaks`` at the nearest of the ``inputs`` seen (ascending); ``mean``: the geometric mean of line and nearest. From
    ``largest_input`` on all but the power grow by ``beyond`` bytes per byte. Predictions stay within ``low`` and ``high``,
    requests above ``floor``; beyond ``largest_input`` they are drawn towards ``fallback``, and where a prediction is larger
    than ``high`` they are at least that. ``waste``: expected byte-seconds per run. ``failure_share``: expected share of
    failing attempts, 0 to 1.
    """

    kind: str
    intercept: float
    slope: float
    beyond: float
    largest_input: float
    low: float
    high: float
    margin: float
    is_factor: bool
    floor: float
    fallback: float
    waste: float
    failure_share: float
    inputs: tuple[float, ...]
    peaks: tuple[float, ...]

    def request(self, input_size: float) -> float:
        """Memory request (bytes) for one input size (bytes); a size that is not finite gets the largest request."""
        predicted = self._predicted(input_size) if math.isfinite(input_size) else math.inf
        held = min(max(predicted, self.low), self.high)
        size = held * self.margin if self.is_factor else held + self.margin
        if input_size > self.largest_input and self.fallback > size > 0.0:
            size *= (self.fallback / size) ** BEYOND
        least = self.fallback if predicted > self.high else self.floor
        return min(max(least, self.floor, size), LARGEST)

    def _predicted(self, input_size: float) -> float:
        if self.kind == "power":
            return math.exp(min(700.0, self.intercept + self.slope * math.log1p(max(0.0, input_size))))
        seen = min(input_size, self.largest_input)
        line = self.intercept + self.slope * seen
        if self.kind == "nearest":
            predicted = self._nearest(seen)
        elif self.kind == "mean":
            predicted = math.sqrt(min(max(line, self.low), self.high) * self._nearest(seen))
        else:
            predicted = line
        return predicted + (input_size - seen) * self.beyond

    def _nearest(self, input_size: float) -> float:
        place = bisect_left(self.inputs, input_size)
        around = range(max(0, place - NEIGHBOURS), min(len(self.inputs), place + NEIGHBOURS))
        nearest = sorted(around, key=lambda i: abs(self.inputs[i] - input_size))[:NEIGHBOURS]
        return max(self.peaks[i] for i in nearest)


def levels(model: InputModel, inputs: Floats, peaks: Floats, headroom: float) -> tuple[tuple[float, float], ...]:
    """Memory requests by input, as few as people can use: (largest input, request), both bytes, ascending.

    One level for each doubling of the request; those with the fewest runs join the next larger one. A level never lies below
    the model's request nor below ``headroom`` (a share) above a peak seen at an input it covers. Empty where one level is
    left: then one request does.
    """
    known = np.isfinite(inputs) & (inputs >= 0.0)
    order = np.argsort(inputs[known], kind="stable")
    x, u = inputs[known][order], peaks[known][order]
    needs = np.array([model.request(size) for size in x.tolist()])
    needs = np.maximum.accumulate(np.maximum(needs, u * (1.0 + headroom)))
    found = [[2.0**k, int((np.ceil(np.log2(needs)) == k).sum())] for k in np.unique(np.ceil(np.log2(needs)))]
    while len(found) > MOST_LEVELS:
        del found[min(range(len(found) - 1), key=lambda i: found[i][1])]
    rows: list[tuple[float, float]] = []
    for top, _ in found:
        within = needs <= top
        request = plain_memory(min(top, float(needs[within].max())))
        if request is not None and (not rows or request >= LEAST_APART * rows[-1][1]):
            rows.append((_plain_input(float(x[within].max())), request))
        elif request is not None:
            rows[-1] = (_plain_input(float(x[within].max())), request)
    return tuple(rows) if len(rows) > 1 else ()


def _plain_input(size: float) -> float:
    """``size`` rounded up to two digits."""
    if size <= 0.0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(size)) - 1)
    return math.ceil(size / step * (1.0 - 1e-9)) * step


def fit_by_input(
    inputs: Floats,
    peaks: Floats,
    durations: Floats,
    single_loss: float,
    floor: float,
    prices: Prices,
    current_request: float | None = None,
) -> InputModel | None:
    """The best model, or None when none beats one number, whose expected loss is ``single_loss``.

    ``current_request``: bytes, what holds for inputs so large that a prediction would be a guess. All arrays of one length;
    peaks > 0, durations >= 0; runs whose input is unknown (NaN) or negative are left out.
    """
    known = np.isfinite(inputs) & (inputs >= 0.0)
    x, u, t = inputs[known], peaks[known], durations[known]
    if x.size < MIN_RUNS or x.min() == x.max():
        return None
    low, high = float(u.min()) / RANGE, float(u.max()) * RANGE
    intercept, slope, line = _line_without_each(x, u)
    log_intercept, log_slope, logs = _line_without_each(np.log1p(x), np.log(u))
    order = np.argsort(x, kind="stable")
    nearest = np.empty_like(u)
    nearest[order] = _nearest_without_each(x[order], u[order])
    power = np.exp(np.clip(logs, -700.0, 700.0))
    mean = np.sqrt(np.clip(line, low, high) * nearest)
    predicted = np.clip(np.array([line, power, nearest, mean]), low, high)
    loss = fit_loss(predicted, u, t, prices, is_factor=_BY_FACTOR, share=OPTIMISM)
    margins, totals = loss.best(prices)
    best = int(totals.argmin())  # the first of equals
    if not totals[best] < (1.0 - WORTH) * single_loss:
        return None
    kind = KINDS[best]
    return InputModel(
        kind,
        log_intercept if kind == "power" else intercept,
        log_slope if kind == "power" else slope,
        _slope_of_upper_half(x[order], u[order]),
        float(x.max()),
        low,
        high,
        float(margins[best]),
        kind in BY_FACTOR,
        floor,
        0.0 if current_request is None or not math.isfinite(current_request) else current_request,
        float(loss.waste(margins[:, None])[best, 0]),
        float(loss.failing(margins[:, None])[best, 0]),
        tuple(x[order].tolist()) if kind in BY_NEIGHBOURS else (),
        tuple(u[order].tolist()) if kind in BY_NEIGHBOURS else (),
    )


def _line_without_each(x: Floats, y: Floats) -> tuple[float, float, Floats]:
    """Least-squares intercept and slope, and for each point the value of the line fitted without it (hat matrix)."""
    scale = float(x.max())
    z = x / scale
    centre = z.mean()
    centred = z - centre
    square = float(centred @ centred)
    slope = float(centred @ y) / square
    intercept = float(y.mean() - slope * centre)
    leverage = np.minimum(1.0 / z.size + centred**2 / square, 0.95)
    without = y - (y - intercept - slope * z) / (1.0 - leverage)
    return intercept, slope / scale, without


def _slope_of_upper_half(x: Floats, y: Floats) -> float:
    """Least-squares slope over the larger half of the inputs (x ascending), never negative: what lies ahead if inputs grow.

    Memory often saturates, so small inputs say little about larger ones than any seen.
    """
    upper = slice(x.size // 2, None)
    if x[upper].min() == x[upper].max():
        return 0.0
    return max(0.0, _line_without_each(x[upper], y[upper])[1])


def _nearest_without_each(x: Floats, y: Floats) -> Floats:
    """For each point (x ascending) the largest y among its nearest others."""
    n = x.size
    at = np.arange(n)[:, None] + _AROUND
    inside = (at >= 0) & (at < n)
    at = np.minimum(np.maximum(at, 0), n - 1)
    distance = np.where(inside, np.abs(x[at] - x[:, None]), np.inf)
    chosen = distance.argsort(axis=1, kind="stable")[:, :NEIGHBOURS]
    values = np.where(inside, y[at], -np.inf)
    return np.asarray(values[np.arange(n)[:, None], chosen].max(axis=1), dtype=np.float64)
