"""What kind of workflow a graph is, for objectives that depend on it."""

from __future__ import annotations

from enum import StrEnum

from concertmaster.core.analysis.graph import levels
from concertmaster.core.model import WorkflowGraph


class WorkflowType(StrEnum):
    """Conditional when any step is; else parallel when steps or items can run side by side; else sequential."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    CONDITIONAL = "conditional"


def workflow_type(graph: WorkflowGraph) -> WorkflowType:
    """The kind of a graph; exit handlers and daemons do not count."""
    steps = [s for s in graph.steps if not s.on_exit and not s.daemon]
    if any(s.conditional for s in steps):
        return WorkflowType.CONDITIONAL
    if any(s.fan_out and s.width != 1 for s in steps):
        return WorkflowType.PARALLEL
    place = {s.name: i for i, s in enumerate(steps)}
    depths = levels([[place[d] for d in s.depends_on if d in place] for s in steps])
    return WorkflowType.PARALLEL if len(set(depths)) < len(depths) else WorkflowType.SEQUENTIAL
