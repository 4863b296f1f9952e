"""Classification of a step graph: its type, which selects default objectives, and its common pattern."""

from __future__ import annotations

from enum import StrEnum

from concertmaster.core.analysis.graph import levels
from concertmaster.core.model import WorkflowGraph


class WorkflowType(StrEnum):
    """Conditional when any step is; else parallel when steps or items can run in parallel; else sequential."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    CONDITIONAL = "conditional"


def workflow_type(graph: WorkflowGraph) -> WorkflowType:
    """Type of a graph; exit handlers and daemons do not count."""
    steps = [s for s in graph.steps if not s.on_exit and not s.daemon]
    if any(s.conditional for s in steps):
        return WorkflowType.CONDITIONAL
    if any(s.fan_out and s.width != 1 for s in steps):
        return WorkflowType.PARALLEL
    return WorkflowType.PARALLEL if any(len(level) > 1 for level in step_levels(graph)) else WorkflowType.SEQUENTIAL


class Pattern(StrEnum):
    """Common shapes of step graphs."""

    SINGLE = "single step"
    PIPELINE = "pipeline"
    MAP_REDUCE = "map-reduce"
    FAN_OUT_FAN_IN = "fan-out/fan-in"
    FAN_OUT = "fan-out"
    MIXED = "mixed"


def step_levels(graph: WorkflowGraph) -> tuple[tuple[str, ...], ...]:
    """Names of the steps that can run in parallel, level by level; exit handlers and daemons are left out."""
    steps = [s for s in graph.steps if not s.on_exit and not s.daemon]
    place = {s.name: i for i, s in enumerate(steps)}
    depths = levels([[place[d] for d in s.depends_on if d in place] for s in steps])
    return tuple(
        tuple(s.name for s, depth in zip(steps, depths, strict=True) if depth == level)
        for level in range(max(depths, default=-1) + 1)
    )


def pattern(graph: WorkflowGraph) -> Pattern | None:
    """The pattern of a graph; None without steps.

    Items of one step gathered by a later step are a map-reduce; different steps between a single first and a single last
    step are a fan-out/fan-in; without a gathering step it is a fan-out.
    """
    levels = step_levels(graph)
    if not levels:
        return None
    wide = [len(level) > 1 for level in levels]
    items = [any((s := graph.step(n)) is not None and s.fan_out and s.width != 1 for n in level) for level in levels]
    if len(levels) == 1 and not wide[0]:
        return Pattern.FAN_OUT if items[0] else Pattern.SINGLE
    if not any(wide) and not any(items):
        return Pattern.PIPELINE
    spread = [w or i for w, i in zip(wide, items, strict=True)]
    if spread[-1]:
        return Pattern.FAN_OUT if sum(spread) == 1 else Pattern.MIXED
    if not any(wide):
        return Pattern.MAP_REDUCE
    return Pattern.FAN_OUT_FAN_IN if not any(items) else Pattern.MIXED
