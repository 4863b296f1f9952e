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
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices

# The scale is never estimated from the data alone: one further gap of 1% of the value is added, about the uncertainty from
# sampling and page cache. It prevents a constant series from implying that a larger peak is impossible.
PRIOR_GAP_SHARE = 0.01
# In mean gaps: 30 of them above the record, the exceedance is lower by a factor of a thousand even with two gaps.
BEYOND = 30.0
MAX_PAIRWISE = 32  # values of a row up to which comparing all of them at once takes less time than a search in each row
_MIN_VALUE = 1e-12  # below any unit of memory or CPU: prevents overflow when dividing by invalid values


@cache
def _beyond() -> Floats:
    """Where candidates lie above the largest value, in mean gaps."""
    return BEYOND * np.linspace(0.0, 1.0, 41)[1:] ** 1.5


@cache
def _near() -> Floats:
    """Relative positions between the largest value and the level at the bound."""
    return np.linspace(0.9, 1.6, 15)


@dataclass(frozen=True, slots=True)
class CandidateLevels:
    """Candidate levels of all samples of one size at a share of the next values that may exceed them.

    ``over``: distances from the largest value, in units of ``Tail.excess``, ascending. ``exceeded``: probability that the
    next value exceeds each.
    """

    over: Floats
    exceeded: Floats


@lru_cache(256)
def _grid(n: int, shape: float, share: float) -> CandidateLevels:
    at_share = max(0.0, math.pow(share * (n + 1.0), -1.0 / shape) - 1.0)
    # Fine around the bound, where a grid wide enough for every price is too coarse.
    over = np.sort(np.concatenate([[0.0], _beyond() / shape, at_share * _near()]))
    exceeded: Floats = (1.0 + over) ** -shape / (n + 1.0)
    return CandidateLevels(over, exceeded)


class Tail(NamedTuple):
    """Predictive distribution of the next value of a sample.

    ``ordered``: observed values, ascending. ``shape``: number of gaps, including the prior one. ``excess``: sum of the gaps.
    """

    ordered: Floats
    largest: float
    shape: float
    excess: float

    @property
    def n(self) -> int:
        """The number of observed values."""
        return self.ordered.size

    def exceedance(self, level: float) -> float:
        """Probability (0 to 1) that the next value exceeds ``level``; decreases with the level."""
        over = level - self.largest
        if over < 0.0:
            return (self.n - int(self.ordered.searchsorted(level, side="right")) + 1.0) / (self.n + 1.0)
        return math.pow(1.0 + over / self.excess, -self.shape) / (self.n + 1.0)

    def grid(self, share: float) -> CandidateLevels:
        """Candidates, including those around the exceedance probability ``share``."""
        return _grid(self.n, self.shape, share)


@dataclass(frozen=True, slots=True)
class Tails:
    """Tails of several samples of equal size, one per row; ``excess`` has a last axis of length 1."""

    ordered: Floats
    shape: float
    excess: Floats

    def each(self) -> list[Tail]:
        """The tail of each sample."""
        largest, excess = self.ordered[:, -1].tolist(), self.excess[:, 0].tolist()
        return [Tail(row, largest[at], self.shape, excess[at]) for at, row in enumerate(self.ordered)]

    def excess_beyond(self, level: Floats) -> Floats:
        """Expected excess of the next value over each ``level``, by row, counting only values above the largest observed."""
        largest = self.ordered[:, -1:]
        over = np.maximum(level - largest, 0.0)
        rest = (1.0 + over / self.excess) ** -(self.shape - 1.0)
        # Below the largest value, the distance to it counts in full for every new record.
        distance = np.maximum(largest - level, 0.0)
        mean = self.excess / max(self.shape - 1.0, 1.0)
        return np.asarray((distance + mean * rest) / (self.ordered.shape[-1] + 1.0), dtype=np.float64)


def gaps_used(n: int) -> int:
    """Number of gaps used of ``n`` values: fewer leave the scale uncertain, more measure the body instead of the tail."""
    return round(2.0 * math.sqrt(n))


def places(ordered: Floats, values: Floats) -> Indices:
    """For each of ``values``, the number of ``ordered`` (ascending along the last axis) that are at most it, by row."""
    if ordered.shape[-1] <= MAX_PAIRWISE:
        return np.asarray((ordered[:, None, :] <= values[:, :, None]).sum(axis=-1), dtype=np.intp)
    return np.array([row.searchsorted(asked, side="right") for row, asked in zip(ordered, values, strict=True)])


def picked(table: Floats, at: Indices) -> Floats:
    """The values at these positions of the last axis, by row."""
    rows = np.arange(at.shape[0])
    found: Floats = table[rows[:, None] if at.ndim == 2 else rows, at]
    return found


def fit_tails(values: Floats, scale: Floats | None = None) -> Tails:
    """Tail of each row, of at least one finite value. ``scale`` (> 0): magnitude of the measured quantity, in its unit, last
    axis of length 1; without it, the largest value of each row."""
    ordered = np.sort(values)
    n = ordered.shape[-1]
    k = _upper(n)
    # The sum of the gaps, each multiplied by its rank, is that of the distances from the value below them.
    gaps = np.add.reduce(ordered[:, n - k :] - ordered[:, n - k - 1 : n - k], axis=-1, keepdims=True)
    magnitude = ordered[:, -1:] if scale is None else scale
    return Tails(ordered, k + 1.0, np.maximum(_MIN_VALUE, gaps + PRIOR_GAP_SHARE * magnitude))


def mean_log_excess(values: Floats, expected: float) -> float:
    """Mean logarithm of the largest of ``values`` (shape (n,), > 0) over the next smaller one: the reciprocal of the index
    of a Pareto-type tail (Hill 1975).

    It uses as many values as ``fit_tails``, but none below the median, since few runs that need little say nothing about
    large ones, and adds one logarithm of the ``expected`` size, because few values say little.

    The ratio of the largest value to the median would say how wide the values spread, which a log-normal step shares with
    a heavy tail; this says how much further the next record may be.
    """
    n = values.size
    k = _upper(n)
    ordered = np.sort(values)
    median = float(ordered[(n - 1) // 2] + ordered[n // 2]) / 2.0
    next_smaller = max(float(ordered[n - k - 1]), median)
    logs = [math.log(value / next_smaller) for value in ordered[n - k :].tolist() if value > next_smaller]
    return (sum(logs) + expected) / (k + 1.0)


def _upper(n: int) -> int:
    """How many of ``n`` values are taken for the tail."""
    return min(n - 1, max(2, gaps_used(n)))
