"""Memory request as a function of input size, where input size explains the peak.

Five candidates are compared: no dependence on input, a straight line, a straight line on logarithms (a power law), the
largest peak among the nearest observed inputs (which follows any shape, including steps and saturation), and the geometric
mean of line and nearest, which err on different runs. Each is scored by its cost on held-out runs, with the same loss and
failure bound that choose a single request, so that the choice has no parameter of its own. Margins are additive (bytes) for
line and nearest, and multiplicative for power and mean: noise that grows with the size needs a factor, constant noise does
not.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.sizing.authored_request import blended, weight_of_request
from concertmaster.core.sizing.quantities import plain_memory
from concertmaster.core.sizing.waste import MAX_LOG, BestMargin, ExpectedLoss, fit_models

# Neighbours considered: the smallest odd number that outvotes one outlier.
NEIGHBOURS = 5
# A line may leave the range of the observed peaks by at most this factor: fits over narrow inputs explode outside them.
# Predictions beyond that are assumed to be wrong by up to this factor.
RANGE = 1.5
# Least weight of the current request for inputs beyond the largest: one prediction in six fails there.
BEYOND = 0.25
MAX_LEVELS = 4
# Below it an input is none: a query may divide by anything, and powers of ten end there.
_NO_INPUT = 1e-300
# Levels closer than this factor are merged.
MIN_RATIO = 1.25
# With fewer runs the models cannot be distinguished.
MIN_RUNS = 10
# A function of input is harder to use than one number: it must save at least this share of the loss.
WORTH = 0.1
# The best of several models on the same runs looks better than it is: it may use up only this share of the failure bound.
OPTIMISM = 0.7
MAX_VALUE = 2.0**60
KINDS = ("line", "nearest", "power", "mean")
ADDED = 2  # the first of these, whose margins are bytes; those of the others are factors
BY_FACTOR, BY_NEIGHBOURS = KINDS[ADDED:], ("nearest", "mean")
MAX_LEVERAGE = 0.95  # of one run on a line


@dataclass(frozen=True, slots=True)
class InputModel:
    """Memory request (bytes) by input size (bytes): a prediction plus ``margin``, or times it where ``is_factor``.

    ``kind``: ``line``: intercept + slope * input; ``power``: the same on logarithms; ``nearest``: the largest of the
    ``peaks`` at the nearest of the observed ``inputs`` (ascending); ``mean``: the geometric mean of line and nearest. Beyond
    ``largest_input`` all but ``power`` grow by ``beyond`` bytes per byte. Predictions stay within ``low`` and ``high``,
    requests above ``floor``; ``blended`` with the authors' request ``fallback`` (0: none), which has the weight ``pull``,
    beyond ``largest_input`` BEYOND at least. Where a prediction exceeds ``high``, the request is at least RANGE times that,
    or ``fallback`` if that is less.
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
    pull: float
    inputs: tuple[float, ...]
    peaks: tuple[float, ...]

    def request(self, input_size: float) -> float:
        """Memory request (bytes) for one input size (bytes); a non-finite size gets the largest request."""
        predicted = self._predicted(input_size) if math.isfinite(input_size) else math.inf
        held = min(max(predicted, self.low), self.high)
        size = held * self.margin if self.is_factor else held + self.margin
        pull = max(BEYOND, self.pull) if input_size > self.largest_input else self.pull
        if self.fallback > size > 0.0:
            size = blended(size, self.fallback, pull)
        least = min(self.fallback, RANGE * predicted) if predicted > self.high else self.floor
        return min(max(least, self.floor, size), MAX_VALUE)

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
    """Memory requests by input, as few as possible: (largest input, request), both bytes, ascending.

    One level per doubling of the request; those with the fewest runs are merged into the next larger one. A level is never
    below the model's request, nor less than ``headroom`` (a share) above a peak observed at an input it covers. Empty when
    only one level is left: one request is then enough.
    """
    known = np.isfinite(inputs) & (inputs >= 0.0)
    order = np.argsort(inputs[known], kind="stable")
    x, u = inputs[known][order], peaks[known][order]
    x = np.where(x < _NO_INPUT, 0.0, x)
    needs = np.array([model.request(size) for size in x.tolist()])
    needs = np.maximum.accumulate(np.maximum(needs, u * (1.0 + headroom)))
    counts = [[2.0**k, int((np.ceil(np.log2(needs)) == k).sum())] for k in np.unique(np.ceil(np.log2(needs)))]
    while len(counts) > MAX_LEVELS:
        del counts[min(range(len(counts) - 1), key=lambda i: counts[i][1])]
    rows: list[tuple[float, float]] = []
    for top, _ in counts:
        larger = x[needs > top]
        covered = x < larger[0] if larger.size else x <= x[-1]  # of equal inputs, the one that needs most counts
        if not covered.any():
            continue
        # Rounded up, a level would cover inputs that need the next one; beyond the largest nothing is known.
        bound = _plain_input(float(x[covered][-1]), upwards=not larger.size)
        request = plain_memory(float(needs[covered][-1]))
        if request is None or bound < x[0] or (rows and bound <= rows[-1][0]):
            continue
        if not rows or request >= MIN_RATIO * rows[-1][1]:
            rows.append((bound, request))
        else:
            rows[-1] = bound, request
    return tuple(rows) if len(rows) > 1 else ()


