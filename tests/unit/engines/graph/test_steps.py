"""Graphs that a person declares, and runs picked by name and labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.analysis.data_warnings import data_warnings
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import Outcome, PodFact, StepExecution, WorkflowDefinition
from concertmaster.core.model.enums import StepQuery
from concertmaster.engines import assign, define, from_queries, merge_executions
from concertmaster.engines.argo.traits import ARGO
from concertmaster.engines.graph.traits import GRAPH
from tests.support.builders import build_run

RUN_LABEL = "example.com/run"


def profile(name: str = "agents", **spec: Any) -> WorkflowDefinition:
    meta = {"name": name, "namespace": "ml"}
    found = define(
        {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile", "metadata": meta, "spec": spec}
    )
    assert found is not None
    return found


def graph(*steps: dict[str, Any], **fields: Any) -> WorkflowDefinition:
    return profile(graph={"podRunLabel": RUN_LABEL, "seriesRunLabel": "run", "steps": list(steps), **fields})


def step(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    selector = {"podSelector": {"matchLabels": {"app": "etl", "step": name}}}
    return {"name": name, "dependsOn": list(after), **(fields or selector)}


def pod(
    uid: str, at: float, seconds: float, labels: dict[str, str], phase: str = "Succeeded", **fields: Any
) -> PodFact:
    exported = {k.replace(".", "_").replace("/", "_"): v for k, v in labels.items()}
    return PodFact(
        "ml", f"pod-{uid}", uid, labels=exported, created=at, started=at, finished=at + seconds, phase=phase, **fields
    )


def labels(name: str, run: str = "r1") -> dict[str, str]:
    return {"app": "etl", "step": name, RUN_LABEL: run}


def test_a_declared_graph() -> None:
    d = graph(step("load", "transform"), step("extract"), step("transform", "extract", durationQuery="q"))
    assert [s.name for s in d.graph.steps] == ["extract", "transform", "load"]
    assert (d.engine, d.run_label, d.series_run_label) == (GRAPH, RUN_LABEL, "run")
    assert d.graph.step("transform").queries == {StepQuery.DURATION: "q"}  # type: ignore[union-attr]
    assert d.graph.problems == ()


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((step("a", "b"), step("b", "a")), "the graph has a cycle: "),
        ((step("a", "b", "c"), step("b", "c"), step("c", "a")), "the graph has a cycle: "),
        ((step("a", "ghost"),), "step 'a' depends on unknown step 'ghost'"),
        ((step("a", "a"),), "step 'a' depends on itself"),
        ((step("a"), step("a")), "two steps are called 'a': the first one is used"),
        (({"name": "a"},), "step 'a' has neither podSelector nor durationQuery"),
        (({},), "has no name"),
        ((5,), "where an object is expected"),
        (({"name": "a", "podSelector": {"matchExpressions": [{"key": "x", "operator": "Like"}]}},), "operators"),
    ],
)
def test_what_is_wrong_with_a_graph_is_named(steps: tuple[Any, ...], said: str) -> None:
    problems = graph(*steps).graph.problems
    assert any(said in p for p in problems), problems


def test_a_cycle_names_its_steps() -> None:
    (said,) = graph(step("x"), step("a", "x", "c"), step("b", "a"), step("c", "b")).graph.problems
    assert set(said.split(": ")[1].split(" -> ")) == {"a", "b", "c"}


def test_a_missing_run_label_is_named() -> None:
    assert "podRunLabel is missing" in graph(step("a"), podRunLabel=None).graph.problems[0]


def test_pods_are_placed_by_labels_into_runs_and_steps() -> None:
    d = graph(step("extract"), step("load", "extract"))
    facts = [
        pod("1", 0.0, 10.0, labels("extract")),
        pod("2", 12.0, 5.0, labels("load")),
        pod("3", 100.0, 10.0, labels("extract", "r2")),
    ]
    found = assign(facts, [d])
    assert {run: [e.step for e in rows] for run, rows in found.executions[d.key].items()} == {
        "r1": ["extract", "load"],
        "r2": ["extract"],
    }
    record = build_run(d.key, "r1", found.executions[d.key]["r1"], d)
    assert [(e.step, e.ready) for e in record.steps] == [("extract", 0.0), ("load", 10.0)]
    assert record.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("expression", "matching"),
    [
        ({"key": "app", "operator": "In", "values": ["etl", "x"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["etl"]}, False),
        ({"key": "gpu", "operator": "NotIn", "values": ["yes"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists"}, False),
        ({"key": "gpu", "operator": "DoesNotExist"}, True),
    ],
)
def test_match_expressions(expression: dict[str, Any], matching: bool) -> None:
    d = graph(step("a", podSelector={"matchExpressions": [expression]}))
    assert (assign([pod("1", 0.0, 1.0, labels("a"))], [d]).pods == 1) is matching


def test_a_selected_pod_without_the_run_label_is_counted() -> None:
    d = graph(step("a"))
    found = assign([pod("1", 0.0, 1.0, {"app": "etl", "step": "a", RUN_LABEL: ""})], [d])
    (reason,) = found.unassigned
    assert "podRunLabel" in reason


def test_a_declared_graph_takes_precedence_over_the_engine_that_owns_the_pod() -> None:
    job = define({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "ml"}, "spec": {}})
    assert job is not None
    d = graph(step("a"))
    fact = pod("1", 0.0, 1.0, labels("a"), owner_kind="Job", owner_name="j")
    assert list(assign([fact], [job, d]).executions) == [d.key]


def test_retries_and_items_of_selected_pods_are_distinguished_by_time() -> None:
    d = graph(step("a"))
    facts = [
        pod("1", 0.0, 10.0, labels("a"), "Failed"),
        pod("2", 0.0, 10.0, labels("a")),
        pod("3", 12.0, 5.0, labels("a")),
    ]
    record = build_run(d.key, "r1", assign(facts, [d]).executions[d.key]["r1"], d)
    assert [(e.uid, e.item, e.attempt) for e in record.steps] == [("1", "0", 0), ("2", "1", 0), ("3", "0", 1)]


def took(d: WorkflowDefinition, name: str, seconds: float, seen_at: float) -> StepExecution:
    """A step of run r1 of which only the duration is known."""
    return from_queries(d, name, {StepQuery.DURATION: {"r1": seconds}}, seen_at)["r1"]


def test_steps_without_pods_stand_where_the_graph_puts_them() -> None:
    d = graph(step("extract"), step("train", "extract", durationQuery="q"), step("report", "train"))
    facts = [pod("1", 0.0, 10.0, labels("extract")), pod("2", 45.0, 5.0, labels("report"))]
    rows = [
        *assign(facts, [d]).executions[d.key]["r1"],
        took(d, "train", 30.0, 60.0),
    ]
    record = build_run(d.key, "r1", rows, d)
    train = next(e for e in record.steps if e.step == "train")
    assert (train.ready, train.started, train.finished, train.outcome) == (10.0, 10.0, 40.0, Outcome.ENDED)


def test_a_first_step_without_pods_ends_when_its_successor_begins() -> None:
    d = graph(step("plan", durationQuery="q"), step("act", "plan"))
    rows = [
        *assign([pod("1", 100.0, 5.0, labels("act"))], [d]).executions[d.key]["r1"],
        took(d, "plan", 20.0, 200.0),
    ]
    record = build_run(d.key, "r1", rows, d)
    assert [(e.step, e.started, e.finished) for e in record.steps] == [("plan", 80.0, 100.0), ("act", 100.0, 105.0)]


def test_a_run_without_any_pod_ends_when_its_durations_were_read() -> None:
    d = graph(step("plan", durationQuery="q"), step("act", "plan", durationQuery="p"))
    rows = [
        took(d, "plan", 20.0, 500.0),
        took(d, "act", 5.0, 500.0),
    ]
    record = build_run(d.key, "r1", rows, d)
    assert [(e.step, e.started, e.finished) for e in record.steps] == [("plan", 475.0, 495.0), ("act", 495.0, 500.0)]
    assert record.makespan == 25.0


def test_a_duration_seen_again_keeps_the_time_it_was_first_seen() -> None:
    d = graph(step("a", durationQuery="q"))
    first, again = (
        took(d, "a", 5.0, 100.0),
        took(d, "a", 5.0, 400.0),
    )
    assert merge_executions(first, again) == merge_executions(again, first) == first


QUERIES = {"durationQuery": "d", "outcomeQuery": "o"}


def asked(d: WorkflowDefinition, name: str, **answers: float) -> StepExecution:
    """What queries say of one step of run r1, seen at 500."""
    reported = {q: {"r1": answers[q.name.lower()]} for q in StepQuery if q.name.lower() in answers}
    return from_queries(d, name, reported, 500.0)["r1"]


@pytest.mark.parametrize(
    ("queries", "answers", "step_outcome", "run_outcome"),
    [
        ({"durationQuery": "d"}, {}, Outcome.ENDED, Outcome.ENDED),
        (QUERIES, {}, Outcome.ENDED, Outcome.ENDED),
        (QUERIES, {"outcome": 1.0}, Outcome.SUCCEEDED, Outcome.SUCCEEDED),
        (QUERIES, {"outcome": 0.0}, Outcome.FAILED, Outcome.FAILED),
    ],
)
def test_how_a_step_without_pods_ended_is_what_its_query_says(
    queries: dict[str, str], answers: dict[str, float], step_outcome: Outcome, run_outcome: Outcome
) -> None:
    d = graph(step("plan", **QUERIES), step("act", "plan", **queries))
    rows = [asked(d, "plan", duration=5.0, outcome=1.0), asked(d, "act", duration=20.0, **answers)]
    record = build_run(d.key, "r1", rows, d, as_of=501.0)
    assert ([e.outcome for e in record.steps if e.step == "act"], record.outcome) == ([step_outcome], run_outcome)
    analysis = analyze(d, [record], now=record.end or 0.0)
    assert (analysis.success_rate is None) is (run_outcome is Outcome.ENDED)
    assert (analysis.makespan.p50 == 25.0) is (run_outcome is not Outcome.FAILED)
    assert ("the outcome of 1 run is unknown" in "".join(data_warnings(d, [record], 1e9, RunFigures()))) is (
        run_outcome is Outcome.ENDED and "outcomeQuery" not in queries
    )


def test_executions_that_were_kept_as_succeeded_without_a_query_are_so_no_more() -> None:
    d = graph(step("plan", durationQuery="d"))
    row = replace(asked(d, "plan", duration=5.0), outcome=Outcome.SUCCEEDED)
    assert build_run(d.key, "r1", [row], d).outcome is Outcome.ENDED


@pytest.mark.parametrize(
    "answers", [{"start": 100.0, "end": 130.0}, {"start": 100.0, "duration": 30.0}, {"end": 130.0, "duration": 30.0}]
)
def test_start_and_end_of_a_step_without_pods(answers: dict[str, float]) -> None:
    d = graph(step("plan", startQuery="s", endQuery="e"))
    (e,) = build_run(d.key, "r1", [asked(d, "plan", **answers)], d).steps
    assert (e.started, e.finished, e.duration) == (100.0, 130.0, 30.0)
    assert graph(step("plan", startQuery="s")).graph.problems


def test_attempts_of_a_step_without_pods() -> None:
    d = graph(step("plan", attemptsQuery="a", **QUERIES), step("act", "plan", **QUERIES))
    rows = [asked(d, "plan", duration=5.0, outcome=1.0, attempts=3.0), asked(d, "act", duration=20.0, outcome=1.0)]
    record = build_run(d.key, "r1", rows, d)
    plan = [(e.attempt, e.outcome, e.started, e.finished) for e in record.steps if e.step == "plan"]
    assert plan == [
        (0, Outcome.FAILED, 475.0, 475.0),
        (1, Outcome.FAILED, 475.0, 475.0),
        (2, Outcome.SUCCEEDED, 475.0, 480.0),
    ]
    assert record.outcome is Outcome.SUCCEEDED
    failures = analyze(d, [record], now=record.end or 0.0).step("plan").failures  # type: ignore[union-attr]
    assert (failures.failed, failures.lost_runs) == (2, 0)


def test_attempts_of_a_step_without_pods_whose_times_are_known() -> None:
    d = graph(step("plan", attemptsQuery="a", startQuery="s", endQuery="e", outcomeQuery="o"))
    record = build_run(d.key, "r1", [asked(d, "plan", start=100.0, end=130.0, outcome=1.0, attempts=2.0)], d)
    assert [(e.attempt, e.outcome, e.started, e.finished) for e in record.steps] == [
        (0, Outcome.FAILED, 100.0, 100.0),
        (1, Outcome.SUCCEEDED, 100.0, 130.0),
    ]


def test_impossible_durations_are_left_out() -> None:
    assert from_queries(
        graph(step("a")), "a", {StepQuery.DURATION: {"r1": -1.0, "r2": float("nan"), "r3": 1.0}}, 5.0
    ).keys() == {"r3"}


def test_runs_picked_by_name_prefix_and_labels() -> None:
    d = profile(
        runSelector={
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "namePrefix": "adhoc-",
            "matchLabels": {"app": "etl"},
        }
    )
    assert (d.engine, d.run_prefixes, d.graph.inferred) == (ARGO, ("adhoc-",), True)

    def argo(run: str, app: str) -> PodFact:
        return PodFact("ml", f"{run}-train-77", run + app, owner_kind="Workflow", owner_name=run, labels={"app": app})

    found = assign([argo("adhoc-1", "etl"), argo("adhoc-2", "web"), argo("other-1", "etl")], [d])
    assert {run: rows[0].step for run, rows in found.executions[d.key].items()} == {"adhoc-1": "train"}
    assert sum(found.unassigned.values()) == 2


def test_jobs_picked_by_name_prefix() -> None:
    d = profile(runSelector={"apiVersion": "batch/v1", "kind": "Job", "namePrefix": "load"})
    facts = [PodFact("ml", f"{o}-x", o, owner_kind="Job", owner_name=o) for o in ("load-7", "up-7")]
    assert list(assign(facts, [d]).executions[d.key]) == ["load-7"]


def test_a_profile_that_refers_to_an_engines_object_defines_nothing_itself() -> None:
    raw = {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile", "metadata": {"name": "x"},
           "spec": {"workflowRef": {"kind": "CronJob", "name": "y"}}}  # fmt: skip
    assert define(raw) is None
    assert define({**raw, "spec": 5}) is None
