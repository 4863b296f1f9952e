"""What else changed with a rise of run times, and may be why: the number of items, the nodes, or the step that work was
taken from. And how its consequences are worded."""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.core import text
from concertmaster.core.analysis.nodes.slow import pool_of
from concertmaster.core.analysis.runs.changes import longest
from concertmaster.core.known import median
from concertmaster.core.model import RunRecord, StepExecution
from concertmaster.core.rules.evidence import Evidence
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


def before_start(evidence: Evidence, rise: Regression, step: str) -> str:
    """What of the ``step``'s rise passes before it executes, where that is half of it or more, in parentheses: its code is
    not what became slower."""
    sides = [[e for r in part if (e := _last(evidence.rows.runs[r.run], step)) is not None]
             for part in (rise.before, rise.after)]  # fmt: skip
    was, now = (median(e.span for e in side) for side in sides)
    if was is None or now is None:
        return ""
    found = []
    for name, seconds in (("scheduling latency", lambda e: e.scheduling_latency), ("startup", _starting)):
        old, new = (median(seconds(e) for e in side) for side in sides)
        if old is not None and new is not None and 2.0 * (new - old) >= now - was > 0.0:
            found.append((new - old, f" (most of it {name}: {text.duration(new)} instead of {text.duration(old)})"))
    return max(found, default=(0.0, ""))[1]


def _last(run: RunRecord, step: str) -> StepExecution | None:
    """The execution of the step that took longest from its creation on."""
    return max((e for e in run.steps if e.step == step and e.span), key=lambda e: e.span or 0.0, default=None)


def _starting(e: StepExecution) -> float | None:
    return e.started - e.scheduled if e.started is not None and e.scheduled is not None else None


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
    return f"; {evidence.title(name)} has {text.number(now)} items in a run instead of {text.number(was)} (medians)"


def other_nodes(evidence: Evidence, rise: Regression) -> str:
    """That all pods since then, or those of its step, ran on nodes of another kind, as a clause; empty where it is not
    known."""
    before, after = (
        [e for r in part for e in evidence.rows.runs[r.run].steps if e.node and rise.step in ("", e.step)]
        for part in (rise.before, rise.after)
    )
    for kinds in (_instance_types, _pools):
        was, now = kinds(before), kinds(after)
        if was and now:
            new, old = (text.listing(sorted(kind)) for kind in (now, was))
            whose = "its pods" if rise.step else "pods"
            return f"; all {whose} since then ran on {new}, none before (then {old})" if not was & now else ""
    return ""


def _instance_types(executions: Sequence[StepExecution]) -> set[str]:
    """Those of their nodes; none unless all are known."""
    types = {e.instance_type or "" for e in executions}
    return types if "" not in types else set()


def _pools(executions: Sequence[StepExecution]) -> set[str]:
    """Their nodes' names without unique suffixes; none where no two share one, or where they are addresses."""
    nodes = {e.node for e in executions if e.node}
    pools = {pool_of(node) for node in nodes}
    return pools if "" not in pools and len(pools) < len(nodes) else set()


def median_before(likely: float, was: float) -> str:
    """The median without the rise; ``was``: that of the runs before, which may be of other hours, or inputs."""
    shown = text.duration(likely)
    return f"{shown} median, as before" if shown == text.duration(was) else f"about {shown} median"


def weekly(evidence: Evidence, seconds: float) -> str:
    """`` (2h10m a week at the present rate)``, of so many seconds in each run; empty where the rate is unknown."""
    rate = evidence.analysis.cost.runs_per_month
    return f" ({text.duration(seconds * rate * 7 / 30)} a week at the present rate)" if rate else ""
