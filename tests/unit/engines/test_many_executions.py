"""Runs of thousands of pods: what each of them waited for, and what was built upon its failure, is looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.model import Outcome, StepExecution, StepSpec, WorkflowDefinition, WorkflowGraph, WorkflowKey
from concertmaster.core.model.enums import StepQuery
from concertmaster.engines import RunBuilder, define
from concertmaster.engines.argo.nodes import MAX_ATTEMPTS, dense_attempts
from concertmaster.engines.graph.traits import GRAPH
from concertmaster.engines.infer import infer_graph
from tests.support.core.run_graphs import definition, task
from tests.support.counting import all_calls
from tests.support.engines.argo_oracle import leaf, template

FEW, MANY = 200, 800
UNDECLARED = WorkflowDefinition(WorkflowKey("n", "WorkflowProfile", "w"), GRAPH, WorkflowGraph(inferred=True))
Rows = list[StepExecution]


def ran(step: str, at: float, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> StepExecution:
    uid = f"{step}-{fields.get('item')}-{fields.get('attempt')}"
    return StepExecution(step, uid=uid, created=at, started=at, finished=at + 5.0, outcome=outcome, **fields)


def chains() -> WorkflowDefinition:
    """Each item of a fan-out runs two steps, one after the other."""
    rows = [{"name": "x", "template": "leaf"}, {"name": "y", "template": "leaf", "dependencies": ["x"]}]
    inner = {"name": "inner", "dag": {"tasks": rows}}
    main = {"name": "main", "dag": {"tasks": [{"name": "a", "template": "inner", "withParam": "{{x}}"}]}}
    found = define(template("w", {"entrypoint": "main", "templates": [main, inner, leaf("leaf")]}))
    assert found is not None
    return found


def items(n: int, outcome: Outcome = Outcome.SUCCEEDED) -> tuple[WorkflowDefinition, Rows]:
    """Chains whose first steps had that outcome."""
    first = [ran("a.x", 10.0, outcome, item=f"{i}:v") for i in range(n)]
    return chains(), [*first, *(ran("a.y", 20.0, item=f"{i}:v") for i in range(n))]


def tolerated(n: int) -> tuple[WorkflowDefinition, Rows]:
    return items(n, Outcome.FAILED)


def fan_out_that_failed(n: int) -> tuple[WorkflowDefinition, Rows]:
    """All items of a step failed, and a step of as many items followed."""
    rows = [ran("a", 10.0, Outcome.FAILED, item=f"{i}:v") for i in range(n)]
    return definition(task("a"), task("b", "a")), [*rows, *(ran("b", 20.0, item=f"{i}:v") for i in range(n))]


def daemons(n: int) -> tuple[WorkflowDefinition, Rows]:
    """Daemons and other steps of one template."""
    found = definition(task("d"), task("a"))
    steps = tuple(replace(step, daemon=step.name == "d") for step in found.graph.steps)
    rows = [ran("d", 10.0, item=f"{i}:v") for i in range(n)]
    return replace(found, graph=WorkflowGraph(steps)), [*rows, *(ran("a", 20.0, item=f"{i}:v") for i in range(n))]


def queried(n: int) -> tuple[WorkflowDefinition, Rows]:
    """Pods beside a step that queries report, with its failed attempts."""
    query = {StepQuery.DURATION: "q", StepQuery.ATTEMPTS: "q"}
    steps = [StepSpec("a"), StepSpec("b", ("a",), queries=query), StepSpec("c", ("b",))]
    found = WorkflowDefinition(WorkflowKey("n", "WorkflowProfile", "w"), GRAPH, WorkflowGraph(tuple(steps)))
    asked = StepExecution("b", uid="query:b", finished=30.0, outcome=Outcome.SUCCEEDED,
                          extra={"duration_seconds": 5.0, "attempts": 100.0})  # fmt: skip
    return found, [*(ran("a", 10.0, item=f"{i}:v") for i in range(n)), asked]


def made_again(n: int) -> tuple[WorkflowDefinition, Rows]:
    """Each pod of a fan-out was made twice under its name, while one that never ended ran beside them."""
    beside = replace(ran("a", 1.0), finished=None, outcome=Outcome.RUNNING)
    rows = [
        replace(ran("b", 10.0 * k + 0.001 * i, item=f"{i}:v", attempt=k), pod=f"p{i}") for i in range(n) for k in (1, 2)
    ]
    return definition(task("a"), task("b")), [beside, *(replace(e, uid=f"{e.uid}-{e.created}") for e in rows)]


@pytest.mark.parametrize("make", [items, tolerated, fan_out_that_failed, daemons, queried, made_again])
def test_building_a_run_takes_time_in_proportion_to_its_pods(
    make: Callable[[int], tuple[WorkflowDefinition, Rows]],
) -> None:
    def work(n: int) -> int:
        found, rows = make(n)
        return all_calls(lambda: RunBuilder(found.key, found, None).run("r", rows))

    assert work(MANY) < 6 * work(FEW)


@pytest.mark.parametrize(("outcome", "expected"), [(Outcome.SUCCEEDED, None), (Outcome.FAILED, Outcome.SUCCEEDED)])
def test_each_item_waits_for_its_own(outcome: Outcome, expected: Outcome | None) -> None:
    found, rows = items(3, outcome)
    rows[0] = replace(rows[0], finished=12.0)
    built = RunBuilder(found.key, found, None).run("r", rows)
    assert {e.item: e.ready for e in built.steps if e.step == "a.y"} == {"0:v": 12.0, "1:v": 15.0, "2:v": 15.0}
    assert expected is None or built.outcome is expected
    if outcome is Outcome.FAILED:  # of one item nothing followed: the others do not make it good
        assert RunBuilder(found.key, found, None).run("r", rows[:-1]).outcome is Outcome.FAILED


class _Counted(str):
    """Text whose comparisons are counted."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        _Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_nested_attempts_are_numbered_without_comparing_each_with_each() -> None:
    rows = [ran("a", 1.0 + n, item=_Counted(str(i)), attempt=MAX_ATTEMPTS + n) for i in range(300) for n in range(2)]
    _Counted.compared = 0
    numbered = dense_attempts(rows)
    assert _Counted.compared < 20 * len(rows)
    assert [(e.item, e.attempt) for e in numbered[:2]] == [("0", 0), ("0", 1)]


def test_a_graph_of_hundreds_of_steps_is_inferred_without_asking_about_each_pair() -> None:
    def work(n: int) -> int:
        rows = [ran(f"s{i:04}", 10.0 * i) for i in range(n)]
        return all_calls(lambda: infer_graph([rows] * 3, UNDECLARED))

    work(1)  # numpy is imported once it is needed
    assert work(MANY) < 6 * work(FEW)


def test_a_graph_has_the_most_frequent_steps_and_says_how_many_are_left_out() -> None:
    runs = [[ran("a", 0.0), *(ran(f"{k}-{i}", 10.0) for i in range(1_500))] for k in range(2)]
    found = infer_graph(runs, UNDECLARED)
    assert len(found.steps) == 2_000
    assert found.steps[0].name == "a"
    assert found.problems == ("the runs have 3001 steps: the 1001 rarest are left out",)
