"""A workflow's graph as the operator serves it for replays, and read back: what ``core.analysis.replay`` asks of it."""

from __future__ import annotations

from concertmaster.api.views.runs import DeclaredStep, GraphView
from concertmaster.core.model import StepSpec, WorkflowGraph
from concertmaster.core.model.definitions import NameSegment


def graph_view(graph: WorkflowGraph) -> GraphView:
    """As it is served."""
    return GraphView.model_validate(graph, from_attributes=True)


def graph_of(view: GraphView) -> WorkflowGraph:
    """Read back."""
    return WorkflowGraph(tuple(map(_spec, view.steps)), view.parallelism, view.inferred)


def _spec(step: DeclaredStep) -> StepSpec:
    return StepSpec(**{**dict(step), "path": tuple(NameSegment(**dict(part)) for part in step.path)})
