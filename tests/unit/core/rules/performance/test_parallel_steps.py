"""``parallel-steps``: an edge that carries nothing and costs time, with the patch that removes it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.support.core import scenarios
from tests.support.core.scenario_builder import argo, noise, reads, scenario, task

SECONDS = {"a": 60.0, "b": 200.0, "c": 180.0}


def test_drops_the_edge_and_keeps_what_it_stood_for() -> None:
    item = scenarios.parallel_steps().one("parallel-steps")
    assert item.id == "parallel-steps.clean.audit"
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(183, rel=0.03)  # audit hides beside clean
    (edit,) = item.edits
    assert edit.pointer == "/spec/templates/0/dag/tasks/2/dependencies"
    assert json.loads(edit.current or "") == ["clean"]
    assert json.loads(edit.proposed or "") == ["extract"]  # audit still waits for what clean waits for
    assert not item.automatic


def test_data_edges_are_never_dropped() -> None:
    value = noise()
    of = argo(task("a"), task("b", "a", **reads("a")), task("c", "b", **reads("b")))
    assert scenario(of, 20, lambda _: {n: value(s) for n, s in SECONDS.items()}).recommended("parallel-steps") == []


def test_steps_that_read_from_no_other_step_tell_nothing() -> None:
    """Their data come from a bucket or a table; so may what the edge stands for."""
    value = noise()
    of = argo(task("a"), task("b", "a"), task("c", "b"))
    assert scenario(of, 20, lambda _: {n: value(s) for n, s in SECONDS.items()}).recommended("parallel-steps") == []


@pytest.mark.parametrize(("read", "found"), [(False, []), (True, ["parallel-steps.test.deploy"])])
def test_a_step_whose_data_nobody_reads_may_be_a_check(read: bool, found: list[str]) -> None:
    """Deploys what was built once the tests have passed; where their report is read, they are more than a check."""
    value = noise()
    of = argo(
        task("build"),
        task("test", "build", **reads("build")),
        task("deploy", "build", "test", **reads("build")),
        task("notify", "deploy", "test", **reads("test" if read else "deploy")),
    )
    seconds = {"build": 100.0, "test": 400.0, "deploy": 200.0, "notify": 10.0}
    made = scenario(of, 20, lambda _: {n: value(s) for n, s in seconds.items()})
    assert [item.id for item in made.recommended("parallel-steps")] == found


def test_depends_expressions_get_no_patch() -> None:
    value = noise()
    of = argo(
        task("a"),
        task("b", depends="a", **reads("a")),
        task("c", depends="b", **reads("a")),
        task("d", depends="b && c", **reads("b")),
    )
    item = scenario(of, 20, lambda _: {n: value(s) for n, s in (SECONDS | {"d": 20.0}).items()}).one("parallel-steps")
    assert item.id == "parallel-steps.b.c"
    assert item.edits == ()
    assert item.how.startswith("kubectl concertmaster explain ")


def test_an_edge_off_the_critical_path_is_silent() -> None:
    value = noise()
    of = argo(task("long"), task("w"), task("x", "w"), task("y", "x", **reads("w")))
    assert (
        scenario(of, 20, lambda _: {"long": value(900), "w": value(60), "x": value(60), "y": value(60)}).recommended(
            "parallel-steps"
        )
        == []
    )


def test_at_most_so_many_edges() -> None:
    value = noise()
    readers = [task(n, p, **reads("a")) for p, n in pairwise("abcdef")]
    of = argo(task("a"), *readers, *(task(f"{n}2", "f", n, **reads(n)) for n in "bcdef"))
    base = scenario(
        of, 20, lambda _: {n: value(100 if len(n) == 1 else 1) for n in (*"abcdef", *(f"{x}2" for x in "bcdef"))}
    )
    assert len(base.recommended("parallel-steps")) == 3
    assert len(base.recommended("parallel-steps", maxEdges="1")) == 1


@pytest.mark.parametrize(("since", "gained"), [(20, 60), (37, 171), (40, 180)])
def test_the_gain_is_that_of_the_runs_since_the_last_change(since: int, gained: float) -> None:
    """A step that would run beside another became three times as fast; fewer than five runs since do not tell."""
    value = noise(spread=0.01)
    of = argo(
        task("extract"),
        task("clean", "extract", **reads("extract")),
        task("audit", "clean", **reads("extract")),
        task("load", "clean", "audit", **reads("clean", "audit")),
    )

    def work(i: int) -> dict[str, float]:
        return {"extract": value(30), "clean": value(200), "audit": value(180 if i < since else 60), "load": value(20)}

    made = scenario(of, 40, work)
    assert len(made.analysis().trend.points) == (since == 20), "the case must tempt the rule"
    item = made.one("parallel-steps")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(gained, rel=0.06)


@pytest.mark.parametrize("notify", [False, True])
def test_a_task_that_runs_whatever_happened_reads_nothing(notify: bool) -> None:
    """A Tekton ``finally`` task follows all tasks, so that it does not make the tests more than a check."""

    def of(name: str, *reads: str, **more: Any) -> dict[str, Any]:
        params = [{"name": "p", "value": f"$(tasks.{r}.results.r)"} for r in reads]
        spec = {"results": [{"name": "r"}], "params": [{"name": "p"}] if reads else [], "steps": [{"image": "i"}]}
        return {"name": name, "taskSpec": spec, "params": params, **more}

    tasks = [of("build"), of("tests", "build"), of("deploy", "build", runAfter=["tests"])]
    spec = {"tasks": tasks, **({"finally": [of("notify")]} if notify else {})}
    pipeline = {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": "p", "namespace": "demo"},
        "spec": spec,
    }
    value = noise()
    seconds = {"build": 60.0, "tests": 300.0, "deploy": 100.0} | ({"notify": 5.0} if notify else {})
    made = scenario(pipeline, 20, lambda _: {n: value(s) for n, s in seconds.items()})
    assert made.recommended("parallel-steps") == []