def _plain_input(size: float, *, upwards: bool) -> float:
    """``size`` rounded to three significant digits, as many as are shown."""
    if not size:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(size)) - 2)
    steps = size / step
    return (math.ceil(steps * (1.0 - 1e-9)) if upwards else math.floor(steps * (1.0 + 1e-9))) * step


class ModelFits(NamedTuple):
    """The models of one step, in the order of KINDS, before the best margin of each is known: ``losses`` as functions of it,
    and what each predicts for every run without it (shape (models, runs)). ``inputs`` ascending, with their ``peaks``.
    ``lines``: intercept and slope over inputs, and over their logarithms."""

    inputs: Floats
    peaks: Floats
    lines: list[tuple[float, float]]
    low: float
    high: float
    predicted: Floats
    losses: list[ExpectedLoss]


def fits_by_input(steps: Sequence[tuple[Floats, Floats, Floats]], bound: float) -> list[ModelFits | None]:
    """The models of peak memory by input of each of the ``steps``: inputs, peaks (> 0, bytes) and durations (>= 0, s) of its
    runs, arrays of one length; runs with unknown (NaN) or negative input are ignored. None for too few runs, or where all
    have the same input. ``bound``: as in ``fit_losses``. Steps with equally many known inputs are worked out over arrays of
    all of them at once."""
    found: list[ModelFits | None] = [None] * len(steps)
    alike: dict[int, list[tuple[int, Floats, Floats, Floats]]] = {}
    for at, (inputs, peaks, durations) in enumerate(steps):
        known = (np.isfinite(inputs) & (inputs >= 0.0)).nonzero()[0]
        if known.size >= MIN_RUNS:
            order = known[inputs[known].argsort(kind="stable")]
            if math.log1p(inputs[order[0]]) < math.log1p(
                inputs[order[-1]]
            ):  # else they may differ, their logarithms not
                alike.setdefault(order.size, []).append((at, inputs[order], peaks[order], durations[order]))
    for members in alike.values():
        places, x, u, t = zip(*members, strict=True)
        for at, fits in zip(places, _fits(np.array(x), np.array(u), np.array(t), bound), strict=True):
            found[at] = fits
    return found


def _fits(x: Floats, u: Floats, t: Floats, bound: float) -> list[ModelFits]:
    """The models of each row of inputs (ascending), peaks and durations, shape (steps, runs)."""
    count = len(x)
    low, high = np.minimum.reduce(u, axis=1, keepdims=True) / RANGE, np.maximum.reduce(u, axis=1, keepdims=True) * RANGE
    over, of = np.concatenate([x, np.log1p(x)]), np.concatenate([u, np.log(u)])
    intercepts, slopes, without = _lines_without_each(over, of)
    predicted = np.empty((len(KINDS), *u.shape))
    line, nearest, power, mean = predicted
    line[:], nearest[:] = without[:count], _nearest_without_each(x, u)
    np.exp(np.minimum(without[count:], MAX_LOG), out=power)
    np.minimum(np.maximum(predicted[:3], low), high, out=predicted[:3])
    np.sqrt(line * nearest, out=mean)
    losses = fit_models(predicted[:ADDED], predicted[ADDED:], u, t, bound, share=OPTIMISM)
    lines, low, high = list(zip(intercepts, slopes, strict=True)), low[:, 0].tolist(), high[:, 0].tolist()
    return [
        ModelFits(x[at], u[at], lines[at::count], low[at], high[at], predicted[:, at], losses[at])
        for at in range(count)
    ]


