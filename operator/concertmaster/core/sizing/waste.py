"""The level with the least expected loss within the failure bound: unused memory, failed attempts, OOM kills.

Wastage as a measure is due to Tovar et al. (TPDS 2018) and Witt et al. (2019): every byte-second reserved and not used,
where a killed attempt counts in full. Wastage alone would accept frequent kills, so the expected share of failing attempts
has a bound that no saving can override, and a kill has a price of its own. That price distributes the remaining failures:
room costs next to nothing on short and small steps and is added generously there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Flags, Floats
from concertmaster.core.sizing.tail import Tail, fit_tail, picked, places

# A kill costs the time of the run, so the bound falls with the square root of the duration of long runs, down to this share.
STRICTEST = 0.5
# Retries counted: a third attempt fails only where more than four times the size is needed.
RETRIES = 2
# Smallest share that a sample of runs can support.
LEAST_BOUND = 1e-4
LARGEST_LOG = 600.0  # exp() overflows a float above about 709


class Prices(Protocol):
    """Parameters of the loss; see MemoryOptions."""

    @property
    def failure_bound(self) -> float:
        """Largest accepted share of failing attempts."""

    @property
    def failure_price(self) -> float:
        """Loss per failed attempt, byte-seconds."""

    @property
    def retry_factor(self) -> float:
        """Increase of the request after an OOM kill."""

    @property
    def strict_from(self) -> float:
        """Run time in seconds from which the bound is stricter."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Expected loss per run as a function of the margin on a prediction; for several models, or several samples of equal
    size, at once, one per row.

    The margin is added (bytes) or, with ``is_factor``, multiplied. ``tail``: distribution of the margins the observed runs
    would have needed (of their logs if a factor). ``margins``: these, by run. ``held``: what each run holds per unit of
    margin (s; byte-seconds if a factor), so that the sum of held * margin, less that of its own, is what is reserved and
    not used. ``burn``: byte-seconds lost by a failing run. ``bound``: largest accepted share of failing attempts.
    ``typical``: bytes to which an additive margin is added. With rows, ``is_factor`` and ``typical`` have a last axis of
    length 1, and with several samples ``burn`` and ``bound`` have, too.
    """

    is_factor: bool | Flags
    tail: Tail
    margins: Floats
    held: Floats
    burn: float | Floats
    bound: float | Floats
    retry_factor: float
    typical: float | Floats

    def failing(self, margin: Floats) -> Floats:
        """Expected failing attempts per run at each margin; a run that also exceeds its retry counts again."""
        level = _logs(margin, self.is_factor)
        return self._attempts(level, covered=self.tail.covers(level))[1]

    def waste(self, margin: Floats) -> Floats:
        """Expected byte-seconds per run that are reserved unused or lost in failed attempts."""
        level = _logs(margin, self.is_factor)
        covered = self.tail.covers(level)
        return self._waste(margin, self.tail.exceedance(level, covered=covered), covered=covered)

    def best(self, prices: Prices) -> tuple[Floats, Floats, Floats]:
        """For each row, the margin with the least expected loss within the bound, that loss (including the price), and the
        waste in it."""
        level = self.tail.levels(self.bound)
        margin = self._of_levels(level)
        covered = self.tail.covers(level)  # up to about a hundred runs, the bound leaves no room for a larger peak
        exceeded, failing = self._attempts(level, covered=covered)
        waste = self._waste(margin, exceeded, covered=covered)
        total = waste + prices.failure_price * failing
        allowed = failing <= self.bound
        allowed[..., -1] = True
        chosen = np.where(allowed, total, np.inf).argmin(axis=-1)
        return picked(margin, chosen), picked(total, chosen), picked(waste, chosen)

    def _of_levels(self, level: Floats) -> Floats:
        """Margins from levels of the tail, which are logarithms where the margin is a factor."""
        if self.is_factor is False:
            return level
        return np.exp(np.minimum(level, LARGEST_LOG), out=level.copy(), where=self.is_factor)

    def _attempts(self, level: Floats, *, covered: bool) -> tuple[Floats, Floats]:
        """Probability that the first attempt fails at each level, and expected failing attempts."""
        levels = [level]
        for _ in range(RETRIES - 1):
            levels.append(self._retried(levels[-1]))
        exceeded = self.tail.exceedance(np.concatenate(levels, axis=-1), covered=covered)
        each = exceeded.reshape(*level.shape[:-1], RETRIES, level.shape[-1])
        return each[..., 0, :], np.minimum(np.add.reduce(each, axis=-2), 1.0)

    def _retried(self, level: Floats) -> Floats:
        """Levels of the request after a kill; a factor of the size is a summand of logarithms."""
        more = self.retry_factor * (level + self.typical) - self.typical
        if self.is_factor is False:
            return np.asarray(more, dtype=np.float64)
        return np.where(self.is_factor, level + math.log(self.retry_factor), more)

    def _waste(self, margin: Floats, exceeded: Floats, *, covered: bool) -> Floats:
        used = self.margins * self.held
        if covered:
            held, used = (np.add.reduce(of_runs, axis=-1, keepdims=True) for of_runs in (self.held, used))
        else:
            order = self.margins.argsort(axis=-1, kind="stable")
            below = places(picked(self.margins, order), margin)
            held, used = (picked(sums(picked(of_runs, order)), below) for of_runs in (self.held, used))
        idle: Floats = (margin * held - used) / self.margins.shape[-1]
        return np.maximum(idle, 0.0) + exceeded * self.burn


def fit_loss(
    predicted: Floats,
    peaks: Floats,
    durations: Floats,
    prices: Prices,
    *,
    is_factor: bool | Flags,
    share: float = 1.0,
) -> Loss:
    """Loss from peaks (bytes, > 0), durations (s, >= 0) and a model's prediction for each run (bytes, >= 0; > 0 where the
    margin is a factor). ``predicted`` may have one row per model; ``is_factor`` then has shape (models, 1). ``share``: share
    of the failure bound that may be used up. See ``fit_losses`` for several samples."""
    n = peaks.size
    if is_factor is False:
        margins = peaks - predicted
        held = durations if margins.ndim == 1 else np.broadcast_to(durations, margins.shape)
    else:
        margins = np.divide(peaks, predicted, out=peaks - predicted, where=is_factor)
        held = np.where(is_factor, predicted * durations, durations)
    largest = float(np.maximum.reduce(peaks))
    return Loss(
        is_factor,
        fit_tail(_logs(margins, is_factor), scale=largest if is_factor is False else np.where(is_factor, 1.0, largest)),
        margins,
        held,
        # At worst a failed attempt runs to its end holding about the peak; its retry then reserves the factor too much.
        prices.retry_factor * float(peaks @ durations) / n,
        bound_of(durations, prices, share),
        prices.retry_factor,
        np.where(is_factor, 0.0, middle(predicted)),
    )


def fit_losses(peaks: Floats, durations: Floats, prices: Prices) -> Loss:
    """Losses of several samples without a model, one per row, where the margin is the size itself: each as ``fit_loss`` with
    predictions of zero, to the last bit. Their bounds must leave room for equally many peaks (see ``Tail.levels``)."""
    n = peaks.shape[-1]
    return Loss(
        False,
        fit_tail(peaks, scale=np.maximum.reduce(peaks, axis=-1, keepdims=True)),
        peaks,
        durations,
        np.array([[prices.retry_factor * float(u @ t) / n] for u, t in zip(peaks, durations, strict=True)]),
        np.array([[bound_of(t, prices)] for t in durations]),
        prices.retry_factor,
        0.0,
    )


def bound_of(durations: Floats, prices: Prices, share: float = 1.0) -> float:
    """Largest accepted share of failing attempts of runs of these durations (s)."""
    stricter = min(
        1.0, max(STRICTEST, math.sqrt(prices.strict_from / max(1.0, float(np.add.reduce(durations)) / durations.size)))
    )
    return max(LEAST_BOUND, prices.failure_bound * stricter * share)


def _logs(margins: Floats, is_factor: bool | Flags) -> Floats:
    """Margins on the scale of the tail."""
    if is_factor is False:
        return margins
    return np.log(margins, out=margins.copy(), where=is_factor)


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
