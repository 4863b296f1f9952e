"""What else changed with a rise of run times, and may be why: the number of items, the nodes, or the step that work was
taken from."""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.core import text
from concertmaster.core.analysis.runs.changes import longest
from concertmaster.core.known import median
from concertmaster.core.model import StepExecution
from concertmaster.core.rules.base import Evidence
from concertmaster.core.rules.reliability.comparable_times import Timed
from concertmaster.core.rules.reliability.regressions import Regression

_NEAR = 2  # runs by which two change points of the same change may be apart


def shorter_step(evidence: Evidence, rise: Regression, least: float) -> tuple[str, float, float] | None:
    """The step whose longest executions became shorter by most with the ``rise`` of another, by at least half of what that
    takes longer, with its median seconds before and after: work may have moved. None without one. ``least``: share by which
    a step must change."""
    was, now = rise.medians
    ends = [r.end for r in evidence.analysis.runs if r.end is not None]
    seconds = [_longest(evidence, part) for part in (rise.before, rise.after)]
    found = []
    for step in evidence.analysis.steps:
        times = [p.time for p in step.trend.points if p.ratio <= 1.0 / (1.0 + least)]
        near = any(
            sum(min(t, rise.point.time) <= end < max(t, rise.point.time) for end in ends) <= _NEAR for t in times
        )
        old, new = (median(of[step.step] for of in side if step.step in of) for side in seconds)
        if near and old is not None and new is not None and 2.0 * (old - new) >= now - was:
            found.append((step.step, old, new))
    return max(found, key=lambda s: s[1] - s[2], default=None)


def _longest(evidence: Evidence, part: Sequence[Timed]) -> list[dict[str, float]]:
    return [longest(evidence.rows.runs[r.run]) for r in part]


def more_items(evidence: Evidence, rise: Regression, least: float) -> str:
    """The fan-out with more items since then, as a clause; empty without one. ``least``: share by which they rise."""
    found = []
    for step in evidence.analysis.steps:
        by_run = evidence.rows.all.get(step.step, {})
        sides = [[len({e.item for e in by_run[r.run]}) for r in part if r.run in by_run] for part in
                 (rise.before, rise.after)]  # fmt: skip
        was, now = (median(map(float, side)) for side in sides)
        if was and now and now >= (1.0 + least) * was:
            found.append((now / was, step.step, was, now))
    if not found:
        return ""
    _, name, was, now = max(found)
    return f"; {evidence.title(name)} has {now:g} items in a run instead of {was:g} (medians)"


def other_nodes(evidence: Evidence, rise: Regression) -> str:
    """That all pods since then ran on nodes of another kind, as a clause; empty where that is not known."""
    before, after = (
        {_kind(e) for r in part for e in evidence.rows.runs[r.run].steps if e.node and rise.step in ("", e.step)}
        for part in (rise.before, rise.after)
    )
    if not before or not after or before & after:
        return ""
    return (
        f"; all pods since then ran on {text.listing(sorted(after))}, none before (then {text.listing(sorted(before))})"
    )


def _kind(e: StepExecution) -> str:
    """The instance type of its node, or its pool: the node's name without its unique suffix."""
    return e.instance_type or f"{(e.node or '').rpartition('-')[0] or e.node}-*"
