"""Ranks, the basis of distribution-free tests: scores of them, and the effect size of a difference."""

from __future__ import annotations

from functools import lru_cache

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.stats.quantiles import normal_quantile

LARGE = 0.474  # conventional bound of a large effect by ``cliffs_delta`` (Romano et al. 2006)


def midranks(values: Floats) -> Floats:
    """Ranks 1..n of ``values`` (shape (n,), finite); ties share their mean rank."""
    return _twice_midranks(np.sort(values), values) / 2.0


def normal_scores(values: Floats) -> Floats:
    """Van der Waerden scores: the normal quantiles at rank / (n + 1). As efficient as a t-test on normal noise, and robust
    to outliers on any other (van der Waerden 1952)."""
    scores: Floats = normal_scores_of_many(values[None, :])[0]
    return scores


def normal_scores_of_many(values: Floats) -> Floats:
    """``normal_scores`` of each row of ``values`` (shape (rows, n))."""
    rows, n = values.shape
    quantiles = _quantiles(n)
    ordered, scores = np.sort(values, axis=1), np.empty((rows, n))
    scores[np.arange(rows)[:, None], np.argsort(values, axis=1, kind="stable")] = quantiles[::2]
    for row in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)).tolist():
        scores[row] = quantiles[_twice_midranks(ordered[row], values[row]) - 2]
    return scores


def _twice_midranks(ordered: Floats, values: Floats) -> Indices:
    """``ordered``: the values in ascending order."""
    twice: Indices = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1
    return twice


@lru_cache(maxsize=256)  # of lengths: each costs a quantile for each rank, and those up to ``maxRuns`` come back
def _quantiles(n: int) -> Floats:
    """Normal quantiles of the ranks 1, 1.5, 2 ... of n values, which many series share."""
    return np.array([normal_quantile(twice / (2.0 * (n + 1.0))) for twice in range(2, 2 * n + 1)])


def cliffs_delta(a: Floats, b: Floats) -> float:
    """P(a > b) - P(a < b) for a random pair, -1 to 1 (Cliff 1993); 0 when a side is empty."""
    if a.size == 0 or b.size == 0:
        return 0.0
    ordered = np.sort(b)
    below = np.searchsorted(ordered, a, side="left").sum()
    above = (ordered.size - np.searchsorted(ordered, a, side="right")).sum()
    return float(below - above) / (a.size * b.size)