def best_by_input(
    models: ModelFits,
    found: Sequence[BestMargin],
    single_loss: float,
    floor: float,
    bound: float,
    current_request: float | None = None,
) -> InputModel | None:
    """The best of the models, whose best margins are ``found``; None when none beats a single request, whose expected loss
    is ``single_loss``. ``bound``: largest share of failing attempts. ``current_request``: bytes, stayed close to with few
    runs and for inputs beyond the largest."""
    chosen = min(range(len(KINDS)), key=lambda place: found[place].loss)
    best = found[chosen]
    if not best.loss < (1.0 - WORTH) * single_loss:
        return None
    kind, x, u = KINDS[chosen], models.inputs, models.peaks
    return InputModel(
        kind,
        *models.lines[int(kind == "power")],
        _slope_of_upper_half(x, u),
        float(x[-1]),
        models.low,
        models.high,
        best.margin,
        kind in BY_FACTOR,
        floor,
        0.0 if current_request is None or not math.isfinite(current_request) else current_request,
        weight_of_request(u / models.predicted[chosen], bound),
        tuple(x.tolist()) if kind in BY_NEIGHBOURS else (),
        tuple(u.tolist()) if kind in BY_NEIGHBOURS else (),
    )


def _lines_without_each(x: Floats, y: Floats) -> tuple[list[float], list[float], Floats]:
    """Of each row (x ascending), least-squares intercept and slope, and for each point the leave-one-out prediction (hat
    matrix)."""
    n, scale = x.shape[1], x[:, -1:]
    scaled = x / scale
    centre = np.add.reduce(scaled, axis=1, keepdims=True) / n
    centred = scaled - centre
    squares, level = centred * centred, np.add.reduce(y, axis=1, keepdims=True) / n
    square, off = np.add.reduce(squares, axis=1, keepdims=True), y - level
    slope = np.add.reduce(centred * off, axis=1, keepdims=True) / square
    others = np.maximum((1.0 - 1.0 / n) - squares / square, 1.0 - MAX_LEVERAGE)
    without = y - (off - slope * centred) / others
    return (level - slope * centre)[:, 0].tolist(), (slope / scale)[:, 0].tolist(), without


def _slope_of_upper_half(x: Floats, y: Floats) -> float:
    """Least-squares slope over the larger half of the inputs (x ascending), never negative: the expected growth beyond them.

    Memory often saturates, so small inputs do not predict inputs beyond the observed range.
    """
    x, y = x[x.size // 2 :], y[x.size // 2 :]
    if x[0] == x[-1]:
        return 0.0
    z = x / x[-1]
    centred = z - np.add.reduce(z) / x.size
    return max(0.0, float(centred @ y) / float(centred @ centred) / float(x[-1]))


@lru_cache(256)
def _around(count: int) -> Indices:
    """Places of the neighbours of each of so many points, itself excluded, where NEIGHBOURS places lie before the first;
    shape (points, neighbours)."""
    own = np.array([place for place in range(2 * NEIGHBOURS + 1) if place != NEIGHBOURS])
    return np.asarray(np.arange(count)[:, None] + own)


def _nearest_without_each(x: Floats, y: Floats) -> Floats:
    """For each point of each row (x ascending) the largest y among its nearest neighbours, itself excluded."""
    (rows, n), around = x.shape, _around(x.shape[1])
    beyond = np.full((rows, NEIGHBOURS), np.inf)  # beyond either end, the farthest
    distance = np.abs(np.concatenate([beyond, x, beyond], axis=1).take(around, axis=1) - x[:, :, None])
    nearest = distance.argsort(axis=2, kind="stable")[:, :, :NEIGHBOURS].transpose(2, 0, 1)
    chosen = around[np.arange(n), nearest]
    values = np.concatenate([-beyond, y, -beyond], axis=1)[np.arange(rows)[:, None], chosen]
    largest: Floats = np.maximum.reduce(values, axis=0)
    return largest
