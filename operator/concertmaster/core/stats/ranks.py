"""Ranks, the basis of distribution-free tests: scores of them, and the effect size of a difference."""

from __future__ import annotations

from functools import lru_cache

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats

# Coefficients of Acklam's rational approximation of the normal quantile (2003), relative error below 1.2e-9.
_CENTRE_TOP = (-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.3577518672690, -30.66479806614716)
_CENTRE_TOP_LAST = 2.506628277459239
_CENTRE_BOTTOM = (-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572)
_TAIL_TOP = (-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968)
_TAIL_TOP_LAST = 2.938163982698783
_TAIL_BOTTOM = (0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416)
_TAIL = 0.02425

MAX_CACHED_LENGTH = 2000  # scores of longer series are not cached
LARGE = 0.474  # conventional bound of a large effect by ``cliffs_delta`` (Romano et al. 2006)


def midranks(values: Floats) -> Floats:
    """Ranks 1..n of ``values`` (shape (n,), finite); ties share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse.ravel()], dtype=np.float64)


def normal_scores(values: Floats) -> Floats:
    """Van der Waerden scores: the normal quantiles at rank / (n + 1). As efficient as a t-test on normal noise, and robust
    to outliers on any other (van der Waerden 1952)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    if values.size > MAX_CACHED_LENGTH or (ordered[1:] == ordered[:-1]).any():
        return normal_quantiles(midranks(values) / (values.size + 1.0))
    scores = np.empty(values.size)
    scores[order] = _untied_scores(values.size)
    return scores


def normal_scores_of_many(values: Floats) -> Floats:
    """``normal_scores`` of each row of ``values`` (shape (rows, n)), bit-identical."""
    rows, n = values.shape
    if rows < 2 or n > MAX_CACHED_LENGTH:
        return np.stack([normal_scores(row) for row in values])
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    scores = np.empty((rows, n))
    np.put_along_axis(scores, order, np.broadcast_to(_untied_scores(n), (rows, n)), axis=1)
    for row in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)).tolist():
        scores[row] = normal_scores(values[row])
    return scores


@lru_cache(maxsize=64)
def _untied_scores(n: int) -> Floats:
    """Scores of n distinct values in ascending order: they depend on n only, and many series have the same length."""
    return normal_quantiles(np.arange(1.0, n + 1.0) / (n + 1.0))


def normal_quantiles(p: Floats) -> Floats:
    """Standard normal quantiles of ``p`` (0 < p < 1), elementwise."""
    q = p - 0.5
    r = q * q
    centre = _polynomial((*_CENTRE_TOP, _CENTRE_TOP_LAST), r) * q / _polynomial((*_CENTRE_BOTTOM, 1.0), r)
    far = np.abs(q) > 0.5 - _TAIL
    if far.any():
        s = np.sqrt(-2.0 * np.log(np.minimum(p[far], 1.0 - p[far])))
        tail = _polynomial((*_TAIL_TOP, _TAIL_TOP_LAST), s) / _polynomial((*_TAIL_BOTTOM, 1.0), s)
        centre[far] = np.where(q[far] < 0, tail, -tail)
    return np.asarray(centre, dtype=np.float64)


def _polynomial(coefficients: tuple[float, ...], x: Floats) -> Floats:
    value = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        value = value * x + c
    return value


def cliffs_delta(a: Floats, b: Floats) -> float:
    """P(a > b) - P(a < b) for a random pair, -1 to 1 (Cliff 1993); 0 when a side is empty."""
    if a.size == 0 or b.size == 0:
        return 0.0
    ordered = np.sort(b)
    below = np.searchsorted(ordered, a, side="left").sum()
    above = (ordered.size - np.searchsorted(ordered, a, side="right")).sum()
    return float(below - above) / (a.size * b.size)
