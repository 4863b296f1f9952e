"""Daemons that work for a step: what a driver, launcher or submitter waits for is their work, no call to a service."""

from __future__ import annotations

from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.known import median, total
from concertmaster.core.model import WorkflowGraph


def serving(step: StepAnalysis, analysis: Analysis) -> list[str]:
    """The daemons a pod of which uses more of the CPU than one of ``step``, unless they begin after it, or only wait for
    what they create, as the run worker of Dagster and the worker of an Airflow operator for pods of steps."""
    own = _cores(step)
    if own is None:
        return []
    return [
        other.step
        for other in analysis.steps
        if other.spec is not None
        and other.spec.daemon
        and not other.spec.creates
        and (_cores(other) or 0.0) > own
        and step.step not in _above(other.step, analysis.definition.graph)
    ]


def _cores(step: StepAnalysis) -> float | None:
    """Cores that a pod of the step uses (median), as far as known."""
    return total(median(c.known("mean_cores")) for c in step.containers)


def _above(step: str, graph: WorkflowGraph) -> set[str]:
    """The steps that a step waits for, directly or not."""
    waits = {s.name: s.depends_on for s in graph.steps}
    found: set[str] = set()
    todo = [step]
    while todo:
        for name in waits.get(todo.pop(), ()):
            if name not in found:
                found.add(name)
                todo.append(name)
    return found
