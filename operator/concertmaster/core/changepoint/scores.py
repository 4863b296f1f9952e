"""Test of whether a stretch of values splits into two levels, for any noise.

Each value gets scores that depend on the set of values only, not on their order. Without a change every order is equally
likely, so the cumulative sum of a score is a bridge with exactly known spread: the test is therefore valid for skewed,
heavy-tailed and clustered noise alike (adaptive rank tests: Hajek, Sidak, Sen, Theory of Rank Tests, 1999, chapter 8).
Three scores are used: normal scores (best for bell-shaped noise) and the derivative of the log density of the values
smoothed at two widths (best for clustered noise, such as a step with small and large inputs).
"""

from __future__ import annotations

import math
from functools import lru_cache

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.stats.quantiles import student_tail
from concertmaster.core.stats.ranks import normal_scores
from concertmaster.core.stats.robust import MAD_TO_SIGMA

MIN_SEGMENT = 6  # values required for a level
HALVINGS = 3  # bandwidths of the density: 1, 1/2, 1/4 robust standard deviations, for the bulk and its clusters
REFERENCE_POINTS = 48  # quantiles that represent the sample in the density; more change nothing but the time
MAX_BATCH = 65536  # differences between values and points held at a time: half a megabyte
BOUND = 2.5  # standard deviations at which a value's weight is capped, so that a few outliers at the end are no level


MIN_SPREAD = math.sqrt(0.5)
"""Of bounded scores that are scaled to a variance of 1. Among rounded values the density hardly slopes, so that few values
have a score at all, of any size: they must not get the weight of all others back."""


def best_split(values: Floats) -> tuple[int, float]:
    """Best split of ``values`` (shape (n,), n >= 2 * MIN_SEGMENT), and its significance.

    Returns the first index of the second part, with at least MIN_SEGMENT values on both sides, and the largest standardised
    score sum there: standard normal at a fixed position without change.
    """
    return best_splits(values[None, :], normal_scores(values)[None, :])[0]


