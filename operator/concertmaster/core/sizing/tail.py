"""How likely is the next peak above any level, distinguished from the peaks seen so far.

The sample maximum alone says nothing about how far the next record will lie above it; the gaps between the largest values
do. Two facts are combined. Runs that could have come in any order exceed the largest of n with probability 1 / (n + 1),
whatever the distribution. And the gaps between upper order statistics, each multiplied by its rank, are close to
exponential with one common scale for a wide class of distributions (Renyi 1953; the tail estimators of Pickands 1975 and
Hill 1975 rest on it). Integrating over what k gaps leave open about that scale turns the exponential tail into a
Pareto-type one, which is wide for few runs and narrows with more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The scale is never learned from the data alone: one further gap of 1% of the value is added, about what sampling and
# page cache leave uncertain. It keeps a constant series from claiming that a larger peak is impossible.
PRIOR_GAP_SHARE = 0.01
# Of the mean gap: 30 of them beyond the record the exceedance has fallen by a factor of a thousand even for two gaps.
BEYOND = 30.0 * np.linspace(0.0, 1.0, 41)[1:] ** 1.5
# Of the way from the largest value to the level that keeps a bound.
NEAR = np.linspace(0.9, 1.6, 15)
_LEAST = 1e-12  # below any unit of memory or CPU: what garbage is divided by must not overflow


@dataclass(frozen=True, slots=True)
class Tail:
    """Predictive distribution of the next value of a sample, or of several samples of one size at once, a row each.

    ``ordered``: values seen, ascending along the last axis. ``shape``: gaps used, the prior one included. ``excess``: sum of
    the gaps, last axis of length 1. Levels have the rows of ``ordered``.
    """

    ordered: Floats
    shape: float
    excess: Floats

    @property
    def largest(self) -> Floats:
        """The largest value seen, last axis of length 1."""
        return self.ordered[..., -1:]

    def level_exceeded_by(self, share: float) -> Floats:
        """The level from the largest value on that the next value exceeds with probability ``share`` (above 0) at most."""
        over = math.pow(share * (self.ordered.shape[-1] + 1.0), -1.0 / self.shape) - 1.0
        return self.largest + self.excess * max(0.0, over)

    def exceedance(self, level: Floats) -> Floats:
        """Probability (0 to 1) that the next value lies above each ``level``, same shape; falls with the level."""
        n = self.ordered.shape[-1]
        above = n - places(self.ordered, level)
        beyond = (1.0 + np.maximum(level - self.largest, 0.0) / self.excess) ** -self.shape
        return np.asarray(np.where(above > 0, above + 1.0, beyond) / (n + 1.0), dtype=np.float64)

    def excess_beyond(self, level: Floats) -> Floats:
        """Expected amount by which the next value exceeds each ``level``, counting only values larger than any seen."""
        over = np.maximum(level - self.largest, 0.0)
        rest = (1.0 + over / self.excess) ** -(self.shape - 1.0)
        # Below the largest value the whole distance to it counts in full whenever a new record comes.
        distance = np.maximum(self.largest - level, 0.0)
        mean = self.excess / max(self.shape - 1.0, 1.0)
        return np.asarray((distance + mean * rest) / (self.ordered.shape[-1] + 1.0), dtype=np.float64)

    def levels(self, share: float) -> Floats:
        """Levels worth considering, ascending, where the next value may exceed them with probability ``share``."""
        n = self.ordered.shape[-1]
        seen, largest = self.ordered[..., max(0, n - 1 - int(share * (n + 1.0))) :], self.largest
        beyond = largest + self.excess / self.shape * BEYOND
        # Fine around the bound; a grid wide enough for every price is too coarse there.
        near = largest + (self.level_exceeded_by(share) - largest) * NEAR
        level = np.concatenate([seen, beyond, near], axis=-1)
        level.sort()
        return level


def gaps_used(n: int) -> int:
    """How many gaps of ``n`` values count: fewer leave the scale uncertain, more measure the body instead of the tail."""
    return round(2.0 * math.sqrt(n))


def places(ordered: Floats, values: Floats) -> NDArray[np.intp]:
    """How many of ``ordered`` (ascending along the last axis) are at most each of ``values``, row by row."""
    if ordered.ndim == 1:
        return ordered.searchsorted(values, side="right")
    return np.array([row.searchsorted(asked, side="right") for row, asked in zip(ordered, values, strict=True)])


def fit_tail(values: Floats, scale: float | Floats) -> Tail:
    """Tail of at least one finite value, of each row. ``scale`` (> 0): size of what is measured, in the unit of the values;
    one for all rows, or with a last axis of length 1."""
    ordered = np.sort(values)
    n = ordered.shape[-1]
    k = min(n - 1, max(2, gaps_used(n)))
    upper = ordered[..., n - k - 1 :][..., ::-1]
    gaps = (np.arange(1, k + 1) * (upper[..., :-1] - upper[..., 1:])).sum(axis=-1, keepdims=True)
    return Tail(ordered, k + 1.0, np.maximum(_LEAST, gaps + PRIOR_GAP_SHARE * scale))


def coverage_confidence(n: int, above: int, share: float) -> float:
    """Confidence (0 to 1) that a level with ``above`` of ``n`` values over it covers ``share`` of all values.

    Order statistics, free of any distribution (Wilks 1941): for the largest value, ``above`` = 0, this is 1 - share^n.
    """
    if n <= 0 or above >= n or not 0.0 < share < 1.0:
        return 0.0
    j = np.arange(above)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((n - j) / (j + 1.0)))])
    k = np.arange(above + 1)
    missed = np.exp(log_choose + k * math.log1p(-share) + (n - k) * math.log(share))
    return float(min(1.0, max(0.0, 1.0 - missed.sum())))
