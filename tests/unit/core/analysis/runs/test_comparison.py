"""The difference of two runs is divided among the steps of their critical paths, exactly."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.analysis.replay import executed
from concertmaster.core.analysis.runs.comparison import ObservedRun, RunComparison, compare_runs, typical_run
from concertmaster.core.model import Outcome, RunRecord, WorkflowGraph
from tests.support.builders import container, run, step

GRAPH = WorkflowGraph(
    (step("extract"), step("train", ["extract"]), step("check", ["extract"]), step("publish", ["train", "check"]))
)
USUAL = {"extract": 60.0, "train": 600.0, "check": 100.0, "publish": 30.0}


def compared(before: RunRecord, after: RunRecord) -> RunComparison:
    runs = [ObservedRun.of(r, executed(r, GRAPH)) for r in (before, after)]
    return compare_runs(*runs, order=[s.name for s in GRAPH.steps])


def test_a_slower_step_with_another_image_is_named_first() -> None:
    after = run(
        GRAPH,
        {**USUAL, "train": 900.0},
        number=1,
        containers=lambda name: (container(image=f"registry.example/etl:{2 if name == 'train' else 1}"),),
    )
    found = compared(run(GRAPH, USUAL), after)
    assert found.extra == pytest.approx(300.0)
    assert [(s.step, s.extra) for s in found.steps[:2]] == [
        ("train", pytest.approx(300.0)),
        ("extract", pytest.approx(0.0)),
    ]
    assert [(d.kind, d.before, d.after) for d in found.steps[0].differences] == [
        ("image", "registry.example/etl:1", "registry.example/etl:2")
    ]
    assert found.steps[0].after is not None
    assert found.steps[0].after.work == pytest.approx(900.0)


def test_a_step_that_came_onto_the_critical_path_and_the_one_it_displaced_are_both_named() -> None:
    found = compared(run(GRAPH, USUAL), run(GRAPH, {**USUAL, "check": 800.0}, number=1))
    assert found.paths == (("extract", "train", "publish"), ("extract", "check", "publish"))
    by_name = {s.step: s for s in found.steps}
    assert by_name["check"].before is None
    assert by_name["train"].after is None
    assert by_name["check"].extra + by_name["train"].extra == pytest.approx(200.0) == found.extra


def test_waiting_is_distinguished_from_work() -> None:
    found = compared(run(GRAPH, USUAL), run(GRAPH, USUAL, number=1, wait=121.0))
    parts = [(s.before, s.after) for s in found.steps if s.before is not None and s.after is not None]
    assert sum(after.scheduling - before.scheduling for before, after in parts) == pytest.approx(360.0) == found.extra
    assert all(after.work == before.work for before, after in parts)


@pytest.mark.parametrize(
    ("was", "now", "listed"), [(0.05, 0.3, True), (0.3, 0.0, True), (0.05, 0.1, False), (None, 0.9, False)]
)
def test_throttling_is_listed_where_it_differs_clearly(was: float | None, now: float, listed: bool) -> None:
    before, after = (
        run(GRAPH, USUAL, number=n, containers=lambda _, share=share: (container(throttled_share=share),))
        for n, share in enumerate((was, now))
    )
    found = compared(before, after).steps[0].differences
    assert [(d.kind, d.before, d.after) for d in found] == ([("throttling", was, now)] if listed else [])


def test_inputs_nodes_requests_and_failed_attempts_are_listed_where_they_differ() -> None:
    before = run(GRAPH, USUAL)
    after = run(GRAPH, USUAL, number=1, containers=lambda _: (container(cpu_request=2.0),))

    def more(record: RunRecord, size: float, node: str) -> RunRecord:
        rows = [replace(e, input_size=size, node=node) if e.step == "train" else e for e in record.steps]
        return replace(record, steps=tuple(rows))

    found = compared(more(before, 1e9, "a"), more(after, 2e9, "b"))
    (train,) = [s for s in found.steps if s.step == "train"]
    assert {d.kind: (d.before, d.after) for d in train.differences} == {
        "requests": ("1000m and 1024Mi", "2000m and 1024Mi"),
        "node": ("a", "b"),
        "input": (1e9, 2e9),
    }
    near = compared(more(before, 1e9, "a"), more(before, 1.1e9, "a"))
    assert not any(s.differences for s in near.steps), "a tenth more input is usual"


def test_a_run_whose_pods_are_not_known_is_compared_without_dividing() -> None:
    broken = run(GRAPH, USUAL, number=1)
    broken = replace(broken, steps=(replace(broken.steps[0], finished=None), *broken.steps[1:]))
    found = compared(run(GRAPH, USUAL), broken)
    assert not found.exact


def test_the_typical_run_is_the_one_at_the_median() -> None:
    runs = [run(GRAPH, {**USUAL, "train": t}, number=i) for i, t in enumerate((600.0, 100.0, 650.0, 9000.0, 620.0))]
    failed = run(GRAPH, {**USUAL, "train": 625.0}, number=9, outcome=Outcome.FAILED)
    assert typical_run([*runs, failed]) is runs[4]
    assert typical_run([failed]) is None


@given(
    st.lists(st.tuples(*[st.floats(0.1, 1e4) for _ in range(4)]), min_size=2, max_size=2),
    st.floats(0.0, 500.0),
    st.floats(0.0, 500.0),
)
def test_the_parts_always_add_up(seconds: list[tuple[float, ...]], wait: float, startup: float) -> None:
    records = [
        run(GRAPH, dict(zip(USUAL, times, strict=True)), number=i, wait=wait * i, startup=startup * (1 - i))
        for i, times in enumerate(seconds)
    ]
    found = compared(records[0], records[1])
    assert found.exact
    assert found.extra is not None
    assert math.isclose(sum(s.extra for s in found.steps) + found.tail, found.extra, abs_tol=1e-6)