def best_splits(values: Floats, ranked: Floats) -> list[tuple[int, float]]:
    """``best_split`` of each row of ``values`` (shape (rows, n)) with their normal scores ``ranked``.

    On short series NumPy's call overhead dominates, so all steps of a workflow are processed together, in chunks that fit
    into the processor cache.
    """
    rows, n = values.shape
    at_once = max(1, MAX_BATCH // (n * min(n, REFERENCE_POINTS)))
    k, scale = _places(n)
    splits: list[tuple[int, float]] = []
    # Large arrays come fresh from the system, page by page, which takes longer than filling them: all chunks share two.
    scratch = np.empty((2, min(rows, at_once), n, min(n, REFERENCE_POINTS)))
    for first in range(0, rows, at_once):
        part = slice(first, first + at_once)
        scores = _standardised(values[part], ranked[part], scratch)
        sums = np.abs(scores.cumsum(axis=2)[:, :, MIN_SEGMENT - 1 : n - MIN_SEGMENT])
        clear = np.maximum.reduce(sums, axis=1) / scale
        splits += zip(k[clear.argmax(axis=1)].tolist(), clear.max(axis=1).tolist(), strict=True)
    return splits


@lru_cache(maxsize=256)
def _places(n: int) -> tuple[Indices, Floats]:
    """First indices of the second part of n values, and the standard deviation of a sum of scores before each."""
    k = np.arange(MIN_SEGMENT, n - MIN_SEGMENT + 1)
    return k, np.sqrt(k * (n - k) / (n - 1.0))


def split_p_value(z: float, n: int) -> float:
    """Probability that the best split of n exchangeable values (n >= 2 * MIN_SEGMENT) is at least as significant as ``z``.

    The tail at one position is multiplied by the number of effectively independent ones (``independent_places``).
    """
    return min(1.0, place_p_value(z, n) * independent_places(n))


def place_p_value(z: float, n: int) -> float:
    """Probability at one position: the tail follows Student's t closely (the permutation distribution of a correlation)."""
    share = min(z * z / (n - 1.0), 1.0 - 1e-12)
    return 2.0 * student_tail(math.sqrt(share * (n - 2.0) / (1.0 - share)), n - 2.0)


def independent_places(n: int) -> float:
    """Positions of a split of n values that count as independent.

    The correlation of a standardised bridge decays at a constant rate on the scale of log odds of the position (Csorgo,
    Horvath, Limit Theorems in Change-Point Analysis, 1997), so that number grows with the log odds searched; both constants
    were fitted to simulations of normal, exponential, heavy-tailed, clustered and real noise for n from 12 to 320, where the
    p-value holds within a factor of two.
    """
    return 5.0 + 30.0 * math.log((n - MIN_SEGMENT) / MIN_SEGMENT)


def _standardised(values: Floats, ranked: Floats, scratch: Floats) -> Floats:
    """Scores of shape (rows, number of scores, n), each with mean 0 and variance 1 (all 0 when the values do not vary).
    ``scratch``: two arrays of at least (rows, n, points) to work in."""
    ordered = np.sort(values, axis=1)
    far = np.sort(np.abs(values - _middle(ordered)), axis=1)
    sigma, spread = MAD_TO_SIGMA * _middle(far), deviations(values)[1]
    sigma = np.where(sigma <= 1e-6 * spread, spread, sigma)  # if most values are equal, the others set the scale
    sigma[sigma <= 0] = 1.0  # all values are equal: all scores become 0
    n = values.shape[1]
    if n > REFERENCE_POINTS:
        ordered = ordered.take(_reference_points(n), axis=1)
    apart, kernel = scratch[:, : len(values)]
    np.subtract(values[:, :, None], ordered[:, None, :], out=apart)
    apart /= sigma[:, :, None]
    scores = np.empty((len(values), 1 + HALVINGS, n))
    scores[:, 0] = ranked
    _density_scores(apart, kernel, scores[:, 1:])
    bounded, spread = deviations(unit(scores).clip(-BOUND, BOUND))
    bounded /= np.maximum(spread, MIN_SPREAD)
    return bounded


@lru_cache(maxsize=256)
def _reference_points(n: int) -> Indices:
    """Positions among n ordered values of the quantiles that represent them."""
    at: Indices = ((np.arange(REFERENCE_POINTS) + 0.5) * n / REFERENCE_POINTS).astype(np.intp)
    return at


def _middle(ordered: Floats) -> Floats:
    """The median of each row, of values in ascending order; shape (rows, 1)."""
    n = ordered.shape[1]
    middle: Floats = (ordered[:, (n - 1) // 2, None] + ordered[:, n // 2, None]) / 2.0
    return middle


def deviations(values: Floats) -> tuple[Floats, Floats]:
    """Deviations from the mean along the last axis, and their standard deviation (the length of that axis becomes 1)."""
    n = values.shape[-1]  # sums, because NumPy's mean is several times as slow on small arrays
    centred = values - np.add.reduce(values, axis=-1, keepdims=True) / n
    return centred, np.sqrt(np.add.reduce(np.square(centred), axis=-1, keepdims=True) / n)


def unit(scores: Floats) -> Floats:
    """Scores of mean 0 and variance 1 along the last axis."""
    centred, spread = deviations(scores)
    spread[spread <= 1e-12] = np.inf  # without spread all scores become 0
    centred /= spread
    return centred


def _density_scores(apart: Floats, kernel: Floats, scores: Floats) -> None:
    """Minus the derivative of log Gaussian kernel densities, into ``scores`` (rows, HALVINGS, n). ``apart`` (rows, n,
    points) in widest bandwidths. ``kernel``: an array of that shape to work in."""
    ones = np.ones(apart.shape[-1])
    np.square(apart, out=kernel)
    kernel *= -0.5
    np.exp(kernel, out=kernel)
    for halving in range(HALVINGS):
        if halving:  # the same Gaussian at half the bandwidth
            for _ in range(2):
                np.square(kernel, out=kernel)
        weight = np.maximum(np.vecdot(kernel, ones), 1e-300)  # in half of the time of a sum along the last axis
        np.divide(np.vecdot(apart, kernel), weight, out=scores[:, halving])
