"""Exact tests of small counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from concertmaster.core import arrays as np
from concertmaster.core.stats.quantiles import beta_cdf


def binomial_tail(least: int, count: int, share: float) -> float:
    """Probability of at least ``least`` among ``count`` when each is one with probability ``share`` (0 to 1)."""
    return beta_cdf(share, least, count - least + 1) if least > 0 else 1.0


def beta_binomial_tail(least: int, count: int, a: float, b: float) -> float:
    """Probability of at least ``least`` among ``count`` when each is one with a probability distributed as Beta(a, b)."""
    lead = math.lgamma(count + 1) - _log_beta(a, b)
    tail = 0.0
    for k in range(least, count + 1):
        tail += math.exp(lead - math.lgamma(k + 1) - math.lgamma(count - k + 1) + _log_beta(a + k, b + count - k))
    return min(1.0, tail)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def fisher(good_before: int, bad_before: int, good_now: int, bad_now: int) -> float | None:
    """Two-sided p-value of Fisher's exact test that both success rates are the same; None when one side is empty."""
    before, now = good_before + bad_before, good_now + bad_now
    if not before or not now:
        return None
    good, bad = good_before + good_now, bad_before + bad_now
    if not good or not bad:
        return 1.0
    first, last = max(0, before - bad), min(good, before)
    # Logarithms of consecutive hypergeometric weights: factorials of large counts overflow.
    k = np.arange(first, last, dtype=np.float64)
    steps = np.log((good - k) * (before - k)) - np.log((k + 1) * (bad - before + k + 1))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    weights = np.exp(logs - logs.max())
    seen = weights[good_before - first]
    return float(min(1.0, weights[weights <= seen * (1 + 1e-9)].sum() / weights.sum()))


def all_within(part: int, count: int, of: int) -> float:
    """Probability that ``count`` drawn from ``of`` are all among ``part`` of them."""
    return math.comb(part, count) / math.comb(of, count)


OVER = 0.01  # probability of as many values without it, if it went on, below which it is over
_QUIET_VALUES = 3  # values since the last one
USUAL_PAUSE = 2  # values without it that are nothing unusual


def is_over(seen: Sequence[bool], level: float = OVER) -> bool:
    """Whether what was ``seen`` at times (oldest first) is over: in none of the newest, which is chance below ``level``."""
    quiet = [*reversed(seen), True].index(True)
    return len(seen) > quiet >= _QUIET_VALUES and all_within(len(seen) - quiet, sum(seen), len(seen)) < level


def is_over_beyond_pauses(seen: Sequence[bool]) -> bool:
    """Whether what was ``seen`` at times is over as in ``is_over``, and has been away for more than twice as long as it was
    between any two times: what comes back each night or weekend has been away before."""
    there = [-1, *(place for place, one in enumerate(seen) if one)]
    since = len(seen) - 1 - there[-1]
    pause = max((b - a for a, b in pairwise(there)), default=1) - 1
    return since > 2 * max(pause, USUAL_PAUSE) and is_over(seen)


NEWER = (1 / 2, 1 / 3, 1 / 4)  # shares of the end of a sequence that are compared with the rest
_MIN_VALUES = 5  # values on each side


def shift(good: Sequence[bool], level: float) -> tuple[int, bool] | None:
    """Significant change at ``level`` of the share of good ones (oldest first): the position from which the newest half,
    third or quarter differs most, and whether it is better there; None without one. The three tests share the level."""
    candidates: list[tuple[float, int]] = []
    for share in NEWER:
        at = len(good) - round(len(good) * share)
        older, newer = good[:at], good[at:]
        if min(len(older), len(newer)) >= _MIN_VALUES:
            p = fisher(sum(older), len(older) - sum(older), sum(newer), len(newer) - sum(newer))
            if p is not None and p < level / len(NEWER):
                candidates.append((p, at))
    if not candidates:
        return None
    at = min(candidates)[1]
    return at, sum(good[at:]) * at > sum(good[:at]) * (len(good) - at)
