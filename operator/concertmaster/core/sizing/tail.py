"""Probability that the next peak exceeds a level, from the peaks observed so far.

The sample maximum alone does not show how far the next record will exceed it; the gaps between the largest values do. Two
facts are combined. Exchangeable runs exceed the largest of n with probability 1 / (n + 1), whatever the distribution. And
the gaps between upper order statistics, each multiplied by its rank, are close to exponential with one common scale for a
wide class of distributions (Renyi 1953; the basis of the tail estimators of Pickands 1975 and Hill 1975). Integrating over
the uncertainty of that scale after k gaps turns the exponential tail into a Pareto-type one, which is wide for few runs and
narrows with more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.stats.robust import array_median

# The scale is never estimated from the data alone: one further gap of 1% of the value is added, about the uncertainty from
# sampling and page cache. It prevents a constant series from implying that a larger peak is impossible.
PRIOR_GAP_SHARE = 0.01
# In mean gaps: 30 of them above the record, the exceedance is lower by a factor of a thousand even with two gaps.
BEYOND = 30.0
FEW = 32  # values of a row up to which comparing all of them at once takes less time than a search in each row
_LEAST = 1e-12  # below any unit of memory or CPU: prevents overflow when dividing by invalid values


@cache
def _beyond() -> Floats:
    """Where candidates lie above the largest value, in mean gaps."""
    return BEYOND * np.linspace(0.0, 1.0, 41)[1:] ** 1.5


@cache
def _near() -> Floats:
    """Relative positions between the largest value and the level at the bound."""
    return np.linspace(0.9, 1.6, 15)


@dataclass(frozen=True, slots=True)
class Tail:
    """Predictive distribution of the next value of a sample, or of several samples of equal size at once, one per row.

    ``ordered``: observed values, ascending along the last axis. ``shape``: number of gaps, including the prior one.
    ``excess``: sum of the gaps, last axis of length 1. Levels have the rows of ``ordered``.
    """

    ordered: Floats
    shape: float
    excess: Floats

    @property
    def largest(self) -> Floats:
        """The largest observed value, last axis of length 1."""
        return self.ordered[..., -1:]

    def level_exceeded_by(self, share: float | Floats) -> Floats:
        """The smallest level, at least the largest value, that the next value exceeds with probability at most ``share``;
        one for all rows, or with a last axis of length 1."""
        over = (
            self._over(share) if isinstance(share, float) else np.array([[self._over(float(s))] for s in share[:, 0]])
        )
        level: Floats = self.largest + self.excess * over
        return level

    def _over(self, share: float) -> float:
        return max(0.0, math.pow(share * (self.ordered.shape[-1] + 1.0), -1.0 / self.shape) - 1.0)

    def exceedance(self, level: Floats, *, covered: bool = False) -> Floats:
        """Probability (0 to 1) that the next value exceeds each ``level``, same shape; decreases with the level.
        ``covered``: no observed value exceeds any ``level``, and none has to be counted."""
        n = self.ordered.shape[-1]
        over = level - self.largest
        share: Floats = (1.0 + (over if covered else np.maximum(over, 0.0)) / self.excess) ** -self.shape
        if not covered:
            above = n - places(self.ordered, level)
            share = np.where(above > 0, above + 1.0, share)
        share /= n + 1.0
        return share

    def covers(self, level: Floats) -> bool:
        """Whether no observed value exceeds any ``level``."""
        return bool(np.logical_and.reduce(level >= self.largest, axis=None))

    def excess_beyond(self, level: Floats) -> Floats:
        """Expected excess of the next value over each ``level``, counting only values above the largest observed."""
        over = np.maximum(level - self.largest, 0.0)
        rest = (1.0 + over / self.excess) ** -(self.shape - 1.0)
        # Below the largest value, the distance to it counts in full for every new record.
        distance = np.maximum(self.largest - level, 0.0)
        mean = self.excess / max(self.shape - 1.0, 1.0)
        return np.asarray((distance + mean * rest) / (self.ordered.shape[-1] + 1.0), dtype=np.float64)

    def levels(self, share: float | Floats) -> Floats:
        """Candidate levels, ascending, including those around the exceedance probability ``share``; shares of several rows
        must leave room for equally many of the values (see ``exceeding``)."""
        n = self.ordered.shape[-1]
        above = exceeding(n, share if isinstance(share, float) else float(share[0, 0]))
        seen, largest = self.ordered[..., max(0, n - 1 - above) :], self.largest
        beyond = largest + self.excess / self.shape * _beyond()
        # Fine around the bound, where a grid wide enough for every price is too coarse.
        near = largest + (self.level_exceeded_by(share) - largest) * _near()
        level = np.concatenate([seen, beyond, near], axis=-1)
        level.sort()
        return level


def exceeding(n: int, share: float) -> int:
    """How many of ``n`` values a level may leave above it at that exceedance probability."""
    return int(share * (n + 1.0))


def gaps_used(n: int) -> int:
    """Number of gaps used of ``n`` values: fewer leave the scale uncertain, more measure the body instead of the tail."""
    return round(2.0 * math.sqrt(n))


def places(ordered: Floats, values: Floats) -> Indices:
    """For each of ``values``, the number of ``ordered`` (ascending along the last axis) that are at most it, by row."""
    if ordered.ndim == 1:
        return ordered.searchsorted(values, side="right")
    if ordered.shape[-1] <= FEW:
        return np.asarray((ordered[:, None, :] <= values[:, :, None]).sum(axis=-1), dtype=np.intp)
    return np.array([row.searchsorted(asked, side="right") for row, asked in zip(ordered, values, strict=True)])


def picked(table: Floats, at: Indices) -> Floats:
    """The values at these positions of the last axis, by row."""
    if table.ndim == 1:
        return np.asarray(table[at])
    rows = np.arange(at.shape[0])
    found: Floats = table[rows[:, None] if at.ndim == 2 else rows, at]
    return found


def fit_tail(values: Floats, scale: float | Floats) -> Tail:
    """Tail of each row, of at least one finite value. ``scale`` (> 0): magnitude of the measured quantity, in its unit; one
    for all rows, or with a last axis of length 1."""
    ordered = np.sort(values)
    n = ordered.shape[-1]
    k = _upper(n)
    upper = ordered[..., n - k - 1 :][..., ::-1]
    gaps = np.add.reduce(_ranks(k) * (upper[..., :-1] - upper[..., 1:]), axis=-1, keepdims=True)
    return Tail(ordered, k + 1.0, np.maximum(_LEAST, gaps + PRIOR_GAP_SHARE * scale))


def mean_log_excess(values: Floats, expected: float) -> float:
    """Mean logarithm of the largest of ``values`` (shape (n,), > 0) over the next smaller one: the reciprocal of the index
    of a Pareto-type tail (Hill 1975).

    It uses as many values as ``fit_tail``, but none below the median, since few runs that need little say nothing about
    large ones, and adds one logarithm of the ``expected`` size, because few values say little.

    The ratio of the largest value to the median would say how wide the values spread, which a log-normal step shares with
    a heavy tail; this says how much further the next record may be.
    """
    ordered = np.sort(values)
    n = ordered.size
    k = _upper(n)
    next_smaller = max(float(ordered[n - k - 1]), array_median(values))
    logs = np.log(np.maximum(ordered[n - k :] / next_smaller, 1.0))
    return (float(np.add.reduce(logs)) + expected) / (k + 1.0)


def _upper(n: int) -> int:
    """How many of ``n`` values are taken for the tail."""
    return min(n - 1, max(2, gaps_used(n)))


@lru_cache(1024)
def _ranks(k: int) -> Floats:
    """The ranks of the ``k`` largest values, from the largest."""
    return np.arange(1.0, k + 1.0)


@lru_cache(1024)
def coverage_confidence(n: int, above: int, share: float) -> float:
    """Confidence (0 to 1) that a level exceeded by ``above`` of ``n`` values covers the share ``share`` of all values.

    Order statistics, distribution-free (Wilks 1941): for the largest value, ``above`` = 0, this is 1 - share^n.
    """
    if n <= 0 or above >= n or not 0.0 < share < 1.0:
        return 0.0
    if not above:
        return float(1.0 - np.exp(n * math.log(share)))
    j = np.arange(above)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((n - j) / (j + 1.0)))])
    k = np.arange(above + 1)
    missed = np.exp(log_choose + k * math.log1p(-share) + (n - k) * math.log(share))
    return float(min(1.0, max(0.0, 1.0 - missed.sum())))
