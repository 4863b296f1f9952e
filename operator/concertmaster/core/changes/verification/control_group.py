"""Other workflows as the control group of a before/after verification.

A verification attributes everything after a change to the change, including new nodes, a slow registry, or a cluster
relieved of other work. Unchanged workflows are affected by all of that but not by the change (difference in differences,
e.g. Angrist, Pischke, Mostly Harmless Econometrics, 2009, ch. 5). A significant common factor is removed from the
comparison; without one, or with too few workflows, the comparison stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from concertmaster.core.changes.verification.before_after import BASELINE, BeforeAfter, at_any_time, comparable, good
from concertmaster.core.changes.verification.harm import GRACE
from concertmaster.core.changes.verification.seasonality import of_known_days
from concertmaster.core.model import RunRecord
from concertmaster.core.stats.comparison import MARGIN, MIN_RUNS, CommonFactor, compare

MIN_WORKFLOWS = 5  # workflows; with fewer even unanimity is no evidence
_COVERAGE = 0.90
_IDLE = 1.1  # times the longest pause before, from which on a pause is an unusual one


def common_factor(others: Sequence[BeforeAfter], since: float = -math.inf) -> CommonFactor | None:
    """The common factor of unchanged workflows; None when there is no significant one, or too few workflows. Runs before
    ``since`` (unix seconds) only tell hours and weekends.

    The interval is that of the median by the sign test (Conover, Practical Nonparametric Statistics, 1999): drift and noise
    of each workflow count by rank only, so that a few outliers have no effect.
    """
    ratios = sorted(r for r in (_ratio(other, since) for other in others) if r is not None)
    if len(ratios) < MIN_WORKFLOWS:
        return None
    cut = _cut(len(ratios))
    low, high = ratios[cut], ratios[-1 - cut]
    middle = math.sqrt(ratios[(len(ratios) - 1) // 2] * ratios[len(ratios) // 2])
    if low <= 1.0 <= high or abs(math.log(middle)) < math.log1p(MARGIN):
        return None
    return CommonFactor(len(ratios), middle, low, high)


def shared_pauses(others: Iterable[Sequence[RunRecord]], applied: float, until: float) -> list[tuple[float, float]]:
    """Spans from ``applied`` to ``until`` (unix seconds) in which most of the ``others``, each by its runs, paused longer
    than usual: what starts them was down, or no pods were admitted. Only those count that had to run since."""
    each = [spans for runs in others if (spans := _pauses(runs, applied, until)) is not None]
    if len(each) < MIN_WORKFLOWS:
        return []

    def paused(begin: float, end: float) -> int:
        return sum(any(a <= begin and end <= b for a, b in spans) for spans in each)

    edges = sorted({applied, until, *(t for spans in each for span in spans for t in span if applied < t < until)})
    return [(a, b) for a, b in pairwise(edges) if 2 * paused(a, b) > len(each)]


def _pauses(runs: Sequence[RunRecord], applied: float, until: float) -> list[tuple[float, float]] | None:
    """The unusual pauses between its runs since ``applied``; None where it had not to run since."""
    dated = sorted((r.start, r.makespan or 0.0) for r in runs if r.start is not None and r.start <= until)
    before = [(start, seconds) for start, seconds in dated if start <= applied][-BASELINE:]
    if len(before) < MIN_RUNS:
        return None
    longest = _IDLE * max(b - a for (a, _), (b, _) in pairwise(before))
    known = GRACE + max(seconds for _, seconds in before)  # seconds from its start on
    starts = [before[-1][0], *(start for start, _ in dated if start > applied)]
    pauses = [(a, b) for a, b in pairwise(starts) if b - a > longest]
    if until - starts[-1] > longest + known:
        pauses.append((starts[-1], until))
    return pauses if pauses or len(starts) > 1 else None


def _ratio(before_after: BeforeAfter, since: float) -> float | None:
    """Ratio of durations after to before at equal input size and time; None with too few runs, on days of known kinds."""
    seconds, sizes = at_any_time(before_after, comparable(before_after))
    known = of_known_days(before_after.before, before_after.after)
    before, after = (
        [r for r in good(side) if r.start is not None and r.start >= since] for side in (before_after.before, known)
    )
    if min(len(before), len(after)) < MIN_RUNS:
        return None
    seen = compare(
        [seconds.amounts[r.run] for r in before],
        [seconds.amounts[r.run] for r in after],
        inputs_before=[sizes[r.run] for r in before],
        inputs_after=[sizes[r.run] for r in after],
    )
    return seen.ratio if math.isfinite(seen.ratio) and seen.ratio > 0 else None


def _cut(count: int) -> int:
    """How many of the smallest and of the largest values lie outside the interval of the median."""
    beyond, cut = 1.0 / 2.0**count, 0
    while 1.0 - 2.0 * (beyond + math.comb(count, cut + 1) / 2.0**count) >= _COVERAGE:
        cut += 1
        beyond += math.comb(count, cut) / 2.0**count
    return cut
