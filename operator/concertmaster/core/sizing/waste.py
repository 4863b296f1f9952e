"""The level with the least expected loss: memory reserved in vain, attempts burned by kills, and a price per kill.

Wastage as a measure comes from Tovar et al. (TPDS 2018) and Witt et al. (2019): every byte-second that was reserved and
not used, where a killed attempt counts in full. Wastage alone would accept frequent kills for short steps, so a kill also
has a price of its own. That price is what spreads a failure budget well: room costs next to nothing on short and small
steps and is given freely there, while long and large steps get just as much as pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from concertmaster.core.sizing.tail import Floats, Tail, fit_tail


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


@dataclass(frozen=True, slots=True)
class Loss:
    """Expected loss per run as a function of a level that is added to a prediction.

    ``tail``: distribution of the residuals (peak minus prediction, bytes). ``time_before`` and ``moment_before``: sums of
    duration and of duration x residual over the residuals in ascending order, with a leading zero. ``burn``: byte-seconds
    that a failing run loses.
    """

    tail: Tail
    time_before: Floats
    moment_before: Floats
    burn: float

    def waste(self, level: Floats) -> Floats:
        """Expected byte-seconds per run that are reserved or burned in vain, at each level (bytes)."""
        below = np.searchsorted(self.tail.ordered, level, side="right")
        idle = (level * self.time_before[below] - self.moment_before[below]) / self.tail.ordered.size
        return np.asarray(np.maximum(idle, 0.0) + self.tail.exceedance(level) * self.burn, dtype=np.float64)

    def best(self, prices: Prices) -> tuple[float, float]:
        """Level with the least expected loss and that loss (price included).

        A level below the largest residual counts only while the expected share of failures stays within the bound.
        """
        level = self.tail.levels()
        failing = self.tail.exceedance(level)
        total = self.waste(level) + prices.failure_price * failing
        allowed = (failing <= prices.failure_bound) | (level >= self.tail.largest)
        chosen = int(np.argmin(np.where(allowed, total, np.inf)))
        return float(level[chosen]), float(total[chosen])


def fit_loss(residuals: Floats, peaks: Floats, durations: Floats, prices: Prices) -> Loss:
    """Loss out of peaks (bytes, > 0), durations (s, >= 0) and residuals: peak minus what a model predicted for that run."""
    order = np.argsort(residuals, kind="stable")
    time = durations[order]
    # A failed attempt runs to its end at worst and holds about the peak; the retry then reserves too much by the factor.
    burn = prices.retry_factor * float(np.mean(peaks * durations))
    return Loss(
        fit_tail(residuals, scale=float(peaks.max())),
        np.concatenate([[0.0], np.cumsum(time)]),
        np.concatenate([[0.0], np.cumsum(time * residuals[order])]),
        burn,
    )
