"""How clearly a stretch of values splits in two levels, whatever the noise is like.

Each value gets scores that depend on the set of values only, not on their order. If nothing changed, every order is
equally likely, so the running sum of a score is a bridge whose spread is known exactly: that makes the test valid for
skewed, heavy-tailed and clustered noise alike (adaptive rank tests: Hajek, Sidak, Sen, Theory of Rank Tests, 1999,
chapter 8). Three scores are used: normal scores (best for bell-shaped noise) and the derivative of the log density of
the values smoothed at two widths (best for noise in clusters, such as a step that meets small and large inputs).
"""

from __future__ import annotations

import math

import numpy as np

from concertmaster.core.stats.quantiles import student_tail
from concertmaster.core.stats.ranks import normal_scores
from concertmaster.core.stats.robust import mad_sigma
from concertmaster.core.stats.summary import Floats

HALVINGS = 3  # bandwidths of the density: 1, 1/2 and 1/4 robust standard deviations, the bulk and clusters inside it
REFERENCE_POINTS = 48  # quantiles that stand for the sample in the density; more change nothing but the time
BOUND = (
    2.5  # no single value weighs more than that many standard deviations, or a few outliers at the end would be a level
)


def best_split(values: Floats, minimum: int) -> tuple[int, float]:
    """Where ``values`` (shape (n,), n >= 2 * minimum) split best, and how clearly.

    Returns the first index of the second part, with at least ``minimum`` values on both sides, and the largest
    standardised score sum there: standard normal at a given place and without change.
    """
    n = values.size
    scores = _standardised(values)
    k = np.arange(minimum, n - minimum + 1)
    sums = np.abs(np.cumsum(scores, axis=1)[:, k - 1])
    clear = sums.max(axis=0) / np.sqrt(k * (n - k) / (n - 1.0))
    best = int(np.argmax(clear))
    return int(k[best]), float(clear[best])


def split_p_value(z: float, n: int, minimum: int) -> float:
    """Probability that the best split of n exchangeable values is as clear as ``z``.

    The tail at one place follows Student's t closely (the permutation distribution of a correlation); it is multiplied
    by the number of effectively independent places. A standardised bridge forgets itself at a constant rate on the
    scale of log odds of the position (Csorgo, Horvath, Limit Theorems in Change-Point Analysis, 1997), so that number
    grows with the log odds searched; both constants were fitted to simulations of normal, exponential, heavy-tailed,
    clustered and real noise for n from 12 to 320, where the formula holds within a factor of two.
    """
    if n < 3 or n < 2 * minimum:
        return 1.0
    share = min(z * z / (n - 1.0), 1.0 - 1e-12)
    t = math.sqrt(share * (n - 2.0) / (1.0 - share))
    places = 5.0 + 30.0 * math.log((n - minimum) / minimum)
    return min(1.0, 2.0 * student_tail(t, n - 2.0) * places)


def _standardised(values: Floats) -> Floats:
    """Scores of shape (number of scores, n), each with mean 0 and variance 1 (all 0 when the values do not vary)."""
    rows = [normal_scores(values)]
    sigma, spread = mad_sigma(values), float(values.std())
    if sigma <= 1e-6 * spread:  # most values are equal: the others set the scale
        sigma = spread
    if sigma > 0:
        ordered = np.sort(values)
        if ordered.size > REFERENCE_POINTS:
            at = (np.arange(REFERENCE_POINTS) + 0.5) * ordered.size / REFERENCE_POINTS
            ordered = ordered[at.astype(np.intp)]
        rows += _density_scores((values[:, None] - ordered[None, :]) / sigma)
    scores = _unit(np.stack(rows))
    return _unit(np.clip(scores, -BOUND, BOUND))


def _unit(scores: Floats) -> Floats:
    n = scores.shape[1]  # sums, as means of small arrays take NumPy several times as long
    centred = scores - scores.sum(axis=1, keepdims=True) / n
    spread = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / n)
    unit: Floats = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)
    return unit


def _density_scores(apart: Floats) -> list[Floats]:
    """Minus the derivative of the log of Gaussian kernel densities; ``apart`` (n, points) is in the widest bandwidth."""
    kernel = np.exp(-0.5 * apart * apart)
    rows = []
    for _ in range(HALVINGS):
        weight: Floats = np.maximum(kernel.sum(axis=1), 1e-300)
        rows.append((apart * kernel).sum(axis=1) / weight)
        kernel = np.square(np.square(kernel))  # the same Gaussian at half the bandwidth
    return rows
