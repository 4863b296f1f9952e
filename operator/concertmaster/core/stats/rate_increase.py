"""Whether something has become more frequent: since a known position of a sequence, by a test after each value
(``first_excess``), and by how much since an unknown one (``increase``).

An unknown position that explains the sequence best is chosen with hindsight: an occurrence lies behind it, none before it,
and the share since then is too large. Here every position counts by its posterior probability (a change of a Bernoulli rate
with an unknown position and Jeffreys priors; Smith, "A Bayesian approach to inference about a change-point in a sequence of
random variables", Biometrika 1975).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.model import Interval
from concertmaster.core.stats.comparison import MIN_RUNS
from concertmaster.core.stats.exact import beta_binomial_tail

_CELLS = 256  # of a rate between 0 and 1
_MIN_WEIGHT = 1e-3  # of the most likely position's weight, from which another one counts
_TAIL = 0.05  # on each side of a 90% interval
_SIGNIFICANCE = 0.01  # share of sequences without an excess in which one is found


def increase(flags: Sequence[bool]) -> Interval | None:
    """By how much the share of true ``flags`` (oldest first) has increased (0 to 1), with its 90% interval; None where no
    position has a larger share behind it than before it."""
    hits, count = np.concatenate([[0], np.cumsum(np.array(flags, dtype=np.float64))]), len(flags)
    before = np.arange(1, count)
    early, since = hits[1:-1], count - before
    late = hits[-1] - early
    risen = late * before > early * since
    if not risen.any():
        return None
    weights = _evidence(early[risen], before[risen]) + _evidence(late[risen], since[risen])
    weights = np.exp(weights - weights.max())
    places = np.flatnonzero(risen)
    rates = (np.arange(_CELLS) + 0.5) / _CELLS
    shape = np.zeros(2 * _CELLS - 1)
    for k in np.flatnonzero(weights >= _MIN_WEIGHT):
        at = places[k]
        old, new = _rate(rates, early[at], before[at]), _rate(rates, late[at], since[at])
        shape += weights[k] * np.convolve(new, old[::-1])
    shape = shape[_CELLS - 1 :] / shape[_CELLS - 1 :].sum()  # it has increased
    steps, below = np.arange(_CELLS) / _CELLS, np.cumsum(shape)
    low, high = (float(steps[min(int(np.searchsorted(below, p)), _CELLS - 1)]) for p in (_TAIL, 1.0 - _TAIL))
    return Interval(low, min(max(float(shape @ steps), low), high), high)


def _evidence(hits: Floats, of: Floats) -> Floats:
    """Logarithm of the marginal likelihood of ``hits`` of ``of`` at a rate with Jeffreys' prior."""
    return np.array(
        [math.lgamma(h + 0.5) + math.lgamma(n - h + 0.5) - math.lgamma(n + 1.0) for h, n in zip(hits, of, strict=True)]
    )


def _rate(rates: Floats, hits: float, of: float) -> Floats:
    """Posterior probability of each of ``rates``."""
    logs = (hits - 0.5) * np.log(rates) + (of - hits - 0.5) * np.log1p(-rates)
    shape = np.exp(logs - logs.max())
    return np.asarray(shape / shape.sum())


def first_excess(bad: Sequence[bool], earlier: float, before: float) -> tuple[int, int] | None:
    """The number of bad ones among the first of ``bad`` (in order) that ``earlier`` bad ones of ``before`` do not explain,
    and of those first ones; None while they do, or for too few before. May be asked again after each.

    Each bad one is judged by its probability under the share before (Beta-binomial prediction, Jeffreys prior); the k-th
    spends 4 (k - 1) / (k (k + 1) (k + 2)) of the significance, which sums to all of it for any number of them, and leaves
    more to the third to tenth than 1 / (k (k + 1)) does: shares of a few percent show by these.
    """
    if before < MIN_RUNS:
        return None
    a, b = earlier + 0.5, before - earlier + 0.5
    k = 0
    for number, wrong in enumerate(bad, start=1):
        k += wrong
        spent = 4.0 * (k - 1) / (k * (k + 1) * (k + 2)) if wrong else 0.0
        if wrong and beta_binomial_tail(k, number, a, b) <= _SIGNIFICANCE * spent:
            return k, number
    return None
