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

from concertmaster.core.sizing.tail import Floats, Tail, fit_tail

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
    """Expected loss per run as a function of the margin that is put on a prediction.

    The margin is bytes on top or, with ``is_factor``, a factor. ``tail``: distribution of the margins that the runs seen
    would have needed (of their logs where it is a factor). ``margins``: these, ascending. ``held_before`` and
    ``used_before``: sums over them, with a leading zero, so that held * margin - used is what is reserved and not used.
    ``burn``: byte-seconds that a failing run loses. ``bound``: largest accepted share of failing attempts. ``typical``:
    bytes that a margin on top is put on.
    """

    is_factor: bool
    tail: Tail
    margins: Floats
    held_before: Floats
    used_before: Floats
    burn: float
    bound: float
    retry_factor: float
    typical: float

    def failing(self, margin: Floats) -> Floats:
        """Expected failing attempts per run with each margin; a run that outgrows its retry as well counts again."""
        return self._with_retries(margin, self._exceeded(margin))

    def waste(self, margin: Floats) -> Floats:
        """Expected byte-seconds per run that are reserved or burned in vain, with each margin."""
        return self._waste(margin, self._exceeded(margin))

    def best(self, prices: Prices) -> tuple[float, float]:
        """Margin with the least expected loss within the bound, and that loss (price included)."""
        level = self.tail.levels(self.bound)
        margin = np.exp(np.minimum(level, LARGEST_LOG)) if self.is_factor else level
        exceeded = self.tail.exceedance(level)
        failing = self._with_retries(margin, exceeded)
        total = self._waste(margin, exceeded) + prices.failure_price * failing
        allowed = failing <= self.bound
        allowed[-1] = True
        chosen = int(np.argmin(np.where(allowed, total, np.inf)))
        return float(margin[chosen]), float(total[chosen])

    def _exceeded(self, margin: Floats) -> Floats:
        return self.tail.exceedance(np.log(margin) if self.is_factor else margin)

    def _with_retries(self, margin: Floats, exceeded: Floats) -> Floats:
        share = exceeded
        for _ in range(RETRIES - 1):
            margin = self.retry_factor * (margin + self.typical) - self.typical
            share = share + self._exceeded(margin)
        return np.minimum(share, 1.0)

    def _waste(self, margin: Floats, exceeded: Floats) -> Floats:
        below = np.searchsorted(self.margins, margin, side="right")
        idle = (margin * self.held_before[below] - self.used_before[below]) / self.margins.size
        return np.asarray(np.maximum(idle, 0.0) + exceeded * self.burn, dtype=np.float64)


def fit_loss(
    predicted: Floats, peaks: Floats, durations: Floats, prices: Prices, *, is_factor: bool, share: float = 1.0
) -> Loss:
    """Loss out of peaks (bytes, > 0), durations (s, >= 0) and what a model predicted for each run (bytes, >= 0; > 0 where
    the margin is a factor). ``share``: of the failure bound that may be used up."""
    margins = peaks / predicted if is_factor else peaks - predicted
    n = peaks.size
    order = np.argsort(margins, kind="stable")
    margins = margins[order]
    held = (predicted * durations if is_factor else durations)[order]
    stricter = min(1.0, max(STRICTEST, math.sqrt(prices.strict_from / max(1.0, float(durations.sum()) / n))))
    return Loss(
        is_factor,
        fit_tail(np.log(margins), scale=1.0) if is_factor else fit_tail(margins, scale=float(peaks.max())),
        margins,
        np.concatenate([[0.0], np.cumsum(held)]),
        np.concatenate([[0.0], np.cumsum(margins * held)]),
        # A failed attempt runs to its end at worst and holds about the peak; the retry then reserves too much by the factor.
        prices.retry_factor * float(peaks @ durations) / n,
        max(LEAST_BOUND, prices.failure_bound * stricter * share),
        prices.retry_factor,
        0.0 if is_factor else float(np.median(predicted)),
    )
