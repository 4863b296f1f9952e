"""The pattern of a graph and its levels."""

from __future__ import annotations

import pytest

from concertmaster.core.analysis.pattern import Pattern, pattern, step_levels
from concertmaster.core.model import StepSpec, WorkflowGraph
from tests.support.builders import step


def of(*steps: StepSpec) -> WorkflowGraph:
    return WorkflowGraph(steps)


MAP = step("map", ["split"], fan_out=True)


@pytest.mark.parametrize(
    ("graph", "name"),
    [
        (of(), None),
        (of(step("a")), Pattern.SINGLE),
        (of(step("a", fan_out=True)), Pattern.FAN_OUT),
        (of(step("a"), step("b", ["a"]), step("c", ["b"])), Pattern.PIPELINE),
        (of(step("split"), MAP, step("reduce", ["map"])), Pattern.MAP_REDUCE),
        (of(step("split"), MAP), Pattern.FAN_OUT),
        (of(step("a"), step("b", ["a"]), step("c", ["a"]), step("d", ["b", "c"])), Pattern.FAN_OUT_FAN_IN),
        (of(step("a"), step("b")), Pattern.FAN_OUT),
        (of(step("split"), MAP, step("x", ["split"]), step("reduce", ["map", "x"])), Pattern.MIXED),
        (of(step("a"), step("b", ["a"]), step("bye", ["b"], on_exit=True)), Pattern.PIPELINE),
    ],
)
def test_a_graph_is_called_what_people_call_it(graph: WorkflowGraph, name: Pattern | None) -> None:
    assert pattern(graph) is name


def test_levels_are_the_steps_that_may_run_side_by_side() -> None:
    graph = of(step("a"), step("b", ["a"]), step("c", ["a"]), step("d", ["b", "c"]))
    assert step_levels(graph) == (("a",), ("b", "c"), ("d",))
