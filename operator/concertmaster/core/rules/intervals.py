"""90% intervals of what rules report: means over runs, shares of runs, and increases without what chance added to them, as
only clear ones are reported."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from concertmaster.core.changepoint.clear import CLEAR_Z, SIGNIFICANCE
from concertmaster.core.model import Interval
from concertmaster.core.stats.means import combined, mean_with_interval
from concertmaster.core.stats.quantiles import Z90, normal_quantile
from concertmaster.core.stats.selection_bias import corrected_for_selection
from concertmaster.core.units import DAY

_MONTH = 30.0  # days
_ROUNDING_SHARE = 0.5  # of the least share of failing runs: rounding to whole runs takes no more from it


def mean_interval(values: Iterable[float], scale: float = 1.0) -> Interval | None:
    """Mean of per-run values with its 90% interval, times ``scale``; None when there are too few values."""
    interval = mean_with_interval(list(values))
    return interval.scaled(scale) if interval is not None else None


def wilson(share: float, of: float) -> tuple[float, float]:
    """The ends of the 90% interval of a share (0 to 1) of ``of`` > 0 (Wilson 1927)."""
    z2 = Z90**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z90 * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return max(0.0, middle - half), 1.0 if share >= 1.0 else min(1.0, middle + half)


def share_interval(count: int, of: int, alike: float = 1.0) -> Interval | None:
    """A share (0 to 1) with its 90% interval (Wilson 1927); None for none. ``alike``: how many times as wide it is as
    that of independent cases (``dependence``), which is that of fewer of them.

    Its low end is corrected for continuity (Newcombe 1998): only what was seen is reported, and where that is little, chance
    may have added to it.
    """
    if of <= 0 or count <= 0:
        return None
    share, z2, cases = count / of, Z90**2, of / alike**2
    _, high = wilson(share, cases)
    root = math.sqrt(max(0.0, z2 - 2.0 - 1.0 / cases + 4.0 * share * (cases * (1.0 - share) + 1.0)))
    low = (2.0 * share * cases + z2 - 1.0 - Z90 * root) / (2.0 * (cases + z2))
    return Interval(max(0.0, low), share, high)


def failed_share(failed: int, of: int, unseen: int, alike: float = 1.0) -> Interval | None:
    """Share (0 to 1) of ``of`` runs that failed, of which ``unseen`` may have failed or not; None for ``failed`` = 0.
    ``alike``: as in ``share_interval``.

    The convention of all rules: an end that was not seen counts as no failure, since a wrong promise is worse than a small
    one. The high end leaves it out instead: that is the share of those whose end was seen.
    """
    share = share_interval(failed, of, alike)
    seen = share_interval(failed, max(failed, of - unseen), alike) if unseen else None
    return replace(share, high=max(share.high, seen.high)) if share is not None and seen is not None else share


def in_share(amount: Interval, count: int, of: int) -> Interval:
    """``amount`` per month of what ``count`` of ``of`` runs (> 0) do, with the uncertainty of that share; none for all."""
    share = share_interval(count, of)
    if share is None or count >= of:
        return amount
    return combined(amount.likely, [amount, share.scaled(amount.likely / share.likely)])


def share_of_month(at: Interval, now: float, a_month: float | None) -> Interval:
    """Share (0 to 1) of the runs in the next 30 days that start after ``at`` (unix seconds): whole runs of the ``a_month``
    at each end, since where the next one falls is not known."""
    low, likely, high = (1.0 - (time - now) / DAY / _MONTH for time in (at.high, at.likely, at.low))
    one = 1.0 / a_month if a_month else 0.0
    low, high = min(low, max(low - one, _ROUNDING_SHARE * low)), high + one
    return Interval(*(min(1.0, max(0.0, share)) for share in (low, likely, high)))


def true_factor(chance: float, ratio: float, low: float, high: float) -> Interval:
    """The factor of an increase that is reported because it ``is_clear``, without what chance added to it."""
    logs = Interval(*(math.log(max(r, 1e-9)) for r in (low, ratio, min(high, 1e9))))
    # The smallest increase that would be clear: p-values of ranks hardly fall any more where there are few runs.
    by_chance = logs.likely * _deviations(SIGNIFICANCE) / max(_deviations(chance), _deviations(SIGNIFICANCE))
    by_size = CLEAR_Z * (logs.likely - logs.low) / 1.96
    truly = corrected_for_selection(logs, min(by_chance, by_size, logs.likely))
    return Interval(math.exp(truly.low), math.exp(truly.likely), math.exp(truly.high))


def _deviations(chance: float) -> float:
    """Standard deviations whose two-sided p-value is ``chance``."""
    return -normal_quantile(max(chance, 1e-16) / 2.0)


def share_of_present(truly: Interval) -> Interval:
    """The share (0 to 1) of the present time that a factor adds."""
    return Interval(*(max(0.0, 1.0 - 1.0 / max(1.0, r)) for r in (truly.low, truly.likely, truly.high)))
