"""The level with the least expected loss within the failure bound: unused memory, failed attempts, OOM kills.

Wastage as a measure is due to Tovar et al. (TPDS 2018) and Witt et al. (2019): every byte-second reserved and not used,
where a killed attempt counts in full. Wastage alone would accept frequent kills, so the expected share of failing attempts
has a bound that no saving can override, and a kill has a price of its own. That price distributes the remaining failures:
room costs next to nothing on short and small steps and is added generously there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.sizing.tail import Tail, fit_tails
from concertmaster.core.units import GIB, HOUR

# Largest expected share of failing attempts of a step.
FAILURE_BOUND = 0.01
# Cost of a failed attempt beyond the memory it wastes, byte-seconds; one GiB-hour is under half a cent at list prices.
FAILURE_PRICE = GIB * HOUR
# Increase of the request after an OOM kill.
RETRY_FACTOR = 2.0
# A kill costs the time of the run, so the bound falls with the square root of the duration of runs that take longer (s),
# down to this share.
STRICT_FROM, MIN_BOUND_FACTOR = HOUR, 0.5
# Smallest share that a sample of runs can support.
MIN_BOUND = 1e-4
MAX_LOG = 600.0  # exp() overflows a float above about 709


class BestMargin(NamedTuple):
    """The margin with the least expected loss within the bound, and that loss, with the price of failed attempts."""

    margin: float
    loss: float


class ExpectedLoss(NamedTuple):
    """Expected loss per run of one sample as a function of the margin on a prediction.

    The margin is added (bytes) or, with ``is_factor``, multiplied. ``tail``: distribution of the margins the observed runs
    would have needed (of their logs if a factor). ``margins``: these, by run. ``held``: what each run holds per unit of
    margin (s; byte-seconds if a factor). ``reserved`` and ``used``: mean of what runs hold, and of that times their own
    margins. ``burn``: byte-seconds lost by a failing run. ``bound``: largest accepted share of failing attempts.
    ``typical``: bytes to which an additive margin is added.
    """

    is_factor: bool
    tail: Tail
    margins: Floats
    held: Floats
    reserved: float
    used: float
    burn: float
    bound: float
    typical: float = 0.0

    def with_seen(self, best: BestMargin) -> BestMargin:
        """The best margin of ``best`` and those that as many observed runs would exceed as the bound allows."""
        n = self.tail.n
        seen = min(n - 1, int(self.bound * (n + 1.0)))
        if not seen:
            return best
        larger = self.margins.argsort(kind="stable")[: n - seen - 1 : -1]
        held = self.held[larger]  # by runs that exceed the largest but one, the largest but two, ...
        of_larger = zip(
            (held.cumsum() / n).tolist(), ((held * self.margins[larger]).cumsum() / n).tolist(), strict=True
        )
        for level, (reserved, used) in zip(self.tail.ordered[-2 : -2 - seen : -1].tolist(), of_larger, strict=True):
            once = self.tail.exceedance(level)
            failing = once + self.tail.exceedance(self._retried(level))
            if failing > self.bound:
                break
            margin = math.exp(min(level, MAX_LOG)) if self.is_factor else level
            idle = max(0.0, margin * (self.reserved - reserved) - (self.used - used))
            loss = idle + once * self.burn + FAILURE_PRICE * failing
            if loss <= best.loss:
                best = BestMargin(margin, loss)
        return best

    @property
    def figures(self) -> tuple[float, ...]:
        """What a margin is judged by: of the tail, of what is reserved, and how far its retry lies above the largest value,
        a factor of and a summand to the distance of the margin from it, in units of ``Tail.excess``."""
        tail = self.tail
        farther = 1.0 if self.is_factor else RETRY_FACTOR
        more, rare = (self._retried(tail.largest) - tail.largest) / tail.excess, tail.n + 1.0
        return (
            tail.largest, tail.excess, -tail.shape, rare, self.reserved, self.used, self.burn, self.bound, farther, more
        )  # fmt: skip

    def _retried(self, level: float) -> float:
        """The level of the request after a kill; a factor of the size is a summand of logarithms."""
        if self.is_factor:
            return level + math.log(RETRY_FACTOR)
        return RETRY_FACTOR * (level + self.typical) - self.typical


def fit_losses(peaks: Floats, durations: Floats, bound: float) -> list[ExpectedLoss]:
    """Losses of several samples without a model, one per row, where the margin is the size itself. Peaks in bytes (> 0),
    durations in seconds (>= 0). ``bound``: largest accepted share of failing attempts."""
    n, found = peaks.shape[-1], []
    seconds = (np.add.reduce(durations, axis=-1) / n).tolist()
    for tail, u, t, mean in zip(fit_tails(peaks).each(), peaks, durations, seconds, strict=True):
        used = float(u @ t) / n
        # At worst a failed attempt runs to its end holding about the peak; its retry then reserves the factor too much.
        found.append(ExpectedLoss(False, tail, u, t, mean, used, RETRY_FACTOR * used, bound_of(mean, bound)))
    return found


def fit_models(
    added: Floats, multiplied: Floats, peaks: Floats, durations: Floats, bound: float, *, share: float
) -> list[list[ExpectedLoss]]:
    """Losses of models of each step from their predictions for each run (bytes, > 0), shape (models, steps, runs): those
    whose margin is ``added``, then those where it is a factor. Peaks in bytes (> 0) and durations in seconds (>= 0), shape
    (steps, runs). ``bound``: as in ``fit_losses``, of which this ``share`` may be used up."""
    count, n = peaks.shape
    scale = np.ones((len(added) + len(multiplied), count, 1))
    scale[: len(added), :, 0] = np.maximum.reduce(peaks, axis=-1)
    used, seconds = (np.add.reduce(v, axis=-1) / n for v in (peaks * durations, durations))
    margins, factors = peaks - added, peaks / multiplied
    held = multiplied * durations
    of_margins, reserved = (np.add.reduce(v, axis=-1) / n for v in (margins * durations, held))
    tails = fit_tails(np.concatenate([margins, np.log(factors)]).reshape(-1, n), scale.reshape(-1, 1)).each()
    sizes, found = middle(added)[:, :, 0], []
    for step, (mean, spent) in enumerate(zip(seconds.tolist(), used.tolist(), strict=True)):
        own, least, burn = iter(tails[step::count]), bound_of(mean, bound * share), RETRY_FACTOR * spent
        losses = [
            ExpectedLoss(False, tail, margin, durations[step], mean, over, burn, least, size)
            for margin, over, size, tail in zip(
                margins[:, step], of_margins[:, step].tolist(), sizes[:, step].tolist(), own, strict=False
            )
        ]
        losses += [
            ExpectedLoss(True, tail, factor, of_runs, whole, spent, burn, least)
            for factor, of_runs, whole, tail in zip(
                factors[:, step], held[:, step], reserved[:, step].tolist(), own, strict=True
            )
        ]
        found.append(losses)
    return found


def bests(losses: Sequence[ExpectedLoss]) -> list[BestMargin]:
    """The best margin of each; the smallest of several, and the largest where none is within the bound."""
    grids = [loss.tail.grid(loss.bound) for loss in losses]
    over, exceeded = grids[0].over, grids[0].exceeded
    if any(grid is not grids[0] for grid in grids):
        over, exceeded = np.array([grid.over for grid in grids]), np.array([grid.exceeded for grid in grids])
    figures = np.array([loss.figures for loss in losses]).T[:, :, None]
    largest, excess, power, rare, reserved, used, burn, bound, farther, more = figures
    margin = largest + excess * over
    for row, loss in enumerate(losses):
        if loss.is_factor:
            margin[row] = np.exp(np.minimum(margin[row], MAX_LOG))
    # A retry that fails counts again. A third attempt does only where more than four times the size is needed.
    failing = exceeded + (1.0 + (farther * over + more)) ** power / rare
    total = np.maximum(margin * reserved - used, 0.0) + exceeded * burn + FAILURE_PRICE * failing
    within = failing <= bound
    within[:, -1] = True
    places = enumerate(np.where(within, total, np.inf).argmin(axis=-1).tolist())
    found = (BestMargin(float(margin[at]), float(total[at])) for at in places)
    return [loss.with_seen(best) for loss, best in zip(losses, found, strict=True)]


def bound_of(duration: float, bound: float) -> float:
    """Largest accepted share of failing attempts of runs of this mean duration (s); ``bound``: that of short ones."""
    stricter = min(1.0, max(MIN_BOUND_FACTOR, math.sqrt(STRICT_FROM / max(1.0, duration))))
    return max(MIN_BOUND, bound * stricter)


def sums(values: Floats) -> Floats:
    """Cumulative sums along the last axis, with a leading zero."""
    sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    values.cumsum(axis=-1, out=sums[..., 1:])
    return sums


def middle(values: Floats) -> Floats:
    """Median along the last axis, kept with length 1; for short rows several times as fast as NumPy's."""
    ordered, half = np.sort(values), values.shape[-1] // 2
    if values.shape[-1] % 2:
        return ordered[..., half : half + 1]
    return (ordered[..., half - 1 : half] + ordered[..., half : half + 1]) / 2.0
