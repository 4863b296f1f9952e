"""Shared by rules on waiting: runs whose waits are known, and since when they wait, the hour that stands out, and the
requests of a pod.

The replay takes an unknown creation or binding for the next known time, so a wait that it leaves without seconds is not
always a wait of zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from concertmaster.core import text
from concertmaster.core.analysis.replay import ExecutedRun
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.known import median
from concertmaster.core.model import RunRecord, StepExecution
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.times import weekend
from concertmaster.core.units import DAY, HOUR

_MIN_WAITS = 3  # waits required in an hour
_SIGNIFICANCE = 0.01  # of as many days in a row that waited, or did not, by which the change is taken for real
_ONCE = 7  # days, on one of which runs waited, that tell nothing of how often they do

PENDING = "pending"  # from creation to binding
STARTING = "starting"  # from binding to the start of a main container
BEFORE_WORK = "before_work"  # both, which are known together where the binding is not


def measured(evidence: Evidence, runs: Sequence[ExecutedRun], field: str) -> list[ExecutedRun]:
    """Those of ``runs`` in which ``field`` (PENDING, STARTING or BEFORE_WORK) of every pod on the critical path is known;
    none where they are too few for a recommendation."""
    records = evidence.analysis.runs
    lacking = evidence.analysis.figures.of_each(_lacking, records)
    unknown = {record.run: found for record, found in zip(records, lacking, strict=True) if found}
    found = [run for run in runs if run.run not in unknown or _complete(run, unknown[run.run], field)]
    return found if len(found) >= min(len(runs), evidence.analysis.policy.analysis.min_runs) else []


def lasting(evidence: Evidence, runs: Sequence[ExecutedRun], waited: Sequence[bool]) -> Sequence[ExecutedRun]:
    """Those of ``runs`` since they began to wait, all where that is not clear, and none where they have stopped waiting, or
    did so on a single day. ``waited``: whether each did.

    The unit is the day, on which most runs waited or did not: runs of other hours say nothing of a change. Nor do weekends
    beside working days alone, as in the first week.
    """
    begun = {r.run: r.start for r in evidence.analysis.runs if r.start is not None}
    known = [(begun[run.run], own) for run, own in zip(runs, waited, strict=True) if run.run in begun]
    last = max((start for start, _ in known), default=0.0)
    by_day: dict[int, list[bool]] = {}
    weekends: dict[int, list[bool]] = {}
    for start, own in known:
        by_day.setdefault(day := _days(last - start), []).append(own)
        weekends.setdefault(day, []).append(weekend(start))
    if len(by_day) >= _ONCE and sum(map(any, by_day.values())) == 1:
        return []
    order = sorted(by_day)  # the newest first
    days = [_most(by_day[day]) for day in order]
    alike = next((k for k, waits in enumerate(days) if waits is not days[0]), len(days))
    newest, before = order[:alike], days[alike:]
    usual = (sum(waits is days[0] for waits in before) + 1) / (len(before) + 2)
    comparable = {_most(weekends[day]) for day in newest} & {_most(weekends[day]) for day in order[alike:]}
    if not comparable or usual**alike >= _SIGNIFICANCE:
        return runs
    if not any(any(by_day[day]) for day in newest):
        return []
    since = [run for run in runs if run.run in begun and _days(last - begun[run.run]) <= newest[-1]]
    return since if len(since) >= evidence.analysis.policy.analysis.min_runs else runs


def _most(flags: Sequence[bool]) -> bool:
    return 2 * sum(flags) > len(flags)


def _days(seconds: float) -> int:
    """Days from then to the newest run. They begin at no time at which a schedule starts runs, which is kept to seconds or
    so: two of a daily one must not be of the same day."""
    return int(seconds / DAY + 0.3)


def window_of(evidence: Evidence, runs: Sequence[ExecutedRun]) -> str:
    """``in 12 runs (5d)``, of these runs."""
    names = {run.run for run in runs}
    if names == {run.run for run in evidence.recent()}:
        return evidence.recent_runs(len(runs))
    first = min((r.start for r in evidence.analysis.runs if r.run in names and r.start is not None), default=None)
    if first is None:
        return evidence.recent_runs(len(runs))
    return f"in {text.count(len(runs), 'run')} ({text.window(evidence.analysis.now - first)})"


def most_on_nodes(run: ExecutedRun, *, pending: bool = False) -> int:
    """The most pods of a run on nodes at the same time; those that wait for one count only if ``pending``."""
    rows = [a for chains in run.chains for chain in chains for a in chain]
    begun = [a.finished - (a.span if pending else a.starting + a.work) for a in rows]
    edges = sorted([(time, 1) for time in begun] + [(a.finished, -1) for a in rows])
    return max(accumulate(change for _, change in edges), default=0)


def _complete(run: ExecutedRun, lacking: Mapping[int, StepExecution], field: str) -> bool:
    return all(a.source not in lacking or _known(lacking[a.source], field) for a in run.critical)


def _lacking(run: RunRecord) -> dict[int, StepExecution]:
    """The pods of the run without one of the times, by their position."""
    return {
        position: e
        for position, e in enumerate(run.steps)
        if (e.created is None or e.scheduled is None or e.started is None) and e.pod is not None
    }


def _known(e: StepExecution, field: str) -> bool:
    """Whether this part of the pod's time is known, or is none: one that got no node has no binding, and one that failed
    may have no start."""
    created = e.created is not None or field == STARTING
    bound = e.scheduled is not None or field == BEFORE_WORK or (e.node is None and e.started is None)
    return created and bound and (e.started is not None or field == PENDING or not e.outcome.timed)


def worst_hour(waits: Iterable[tuple[float, float]]) -> int | None:
    """The hour of the day (UTC) with the longest waits, from (unix seconds, seconds waited) pairs; None unless it is twice
    as long as the others."""
    by_hour: dict[int, list[float]] = {}
    for moment, seconds in waits:
        by_hour.setdefault(int(moment % DAY // HOUR), []).append(seconds)
    medians = {h: median(v) or 0.0 for h, v in by_hour.items() if len(v) >= _MIN_WAITS}
    if len(medians) < 2:
        return None
    worst = max(medians, key=medians.__getitem__)
    rest = median([v for h, v in medians.items() if h != worst]) or 0.0
    return worst if medians[worst] >= 2 * max(rest, 1.0) else None


def pod_requests(step: StepAnalysis) -> str:
    """CPU and memory requests of a pod of the step, as text; empty without either."""
    cores = sum(c.cpu_request or 0.0 for c in step.containers)
    memory = sum(c.memory_request or 0.0 for c in step.containers)
    return " and ".join([*([text.cores(cores)] if cores else []), *([text.memory(memory)] if memory else [])])
