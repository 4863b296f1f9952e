"""Requests of containers where the metrics source did not have them.

A container without requests has no series of them, so one that is missing tells nothing. A run of which no container at all
has a request, although the definition declares some or other runs had them, was not seen in full: its requests are those
of the nearest run that was, or the declared ones. Without them its cost would be what it used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import ContainerFact, RunRecord, StepExecution, WorkflowDefinition, WorkflowGraph

_NAMES = ("cpu_request", "memory_request", "gpu_request", "gpu_resource")
_Amounts = Mapping[tuple[str, str], Mapping[str, Any]]
"""By step and name, the requests of a container; those that it does not have are left out."""


def requests_seen(run: RunRecord) -> bool | None:
    """Whether any container of the run has a request; None when it had no containers."""
    seen = None
    for e in run.steps:
        for c in e.containers:
            if not c.init:
                if _requested(c):
                    return True
                seen = False
    return seen


def declared_requests(graph: WorkflowGraph) -> _Amounts:
    """What the definition requests for its containers."""
    rows = {(step.name, c.name): _amounts(c) for step in graph.steps for c in step.containers if not c.init}
    return {place: amounts for place, amounts in rows.items() if amounts}


def same_template(a: str | None, b: str | None) -> bool:
    """Whether two fingerprints of templates do not differ as far as both are known."""
    return a is None or b is None or a == b


def with_requests(
    definition: WorkflowDefinition, runs: Sequence[RunRecord], figures: RunFigures
) -> tuple[RunRecord, ...]:
    """The runs (oldest first), with requests in those that were seen without any. Another template may really have had
    none, so that its runs stay as they are."""
    seen = figures.of_each(requests_seen, runs)
    if False not in seen:
        return tuple(runs)
    declared = declared_requests(definition.graph)
    newest = next((run for run, has in zip(reversed(runs), reversed(seen), strict=True) if has), None)
    if newest is None and not declared:
        return tuple(runs)
    # The definition has no containers that are added to its pods, as by a service mesh. And what pods of the definition in
    # force have may be set by something else after it.
    had = figures.of(_of_run, newest) if newest is not None else {}
    own = newest is not None and definition.fingerprint is not None and newest.fingerprint == definition.fingerprint
    known: _Amounts = {**declared, **had} if own else {**had, **declared}
    template, completed = definition.fingerprint, list(runs)
    for i in range(len(runs) - 1, -1, -1):
        if seen[i]:
            known, template = {**known, **figures.of(_of_run, runs[i])}, runs[i].fingerprint
        elif seen[i] is False and same_template(runs[i].fingerprint, template):
            completed[i] = _completed(runs[i], known)
    return tuple(completed)


def _requested(container: ContainerFact) -> bool:
    return bool(container.cpu_request or container.memory_request or container.gpu_request)


def _amounts(container: Any) -> Mapping[str, Any]:
    return {name: value for name in _NAMES if (value := getattr(container, name)) is not None}


def _of_run(run: RunRecord) -> _Amounts:
    rows = {(e.step, c.name): c for e in run.steps for c in e.containers if not c.init and _requested(c)}
    return {place: _amounts(c) for place, c in rows.items()}


def _completed(run: RunRecord, known: _Amounts) -> RunRecord:
    def of(e: StepExecution, c: ContainerFact) -> ContainerFact:
        amounts = None if c.init else known.get((e.step, c.name))
        return replace(c, **amounts) if amounts else c

    steps = [replace(e, containers=tuple([of(e, c) for c in e.containers])) for e in run.steps]
    return replace(run, steps=tuple(steps))
