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
from concertmaster.core.sizing.memory_options import MemoryOptions
from concertmaster.core.sizing.tail import Tail, fit_tails

# A kill costs the time of the run, so the bound falls with the square root of the duration of long runs, down to this share.
MIN_BOUND_FACTOR = 0.5
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
    retry_factor: float
    typical: float

    def failing(self, margin: float) -> float:
        """Expected failing attempts per run: one that also exceeds its retry counts again. A third attempt is not counted;
        it fails only where more than four times the size is needed."""
        return self._failing(self._level(margin))

    def waste(self, margin: float) -> float:
        """Expected byte-seconds per run that are reserved unused or lost in failed attempts."""
        idle = float(np.maximum(margin - self.margins, 0.0) @ self.held) / self.margins.size
        return idle + self.tail.exceedance(self._level(margin)) * self.burn

    def with_seen(self, best: BestMargin, price: float) -> BestMargin:
        """The best margin, at this price of a failed attempt, of ``best`` and those that observed runs would exceed."""
        n, seen = self.margins.size, self.tail.grid(self.bound).seen
        if not seen:
            return best
        larger = self.margins.argsort(kind="stable")[: n - seen - 1 : -1]
        held = self.held[larger]  # by runs that exceed the largest but one, the largest but two, ...
        of_larger = zip(
            (held.cumsum() / n).tolist(), ((held * self.margins[larger]).cumsum() / n).tolist(), strict=True
        )
        for level, (reserved, used) in zip(self.tail.ordered[-2 : -2 - seen : -1].tolist(), of_larger, strict=True):
            if (failing := self._failing(level)) > self.bound:
                break
            margin = self._margin(level)
            idle = max(0.0, margin * (self.reserved - reserved) - (self.used - used))
            loss = idle + self.tail.exceedance(level) * self.burn + price * failing
            if loss <= best.loss:
                best = BestMargin(margin, loss)
        return best

    @property
    def figures(self) -> tuple[float, ...]:
        """What a margin is judged by: of the tail, of what is reserved, and how far its retry lies above the largest value,
        a factor of and a summand to the distance of the margin from it, in units of ``Tail.excess``."""
        tail, retried = self.tail, self._retried(self.tail.largest)
        farther = 1.0 if self.is_factor else self.retry_factor
        more = (retried - tail.largest) / tail.excess
        rare = tail.ordered.size + 1.0
        return (
            tail.largest, tail.excess, -tail.shape, rare, self.reserved, self.used, self.burn, self.bound, farther, more
        )  # fmt: skip

    def _level(self, margin: float) -> float:
        """The inverse of ``_margin``."""
        return math.log(margin) if self.is_factor else margin

    def _margin(self, level: float) -> float:
        """The margin of a level of the tail, which is a logarithm where the margin is a factor."""
        return math.exp(min(level, MAX_LOG)) if self.is_factor else level

    def _retried(self, level: float) -> float:
        """The level of the request after a kill; a factor of the size is a summand of logarithms."""
        if self.is_factor:
            return level + math.log(self.retry_factor)
        return self.retry_factor * (level + self.typical) - self.typical

    def _failing(self, level: float) -> float:
        return min(1.0, self.tail.exceedance(level) + self.tail.exceedance(self._retried(level)))


def fit_losses(peaks: Floats, durations: Floats, options: MemoryOptions) -> list[ExpectedLoss]:
    """Losses of several samples without a model, one per row, where the margin is the size itself. Peaks in bytes (> 0),
    durations in seconds (>= 0)."""
    n, retry, found = peaks.shape[-1], options.retry_factor, []
    seconds = (np.add.reduce(durations, axis=-1) / n).tolist()
    for tail, u, t, mean in zip(fit_tails(peaks).each(), peaks, durations, seconds, strict=True):
        used = float(u @ t) / n
        # At worst a failed attempt runs to its end holding about the peak; its retry then reserves the factor too much.
        found.append(ExpectedLoss(False, tail, u, t, mean, used, retry * used, bound_of(mean, options), retry, 0.0))
    return found


def fit_models(
    added: Floats, multiplied: Floats, peaks: Floats, durations: Floats, options: MemoryOptions, *, share: float
) -> list[list[ExpectedLoss]]:
    """Losses of models of each step from their predictions for each run (bytes, > 0), shape (models, steps, runs): those
    whose margin is ``added``, then those where it is a factor. Peaks in bytes (> 0) and durations in seconds (>= 0), shape
    (steps, runs). ``share``: share of the failure bound that may be used up."""
    (count, n), retry = peaks.shape, options.retry_factor
    scale = np.ones((len(added) + len(multiplied), count, 1))
    scale[: len(added), :, 0] = np.maximum.reduce(peaks, axis=-1)
    used, seconds = (np.add.reduce(v, axis=-1) / n for v in (peaks * durations, durations))
    margins, factors, held = peaks - added, peaks / multiplied, multiplied * durations
    of_margins, reserved = (np.add.reduce(v, axis=-1) / n for v in (margins * durations, held))
    tails = fit_tails(np.concatenate([margins, np.log(factors)]).reshape(-1, n), scale.reshape(-1, 1)).each()
    sizes, found = middle(added)[:, :, 0], []
    for step, (mean, spent) in enumerate(zip(seconds.tolist(), used.tolist(), strict=True)):
        own, bound, burn = iter(tails[step::count]), bound_of(mean, options, share), retry * spent
        losses = [
            ExpectedLoss(False, tail, margin, durations[step], mean, over, burn, bound, retry, size)
            for margin, over, size, tail in zip(
                margins[:, step], of_margins[:, step].tolist(), sizes[:, step].tolist(), own, strict=False
            )
        ]
        losses += [
            ExpectedLoss(True, tail, factor, of_runs, whole, spent, burn, bound, retry, 0.0)
            for factor, of_runs, whole, tail in zip(
                factors[:, step], held[:, step], reserved[:, step].tolist(), own, strict=True
            )
        ]
        found.append(losses)
    return found


def bests(losses: Sequence[ExpectedLoss], price: float) -> list[BestMargin]:
    """The best margin of each at this price of a failed attempt (byte-seconds); the smallest of several, and the largest
    where none is within the bound."""
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
    failing = exceeded + (1.0 + (farther * over + more)) ** power / rare
    total = np.maximum(margin * reserved - used, 0.0) + exceeded * burn + price * failing
    within = failing <= bound
    within[:, -1] = True
    places = np.where(within, total, np.inf).argmin(axis=-1).tolist()
    return [
        loss.with_seen(BestMargin(float(margin[at]), float(total[at])), price)
        for loss, at in zip(losses, enumerate(places), strict=True)
    ]


def bound_of(duration: float, options: MemoryOptions, share: float = 1.0) -> float:
    """Largest accepted share of failing attempts of runs of this mean duration (s)."""
    stricter = min(1.0, max(MIN_BOUND_FACTOR, math.sqrt(options.strict_from / max(1.0, duration))))
    return max(MIN_BOUND, options.failure_bound * stricter * share)


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
