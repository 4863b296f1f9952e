"""A workflow's graph as the operator serves it for replays, and read back: what ``core.analysis.replay`` asks of it."""

from __future__ import annotations

from concertmaster.api.views.runs import DeclaredStep, GraphView, NamePart
from concertmaster.core.model import StepSpec, WorkflowGraph
from concertmaster.core.model.definitions import NameSegment


def graph_view(graph: WorkflowGraph) -> GraphView:
    """As it is served."""
    return GraphView(parallelism=graph.parallelism, inferred=graph.inferred, steps=tuple(map(_step, graph.steps)))


def graph_of(view: GraphView) -> WorkflowGraph:
    """Read back."""
    return WorkflowGraph(tuple(map(_spec, view.steps)), view.parallelism, view.inferred)


def _step(spec: StepSpec) -> DeclaredStep:
    return DeclaredStep(
        name=spec.name,
        depends_on=spec.depends_on,
        parallelism=spec.parallelism,
        fan_out=spec.fan_out,
        width=spec.width,
        on_exit=spec.on_exit,
        daemon=spec.daemon,
        waits=spec.waits,
        conditional=spec.conditional,
        indexed=spec.indexed,
        locks=spec.locks,
        path=tuple(NamePart(text=p.text, items=p.items, attempts=p.attempts, whole=p.whole) for p in spec.path),
    )


def _spec(step: DeclaredStep) -> StepSpec:
    return StepSpec(
        step.name,
        depends_on=step.depends_on,
        parallelism=step.parallelism,
        fan_out=step.fan_out,
        width=step.width,
        on_exit=step.on_exit,
        daemon=step.daemon,
        waits=step.waits,
        conditional=step.conditional,
        indexed=step.indexed,
        locks=step.locks,
        path=tuple(NameSegment(p.text, p.items, p.attempts, p.whole) for p in step.path),
    )
