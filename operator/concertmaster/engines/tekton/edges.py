"""Which tasks of a PipelineRun waited for which, and since when each was ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from concertmaster.core.attempts import last_attempts
from concertmaster.core.model import Outcome, StepExecution, StepSpec

_Waited = tuple[tuple[str, ...], float | None, bool]
"""The dependencies of a step, when the last of them had ended (unix seconds; None if unknown), and whether some ran without
a TaskRun that tells their end: custom tasks, pipelines in pipelines, and those whose TaskRun is gone."""


def with_edges(
    steps: Sequence[StepExecution], graph: Sequence[StepSpec], start: float | None, last: float | None
) -> list[StepExecution]:
    """Executions with ready times and edges taken: skipped tasks pass their dependencies on, handlers start once all
    others have ended."""
    specs = {s.name: s for s in graph}
    ran: dict[str, list[StepExecution]] = {}
    skipped = {e.step for e in steps if e.outcome is Outcome.SKIPPED}
    for e in steps:
        if e.outcome is not Outcome.SKIPPED:
            ran.setdefault(e.step, []).append(e)
    waited: dict[str, _Waited] = {}
    alike: dict[tuple[str, ...], _Waited] = {}  # shared, as all handlers have the same dependencies
    for spec in graph:  # in topological order
        if spec.depends_on not in alike:
            names: set[str] = set()
            elsewhere = False
            for d in spec.depends_on:
                gone = d in waited and d not in ran and d not in skipped
                names |= {d} if d in ran or (gone and not specs[d].waits) else set()
                if d in waited and d not in ran:
                    names |= set(waited[d][0])
                    elsewhere = elsewhere or gone or waited[d][2]
            above = tuple(sorted(names))
            ends = [None if elsewhere else _end(ran[n]) for n in above]
            known = [t for t in ends if t is not None]
            alike[spec.depends_on] = above, max(known) if known and len(known) == len(ends) else None, elsewhere
        waited[spec.name] = alike[spec.depends_on]
    by_attempt = {(e.step, e.item, e.attempt): e for e in steps}
    out = []
    for e in steps:
        declared = specs.get(e.step)
        if e.attempt > 0:
            before = by_attempt.get((e.step, e.item, e.attempt - 1))
            out.append(replace(e, ready=before.finished if before else None, after=(e.step,)))
            continue
        if declared is None or e.outcome is Outcome.SKIPPED:
            out.append(e)
            continue
        above, ended, elsewhere = waited[declared.name]
        ready = ended if above or elsewhere else start
        if declared.on_exit and last is not None and (ready is None or not above):
            ready = last  # fallback: the controller may record the start of handlers after they have started
        out.append(replace(e, ready=ready, after=above))
    return out


def _end(rows: Sequence[StepExecution]) -> float | None:
    ends = [e.finished for e in last_attempts(rows)]
    known = [t for t in ends if t is not None]
    return max(known) if known and len(known) == len(ends) else None
