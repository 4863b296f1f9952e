"""A Workflow after ``argo retry``, as the controller (3.7.3) and the command left it: the command begins the time of the run
and of the composites around what it repeats anew, and removes the nodes that failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from concertmaster.core.model import REUSED, Outcome, RunRecord, StepExecution, WorkflowKey, without_pauses
from concertmaster.engines.argo.live import read_run
from concertmaster.engines.suspension import with_suspension
from concertmaster.history.store import Store

KEY = WorkflowKey("data", "WorkflowTemplate", "redo")
DAY = "2026-11-30T"


def at(time: str) -> float:
    return datetime.fromisoformat(f"{DAY}{time}+00:00").timestamp()


def node(name: str, kind: str, begun: str, ended: str, *children: str, phase: str = "Succeeded") -> dict[str, Any]:
    identity = f"redo-1-{name}" if name else "redo-1"
    return {
        "id": identity,
        "name": f"redo-1.{name}" if name else "redo-1",
        "type": kind,
        "phase": phase,
        "startedAt": f"{DAY}{begun}Z",
        "finishedAt": f"{DAY}{ended}Z",
        "templateName": "work",
        "children": [f"redo-1-{child}" for child in children],
    }


def workflow(begun: str, ended: str, phase: str, *nodes: dict[str, Any]) -> dict[str, Any]:
    table = {n["id"]: n for n in nodes}
    times = {"startedAt": f"{DAY}{begun}Z", "finishedAt": f"{DAY}{ended}Z"}
    meta = {"name": "redo-1", "namespace": "data", "creationTimestamp": f"{DAY}11:45:50Z"}
    status = {"phase": phase, **times, "nodes": table}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": meta, "spec": {}, "status": status}


FAILED = workflow(
    "11:45:50", "11:45:58", "Failed",
    node("", "DAG", "11:45:50", "11:45:58", "a", phase="Failed"),
    node("a", "Pod", "11:45:50", "11:45:53", "b"),
    node("b", "Pod", "11:45:54", "11:45:57", "c", phase="Failed"),
    node("c", "Skipped", "11:45:58", "11:45:58", phase="Omitted"),
)  # fmt: skip
RETRIED = workflow(
    "19:46:23", "19:46:31", "Succeeded",
    node("", "DAG", "19:46:23", "19:46:31", "a"),
    node("a", "Pod", "11:45:50", "11:45:53", "b"),
    node("b", "Pod", "19:46:23", "19:46:26", "c"),
    node("c", "Pod", "19:46:27", "19:46:30"),
)  # fmt: skip
ANEW = workflow(
    "19:46:23", "19:46:27", "Succeeded",
    node("", "DAG", "19:46:23", "19:46:27", "b"),
    node("b", "Pod", "19:46:23", "19:46:26"),
)  # fmt: skip


def record(raw: dict[str, Any]) -> RunRecord:
    return with_suspension(read_run(raw, KEY).record, raw, ())


def test_the_time_until_the_retry_is_neither_run_time_nor_suspension() -> None:
    """The object alone does not have the pods that the retry removed: the time ends with the last one it kept."""
    assert record(FAILED).pauses == ()
    found = record(RETRIED)
    assert found.suspension is None
    assert found.pauses == ((at("11:45:53"), at("19:46:23")),)
    assert without_pauses(found).makespan == 3 + 7


def test_a_step_that_was_kept_waited_for_nothing_that_came_after_it() -> None:
    ready = {e.step: e.ready for e in record(RETRIED).steps}
    assert ready == {"a": at("11:45:50"), "b": at("11:45:53"), "c": at("19:46:26")}


@pytest.mark.parametrize("seen", [True, False])
def test_the_end_that_was_read_before_the_retry_says_more_of_it(seen: bool) -> None:
    with Store(":memory:") as store:
        for raw in (FAILED, RETRIED) if seen else (RETRIED,):
            store.add({}, records=[record(raw)])
        (run,) = store.runs(KEY)
    assert (run.outcome, run.end) == (Outcome.SUCCEEDED, at("19:46:30"))
    assert run.makespan == (7 + 7 if seen else 3 + 7)


@pytest.mark.parametrize("ahead", [0.0, 8.0, 30.0])
def test_a_clock_of_the_pods_ahead_of_the_controllers_makes_no_run_of_hours(ahead: float) -> None:
    """What was kept took less time than the clocks differ by."""

    def pod(step: str, begun: str, ended: str) -> StepExecution:
        created, finished = at(begun) + ahead, at(ended) + ahead
        of = next(e for e in record(RETRIED).steps if e.step == step)
        return replace(of, uid=step, created=created, scheduled=created, started=created, finished=finished)

    rows = (pod("a", "11:45:50", "11:45:53"), pod("b", "19:46:23", "19:46:26"), pod("c", "19:46:27", "19:46:30"))
    with Store(":memory:") as store:
        store.add({KEY: {"redo-1": rows}}, records=[record(RETRIED)])
        (run,) = store.runs(KEY)
    assert [e.step for e in sorted(run.steps, key=lambda e: e.created or 0.0)] == ["a", "b", "c"]
    assert run.makespan is not None and 7.0 <= run.makespan <= 10.0 + ahead


@pytest.mark.parametrize("held", [True, False])
def test_a_workflow_that_is_held_since_its_creation_has_not_begun(held: bool) -> None:
    """The controller gives it a start all the same."""
    raw = workflow("11:45:50", "11:45:50", "Running")
    raw["spec"]["suspend"] = held
    found = read_run(raw, KEY)
    assert (found.record.start is None, found.started is None) == (held, held)


def test_a_run_whose_first_step_was_repeated_was_not_suspended_until_then() -> None:
    with Store(":memory:") as store:
        for raw in (FAILED, ANEW):
            store.add({}, records=[record(raw)])
        (run,) = store.runs(KEY)
    assert run.suspension is None


@pytest.mark.parametrize(("phase", "last"), [("Succeeded", "Succeeded"), ("Failed", "Failed"), ("Running", "Running")])
def test_a_memoized_resubmission_is_no_run_of_its_own(phase: str, last: str) -> None:
    """It did the rest of another run: 12 s are no run time, and a failure is the same one again. What its own steps did
    counts."""
    first = node("a", "Skipped", "12:00:00", "12:00:00", "b", phase="Skipped") | {"message": "original pod: redo-0-a"}
    rest = node("b", "Pod", "12:00:00", "12:00:12", phase=last)
    raw = workflow(
        "12:00:00", "12:00:12", phase, node("", "DAG", "12:00:00", "12:00:12", "a", phase=phase), first, rest
    )
    record = read_run(raw, KEY).record
    assert record.outcome is (Outcome.RUNNING if phase == "Running" else Outcome.UNKNOWN)
    assert not record.unseen
    steps = {e.step: (e.outcome.value, e.reason) for e in record.steps}
    assert steps["a"] == ("Skipped", REUSED)
    assert steps["b"][0] == last


def test_a_step_that_was_skipped_by_its_condition_is_not_reused() -> None:
    first = node("a", "Skipped", "12:00:00", "12:00:00", "b", phase="Skipped") | {
        "message": "when 'false' evaluated false"
    }
    rest = node("b", "Pod", "12:00:00", "12:00:12")
    record = read_run(workflow("12:00:00", "12:00:12", "Succeeded", first, rest), KEY).record
    assert (record.outcome, {e.reason for e in record.steps}) == (Outcome.SUCCEEDED, {None})
