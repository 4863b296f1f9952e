"""Runs retried in place, rebuilt from their pods alone: ``argo retry`` creates the pods of failed nodes, and of what
follows them, again under their names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution, WorkflowDefinition
from concertmaster.engines import define
from concertmaster.engines.retried_runs import pauses, remaining
from concertmaster.history import Store
from tests.support.builders import build_runs

OK, BAD = Outcome.SUCCEEDED, Outcome.FAILED


def template(*, memoized: bool = False) -> WorkflowDefinition:
    """a > b > c, with an exit handler."""
    first = {"name": "a", "container": {"image": "a"}}
    if memoized:
        first["memoize"] = {"key": "k", "cache": {"configMap": {"name": "m"}}}
    tasks = [
        {"name": "a", "template": "a"},
        {"name": "b", "template": "b", "dependencies": ["a"]},
        {"name": "c", "template": "c", "dependencies": ["b"]},
    ]
    spec = {
        "entrypoint": "main",
        "onExit": "tell",
        "templates": [
            {"name": "main", "dag": {"tasks": tasks}},
            first,
            *({"name": n, "container": {"image": n}} for n in ("b", "c", "tell")),
        ],
    }
    found = define(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": "chain", "namespace": "n"},
            "spec": spec,
        }
    )
    assert found is not None
    return found


def ran(step: str, created: float, finished: float, outcome: Outcome = OK) -> StepExecution:
    """A pod that is named after its step, as those of a retry are."""
    return StepExecution(
        step=step, pod=f"chain-x-{step}", uid=f"{step}-{created:g}", created=created, scheduled=created,
        started=created, finished=finished, outcome=outcome,
    )  # fmt: skip


FIRST = (ran("a", 0, 10), ran("b", 10, 20, BAD), ran("onExit", 21, 25))
AGAIN = (ran("b", 1000, 1012), ran("c", 1013, 1020), ran("onExit", 1021, 1026))


def built(*executions: StepExecution, definition: WorkflowDefinition | None = None) -> list[RunRecord]:
    definition = definition or template()
    return build_runs(definition.key, "chain-x", executions, definition)


def test_a_retry_is_the_same_run_without_what_it_replaced_and_without_the_idle_time() -> None:
    (run,) = built(*FIRST, *AGAIN)
    assert run.outcome is OK
    assert [(e.step, e.attempt, e.created) for e in run.steps] == [
        ("a", 0, 975), ("b", 0, 1000), ("c", 0, 1013), ("onExit", 0, 1021),
    ]  # fmt: skip
    assert run.makespan == pytest.approx(25 + 26)  # until the first end, and from the retry on
    assert run.end == 1026


def test_every_pause_of_a_run_that_is_retried_twice_is_left_out() -> None:
    second = (ran("b", 500, 510, BAD), ran("onExit", 511, 515))
    assert pauses((*FIRST, *second, *AGAIN)) == ((25, 500), (515, 1000))
    (run,) = built(*AGAIN, *second, *FIRST)
    assert run.makespan == pytest.approx(25 + 15 + 26)
    assert [e.step for e in run.steps] == ["a", "b", "c", "onExit"]


def test_a_run_made_again_under_its_name_is_another_run() -> None:
    """It begins with the first step, which a retry keeps."""
    anew = (ran("a", 1000, 1010), ran("b", 1010, 1020), ran("c", 1020, 1030), ran("onExit", 1031, 1035))
    done = (ran("a", 0, 10), ran("b", 10, 20), ran("c", 20, 30), ran("onExit", 31, 35))
    assert [r.makespan for r in built(*done, *anew)] == [35, 35]
    # the first step of a new run may be answered from a cache
    assert [r.makespan for r in built(*done, *anew[1:], definition=template(memoized=True))] == [35, 25]


def test_a_pod_that_a_controller_replaces_while_others_run_is_no_pause() -> None:
    rows = (ran("a", 0, 10), ran("b", 10, 12, BAD), ran("c", 5, 40), ran("b", 14, 30))
    assert pauses(rows) == ()
    assert [e.uid for e in remaining(rows, ())] == ["a-0", "c-5", "b-14"]


def test_the_pause_is_the_longest_time_in_which_nothing_ran() -> None:
    """Scheduling of a pod of the retry may take long after another of its pods has ended."""
    rows = (ran("a", 0, 10), ran("b", 10, 20, BAD), ran("c", 900, 905), ran("b", 910, 920))
    assert pauses(rows) == ((20, 900),)


def test_attempts_of_a_retry_strategy_before_the_retry_are_replaced_too() -> None:
    rows = [
        ran("a", 0, 10),
        *(replace(ran("b", at, at + 5, BAD), attempt=n, pod=f"chain-x-b-{n}") for n, at in enumerate((10, 16))),
        replace(ran("b", 900, 905), pod="chain-x-b-0"),
    ]
    between = pauses(rows)
    assert between == ((21, 900),)
    assert [e.uid for e in remaining(rows, between)] == ["a-0", "b-900"]


def test_the_pause_is_known_from_the_pods_if_the_first_end_was_not_read() -> None:
    definition = template()
    steps = (FIRST[0], *AGAIN)
    live = RunRecord(definition.key, "chain-x", 0, 1026, OK, Source.LIVE, steps, created=0.0)
    with Store(":memory:") as store:
        store.add({definition.key: {"chain-x": (*FIRST, *AGAIN)}}, records=[live])
        (run,) = store.runs(definition.key, definition=definition)
    assert (run.source, run.makespan) == (Source.LIVE, pytest.approx(25 + 26))
