"""What became of everything else meanwhile: other workflows as the control of a before/after verification.

A verification takes what comes after a change for the work of the change, also new nodes, a slow registry, or a cluster that
was relieved of other work. Workflows that nobody changed see all of that and not the change (difference in differences, e.g.
Angrist, Pischke, Mostly Harmless Econometrics, 2009, ch. 5). What they have in common is taken out of the comparison where
it is surely there; where the others stay as they were, or are too few to tell, it is what it was without them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core.changes.before_after import BeforeAfter, comparable, good
from concertmaster.core.stats.comparison import MARGIN, MIN_RUNS, Common, compare

LEAST = 5  # workflows; with fewer even unanimity is no evidence
_COVERAGE = 0.90


def common(others: Sequence[BeforeAfter]) -> Common | None:
    """The common factor of workflows that nobody changed; None where there is none that matters, or too few can tell.

    The interval is that of the median by the signs of the differences (Conover, Practical Nonparametric Statistics, 1999):
    each workflow's own drift and noise count by their rank only, and a few that went astray move nothing.
    """
    ratios = sorted(r for r in map(_ratio, others) if r is not None)
    if len(ratios) < LEAST:
        return None
    cut = _cut(len(ratios))
    low, high = ratios[cut], ratios[-1 - cut]
    middle = math.sqrt(ratios[(len(ratios) - 1) // 2] * ratios[len(ratios) // 2])
    if low <= 1.0 <= high or abs(math.log(middle)) < math.log1p(MARGIN):
        return None
    return Common(len(ratios), middle, low, high)


def _ratio(found: BeforeAfter) -> float | None:
    """Durations after over durations before at equal input size; None with too few runs."""
    sizes = comparable(found)
    before, after = good(found.before), good(found.after)
    if min(len(before), len(after)) < MIN_RUNS:
        return None
    seen = compare(
        [r.makespan for r in before],
        [r.makespan for r in after],
        inputs_before=[sizes[r.run] for r in before],
        inputs_after=[sizes[r.run] for r in after],
    )
    return seen.ratio if math.isfinite(seen.ratio) and seen.ratio > 0 else None


def _cut(count: int) -> int:
    """How many of the smallest and of the largest values the interval of the median leaves out."""
    beyond, cut = 1.0 / 2.0**count, 0
    while 1.0 - 2.0 * (beyond + math.comb(count, cut + 1) / 2.0**count) >= _COVERAGE:
        cut += 1
        beyond += math.comb(count, cut) / 2.0**count
    return cut
