"""Memory request as a function of input size, where the input explains the peak.

Three candidates compete: no input at all, a straight line, and the largest peak among the nearest inputs seen (which follows
any shape, steps and saturation included). Each is judged by what it would have cost on runs it did not see, with the same
loss that chooses a single request, so the choice between them has no parameter of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from concertmaster.core.sizing.tail import Floats
from concertmaster.core.sizing.waste import Loss, Prices, fit_loss

# Neighbours that vote: the smallest odd number that outvotes one odd run.
NEIGHBOURS = 3
# A line may leave the range of the peaks seen by this factor, not more: fits over narrow inputs explode outside them.
RANGE = 2.0
# Fewer runs cannot tell three models apart.
MIN_RUNS = 10
# A function of the input is harder to use than one number; it has to save at least this share of the loss.
WORTH = 0.1


@dataclass(frozen=True, slots=True)
class InputModel:
    """Request over input size (bytes in, bytes out): max(floor, prediction + margin).

    The prediction is a line, intercept + slope * input, or, when there are ``inputs`` (ascending), the largest of the peaks
    at the nearest inputs seen. From ``largest_input`` on it grows by ``beyond`` bytes per byte. It stays within ``low`` and
    ``high``. ``waste``: expected byte-seconds per run. ``failure_share``: expected share of failing attempts, 0 to 1.
    """

    intercept: float
    slope: float
    beyond: float
    largest_input: float
    low: float
    high: float
    margin: float
    floor: float
    waste: float
    failure_share: float
    inputs: tuple[float, ...]
    peaks: tuple[float, ...]

    @property
    def kind(self) -> str:
        """``line`` or ``nearest``."""
        return "nearest" if self.inputs else "line"

    def request(self, input_size: float) -> float:
        """Memory request (bytes) for one input size (bytes); a size that is not finite gets the largest request."""
        if not math.isfinite(input_size):
            return max(self.floor, self.high + self.margin)
        seen = min(input_size, self.largest_input)
        if self.inputs:
            place = bisect_left(self.inputs, seen)
            around = range(max(0, place - NEIGHBOURS), min(len(self.inputs), place + NEIGHBOURS))
            nearest = sorted(around, key=lambda i: abs(self.inputs[i] - seen))[:NEIGHBOURS]
            predicted = max(self.peaks[i] for i in nearest)
        else:
            predicted = self.intercept + self.slope * seen
        predicted += (input_size - seen) * self.beyond
        return max(self.floor, min(max(predicted, self.low), self.high) + self.margin)


def fit_by_input(
    inputs: Floats, peaks: Floats, durations: Floats, single_loss: float, floor: float, prices: Prices
) -> InputModel | None:
    """The better of line and neighbours, or None when neither beats one number, whose expected loss is ``single_loss``.

    All arrays of one length; peaks > 0, durations >= 0; runs whose input is unknown (NaN) or negative are left out.
    """
    known = np.isfinite(inputs) & (inputs >= 0.0)
    x, u, t = inputs[known], peaks[known], durations[known]
    if x.size < MIN_RUNS or x.min() == x.max():
        return None
    low, high = float(u.min()) / RANGE, float(u.max()) * RANGE
    intercept, slope, line = _line_without_each(x, u)
    order = np.argsort(x, kind="stable")
    nearest = np.empty_like(u)
    nearest[order] = _nearest_without_each(x[order], u[order])
    best: tuple[float, bool, float, Loss] | None = None
    for local, predicted in ((False, np.clip(line, low, high)), (True, nearest)):
        loss = fit_loss(u - predicted, u, t, prices)
        margin, total = loss.best(prices)
        if best is None or total < best[0]:
            best = (total, local, margin, loss)
    if best is None or not best[0] < (1.0 - WORTH) * single_loss:
        return None
    _, local, margin, loss = best
    at = np.array([margin])
    return InputModel(
        intercept,
        slope,
        _slope_of_upper_half(x[order], u[order]),
        float(x.max()),
        low,
        high,
        margin,
        floor,
        float(loss.waste(at)[0]),
        float(loss.tail.exceedance(at)[0]),
        tuple(x[order].tolist()) if local else (),
        tuple(u[order].tolist()) if local else (),
    )


def _line_without_each(x: Floats, y: Floats) -> tuple[float, float, Floats]:
    """Least-squares intercept and slope, and for each point the value of the line fitted without it (hat matrix)."""
    scale = float(x.max())
    z = x / scale
    centred = z - z.mean()
    square = float(centred @ centred)
    slope = float(centred @ y) / square
    intercept = float(y.mean() - slope * z.mean())
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
    offsets = np.array([o for o in range(-NEIGHBOURS, NEIGHBOURS + 1) if o])
    at = np.arange(n)[:, None] + offsets
    inside = (at >= 0) & (at < n)
    at = np.clip(at, 0, n - 1)
    distance = np.where(inside, np.abs(x[at] - x[:, None]), np.inf)
    chosen = np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]
    values = np.where(inside, y[at], -np.inf)
    return np.asarray(np.take_along_axis(values, chosen, axis=1).max(axis=1), dtype=np.float64)
