"""Comparison of runs that is made once, with a stated error rate."""

from __future__ import annotations

import math

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.comparison.result import CommonFactor, Comparison, judged, ratio_interval, too_few
from concertmaster.core.stats.comparison.sides import MIN_RUNS, Durations, prepared
from concertmaster.core.stats.exact import fisher
from concertmaster.core.stats.quantiles import student_quantile, student_tail
from concertmaster.core.stats.summary import as_floats

LEVEL = 0.04  # nominal; on real step durations 3.6 to 4.7% of comparisons without a change are significant


def compare(
    before: Durations,
    after: Durations,
    *,
    inputs_before: Durations | None = None,
    inputs_after: Durations | None = None,
    level: float = LEVEL,
    common: CommonFactor | None = None,
    error: float = 0.0,
) -> Comparison:
    """Fixed-sample test of ``after`` against ``before`` (seconds per run; any positive quantity works).

    Worse or Improved when the interval lies on one side of 1; Same when it lies within ``MARGIN``; else Inconclusive.
    Missing, infinite and non-positive values are ignored. With input sizes of one unit for at least three quarters of the
    runs of both sides, durations are compared at equal input size (log-linear in the size). The ``common`` factor is
    removed, and its interval added to that of the ratio; ``error``: standard error of what was removed from the logs before.
    """
    groups, adjusted, counts = prepared(before, after, inputs_before, inputs_after)
    if groups is None:
        return too_few(counts)
    critical = student_quantile(1.0 - level / 2.0, groups.degrees)
    ratio, low, high = ratio_interval(groups, critical, error, common)
    p = min(1.0, 2.0 * student_tail(abs(groups.t()), groups.degrees))
    verdict, reason = judged(low, high, common, adjusted)
    return Comparison(verdict, ratio, low, high, p, *counts, adjusted, reason)


def compare_amounts(before: Durations, after: Durations, *, level: float = LEVEL) -> Comparison:
    """``compare`` for figures that may be zero, such as waiting or waste; missing and negative values are ignored.

    Logarithms would drop the zeros and compare something else. If there are any, the test is whether large values are more
    frequent on one side (Mood's median test, 1950, by Fisher's exact test): Worse when more frequent after, Improved when
    less, else Inconclusive. ``ratio`` is then that of the means, NaN when the earlier is zero, and has no interval.
    """
    sides = [x[np.isfinite(x) & (x >= 0)] for x in (as_floats(before), as_floats(after))]
    counts = (sides[0].size, sides[1].size)
    if min(counts) < MIN_RUNS:
        return too_few(counts)
    if all(float(s.min()) > 0 for s in sides):
        return compare(sides[0], sides[1], level=level)
    p, more = _larger(sides[0], sides[1])
    mean = float(sides[0].mean())
    ratio = float(sides[1].mean()) / mean if mean > 0 else math.nan
    verdict = Verdict.INCONCLUSIVE if p >= level else Verdict.WORSE if more else Verdict.IMPROVED
    reason = "large values are as frequent as before" if p >= level else f"{'more' if more else 'fewer'} large values"
    return Comparison(verdict, ratio, 0.0, math.inf, p, *counts, False, reason)


def direction(before: Durations, after: Durations) -> Verdict:
    """``compare_amounts`` when only Worse or Improved matters (else Inconclusive): one evaluation of the score test of no
    shift is equivalent to its interval lying on one side of 1, and cheaper than the search for both ends."""
    sides = [x[np.isfinite(x) & (x >= 0)] for x in (as_floats(before), as_floats(after))]
    if min(s.size for s in sides) < MIN_RUNS:
        return Verdict.INCONCLUSIVE
    if not all(float(s.min()) > 0 for s in sides):
        return compare_amounts(sides[0], sides[1]).verdict
    groups, _, _ = prepared(sides[0], sides[1], None, None)
    if groups is None:
        return Verdict.INCONCLUSIVE
    t = groups.t()
    if abs(t) <= student_quantile(1.0 - LEVEL / 2.0, groups.degrees):
        return Verdict.INCONCLUSIVE
    return Verdict.WORSE if t > 0 else Verdict.IMPROVED


def _larger(before: Floats, after: Floats) -> tuple[float, bool]:
    """p-value of the hypothesis that values above the common median are equally frequent, and whether more are after."""
    together = np.concatenate([before, after])
    middle = float(np.median(together))
    # With many ties "above" and "at least" split differently; the more even split has more power.
    above, least = together > middle, together >= middle
    beyond = above if abs(float(above.mean()) - 0.5) <= abs(float(least.mean()) - 0.5) else least
    old, new = beyond[: before.size], beyond[before.size :]
    p = fisher(int(old.sum()), int((~old).sum()), int(new.sum()), int((~new).sum()))
    return (1.0 if p is None else p), float(new.mean()) > float(old.mean())
