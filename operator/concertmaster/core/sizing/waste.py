"""The level with the least expected loss within the failure bound: memory reserved in vain, attempts burned, kills.

Wastage as a measure comes from Tovar et al. (TPDS 2018) and Witt et al. (2019): every byte-second that was reserved and
not used, where a killed attempt counts in full. Wastage alone would accept frequent kills, so the expected share of failing
attempts has a bound that no saving buys off, and a kill has a price of its own. That price is what spreads the failures
that remain: room costs next to nothing on short and small steps and is given freely there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from concertmaster.core.sizing.tail import Floats, Tail, fit_tail, places

# A kill costs the time the run took, so the bound of long runs falls with the root of it, down to this share.
STRICTEST = 0.5
# Attempts that are counted: a third one fails only where more than four times the size is needed.
RETRIES = 2
# No sample of runs says anything about shares below it.
LEAST_BOUND = 1e-4
LARGEST_LOG = 600.0  # beyond it there is no float


class Prices(Protocol):
    """What the loss needs to know; see MemoryOptions."""

    @property
    def failure_bound(self) -> float:
        """Largest accepted share of failing attempts."""

    @property
    def failure_price(self) -> float:
        """Loss per failed attempt, byte-seconds."""

    @property
    def retry_factor(self) -> float:
        """Growth of the request after a kill."""

    @property
    def strict_from(self) -> float:
        """Run time in seconds from which the bound is stricter."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Expected loss per run as a function of the margin that is put on a prediction; of several models at once, a row each.

    The margin is bytes on top or, with ``is_factor``, a factor. ``tail``: distribution of the margins that the runs seen
    would have needed (of their logs where it is a factor). ``margins``: these, ascending. ``held_before`` and
    ``used_before``: sums over them, with a leading zero, so that held * margin - used is what is reserved and not used.
    ``burn``: byte-seconds that a failing run loses. ``bound``: largest accepted share of failing attempts. ``typical``:
    bytes that a margin on top is put on. With rows, ``is_factor`` and ``typical`` have a last axis of length 1.
    """

    is_factor: bool | NDArray[np.bool_]
    tail: Tail
    margins: Floats
    held_before: Floats
    used_before: Floats
    burn: float
    bound: float
    retry_factor: float
    typical: float | Floats

    def failing(self, margin: Floats) -> Floats:
        """Expected failing attempts per run with each margin; a run that outgrows its retry as well counts again."""
        return self._with_retries(margin, self._exceeded(margin))

    def waste(self, margin: Floats) -> Floats:
        """Expected byte-seconds per run that are reserved or burned in vain, with each margin."""
        return self._waste(margin, self._exceeded(margin))

    def best(self, prices: Prices) -> tuple[Floats, Floats]:
        """Margin with the least expected loss within the bound, and that loss (price included), of each row."""
        level = self.tail.levels(self.bound)
        margin = self._of_levels(level)
        exceeded = self.tail.exceedance(level)
        failing = self._with_retries(margin, exceeded)
        total = self._waste(margin, exceeded) + prices.failure_price * failing
        allowed = failing <= self.bound
        allowed[..., -1] = True
        chosen = np.where(allowed, total, np.inf).argmin(axis=-1)
        return picked(margin, chosen), picked(total, chosen)

    def _of_levels(self, level: Floats) -> Floats:
        """Margins by the levels of the tail, which are logarithms where a margin is a factor."""
        if self.is_factor is False:
            return level
        return np.where(self.is_factor, np.exp(np.minimum(level, LARGEST_LOG)), level)

    def _exceeded(self, margin: Floats) -> Floats:
        return self.tail.exceedance(_logs(margin, self.is_factor))

    def _with_retries(self, margin: Floats, exceeded: Floats) -> Floats:
        share = exceeded
        for _ in range(RETRIES - 1):
            margin = self.retry_factor * (margin + self.typical) - self.typical
            share = share + self._exceeded(margin)
        return np.minimum(share, 1.0)

    def _waste(self, margin: Floats, exceeded: Floats) -> Floats:
        below = places(self.margins, margin)
        idle = (margin * picked(self.held_before, below) - picked(self.used_before, below)) / self.margins.shape[-1]
        return np.asarray(np.maximum(idle, 0.0) + exceeded * self.burn, dtype=np.float64)


def fit_loss(
    predicted: Floats,
    peaks: Floats,
    durations: Floats,
    prices: Prices,
    *,
    is_factor: bool | NDArray[np.bool_],
    share: float = 1.0,
) -> Loss:
    """Loss out of peaks (bytes, > 0), durations (s, >= 0) and what a model predicted for each run (bytes, >= 0; > 0 where
    the margin is a factor). ``predicted`` may have a row for each of several models; ``is_factor`` then has their number as
    its first axis and a last one of length 1. ``share``: of the failure bound that may be used up."""
    n = peaks.size
    if is_factor is False:
        margins, held = peaks - predicted, np.broadcast_to(durations, predicted.shape)
    else:
        margins = np.where(is_factor, peaks / np.where(is_factor, predicted, 1.0), peaks - predicted)
        held = np.where(is_factor, predicted * durations, durations)
    order = margins.argsort(axis=-1, kind="stable")
    margins, held = picked(margins, order), picked(held, order)
    largest = float(peaks.max())
    stricter = min(1.0, max(STRICTEST, math.sqrt(prices.strict_from / max(1.0, float(durations.sum()) / n))))
    return Loss(
        is_factor,
        fit_tail(_logs(margins, is_factor), scale=largest if is_factor is False else np.where(is_factor, 1.0, largest)),
        margins,
        _sums(held),
        _sums(margins * held),
        # A failed attempt runs to its end at worst and holds about the peak; the retry then reserves too much by the factor.
        prices.retry_factor * float(peaks @ durations) / n,
        max(LEAST_BOUND, prices.failure_bound * stricter * share),
        prices.retry_factor,
        np.where(is_factor, 0.0, middle(predicted)),
    )


def _logs(margins: Floats, is_factor: bool | NDArray[np.bool_]) -> Floats:
    """Margins as the tail has them."""
    if is_factor is False:
        return margins
    return np.where(is_factor, np.log(np.where(is_factor, margins, 1.0)), margins)


def _sums(values: Floats) -> Floats:
    """Sums over the first values along the last axis, of none to all of them."""
    sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    values.cumsum(axis=-1, out=sums[..., 1:])
    return sums


def picked(table: Floats, at: NDArray[np.intp]) -> Floats:
    """The values at these places of the last axis, row by row."""
    if table.ndim == 1:
        return np.asarray(table[at])
    return np.array([row[of_row] for row, of_row in zip(table, at, strict=True)])


def middle(values: Floats) -> Floats:
    """The median along the last axis, which stays with length 1: of short rows that is several times as fast as NumPy's."""
    ordered, half = np.sort(values), values.shape[-1] // 2
    if values.shape[-1] % 2:
        return ordered[..., half : half + 1]
    return (ordered[..., half - 1 : half] + ordered[..., half : half + 1]) / 2.0
