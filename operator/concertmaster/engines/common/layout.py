"""Start and finish of steps without pods: a duration query yields only how long they took, the graph determines
when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from concertmaster.core.attempts import begin
from concertmaster.core.model import StepExecution, WorkflowGraph
from concertmaster.engines.common.placing import QUERIED


def lay_out(executions: Sequence[StepExecution], graph: WorkflowGraph) -> list[StepExecution]:
    """Executions with start and finish computed for those that came from a duration query.

    Such a step starts when its dependencies end; a first step ends when the first pod that depends on it was created.
    In a run without pods the steps follow each other, and the last one ends when the durations were queried. Attempts
    before the last one are only counted and take no time.
    """
    asked = [e for e in executions if e.uid is not None and e.uid.startswith(QUERIED)]
    if not asked:
        return list(executions)
    last = {e.step: e.attempt for e in sorted(asked, key=lambda e: e.attempt)}
    loose = {e.step: e for e in asked if e.started is None and e.attempt == last[e.step]}
    earlier = [e for e in asked if e.attempt < last[e.step]]
    if not loose and not earlier:
        return list(executions)
    counted = set(map(id, earlier))
    real = [e for e in executions if e.step not in loose and id(e) not in counted]
    by_step: dict[str, list[StepExecution]] = {}
    for e in real:
        by_step.setdefault(e.step, []).append(e)
    ends = {name: _latest(rows) for name, rows in by_step.items()}
    begins = {name: min(map(begin, rows)) for name, rows in by_step.items()}
    first = min((begin(e) for e in real), default=0.0)
    placed: dict[str, StepExecution] = {}
    for step in graph.steps:
        asked_for = loose.get(step.name)
        if asked_for is None:
            continue
        seconds = asked_for.extra.get("duration_seconds", 0.0)
        above = [t for t in (ends.get(d) for d in step.depends_on) if t is not None]
        waiting = [begins[s.name] for s in graph.steps if s.name in begins and step.name in s.depends_on]
        start = max(above) if above else (min(waiting) - seconds if waiting else first)
        placed[step.name] = replace(asked_for, started=start, finished=start + seconds)
        ends[step.name] = start + seconds
    if not real:
        shift = min(e.finished or 0.0 for e in loose.values()) - max(e.finished or 0.0 for e in placed.values())
        placed = {
            n: replace(e, started=(e.started or 0.0) + shift, finished=(e.finished or 0.0) + shift)
            for n, e in placed.items()
        }
    done = [*real, *(placed.get(e.step, e) for e in loose.values())]
    starts = {e.step: e.started for e in done if e.step in last and e.attempt == last[e.step]}
    return [*done, *(replace(e, started=starts.get(e.step), finished=starts.get(e.step)) for e in earlier)]


def _latest(rows: Sequence[StepExecution]) -> float | None:
    ends = [e.finished for e in rows if e.finished is not None]
    return max(ends) if len(ends) == len(rows) else None
