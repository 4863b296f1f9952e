"""Test of whether a level rises or falls and returns: a stretch inside the values differs from those on both sides.

Such a stretch leaves no single split that is significant, and the more it differs the less (circular binary segmentation:
Olshen, Venkatraman, Lucito, Wigler, Biostatistics 5(4), 2004). Normal scores only: sums of the other scores over a few
values are far from normal where values are skewed or rounded.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.changepoint.scores import (
    BOUND,
    MAX_BATCH,
    MIN_SEGMENT,
    deviations,
    independent_places,
    place_p_value,
    unit,
)

PLACES = 64  # ends of a stretch that are tried; the likelihood places them exactly


class Arc(NamedTuple):
    """First index of a stretch, first index after it, and its significance: standard normal for one at fixed places."""

    first: int
    last: int
    z: float


def best_arcs(ranked: Floats) -> list[Arc]:
    """The stretch inside each row of normal scores (shape (rows, n)) that differs most from all before and after it
    together, each of the three at least MIN_SEGMENT values long. Significance 0 where n is too small."""
    rows, n = ranked.shape
    if n < 3 * MIN_SEGMENT:
        return [Arc(0, n, 0.0)] * rows
    ends = _ends(n)
    at_once = max(1, MAX_BATCH // ends.first.size)
    arcs: list[Arc] = []
    for row in range(0, rows, at_once):
        # Of many equal values and a few others, those few have scores of any size.
        scores = deviations(unit(ranked[row : row + at_once]).clip(-BOUND, BOUND))[0]
        sums = scores.cumsum(axis=1)
        apart = np.abs(sums.take(ends.last - 1, axis=1) - sums.take(ends.first - 1, axis=1)) / ends.scale
        best = apart.argmax(axis=1)
        arcs += map(
            Arc, ends.first[best].tolist(), ends.last[best].tolist(), apart[np.arange(len(best)), best].tolist()
        )
    return arcs


class _Ends(NamedTuple):
    """First index of each stretch that is tried, the one after it, and the standard deviation of a sum of scores over it;
    shape (stretches,) each."""

    first: Indices
    last: Indices
    scale: Floats


@lru_cache(maxsize=64)
def _ends(n: int) -> _Ends:
    places = np.linspace(MIN_SEGMENT, n - MIN_SEGMENT, min(n - 2 * MIN_SEGMENT + 1, PLACES)).round().astype(np.intp)
    one, other = np.triu_indices(places.size, 1)
    first, last = places[one], places[other]
    length = last - first
    fits = (length >= MIN_SEGMENT) & (n - length >= 2 * MIN_SEGMENT)
    length = length[fits]
    return _Ends(first[fits], last[fits], np.sqrt(length * (n - length) / (n - 1.0)))


def arc_p_value(z: float, n: int) -> float:
    """Probability that the best stretch of n exchangeable values is at least as significant as ``z``: as of a split, but
    both of its ends are searched, in either order."""
    if n < 3 * MIN_SEGMENT:
        return 1.0
    return min(1.0, place_p_value(z, n) * independent_places(n) ** 2 / 4.0)
