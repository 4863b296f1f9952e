"""A flood of runs in progress of one namespace: who gives way, and what each of its events costs."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.controller.live import in_progress
from concertmaster.controller.live.in_progress import RunsInProgress, as_it_is
from concertmaster.controller.live.run_objects import RunObjects
from concertmaster.core.model import RunRecord, WorkflowKey
from concertmaster.engines import Claims
from concertmaster.kube.objects import ObjectRef, Resource
from tests.support.builders import run_record
from tests.support.engines.argo_definitions import NESTED, the_definition
from tests.support.engines.argo_oracle import stamp

RUNS = Resource("argoproj.io/v1alpha1", "Workflow", "workflows")
MOST = 200


def key(namespace: str) -> WorkflowKey:
    return WorkflowKey(namespace, "WorkflowTemplate", "etl")


def ref(namespace: str, number: int) -> ObjectRef:
    return ObjectRef(RUNS, namespace, f"etl-{number}", f"{namespace}-{number}")


def read(of: ObjectRef) -> RunRecord:
    return run_record(workflow=key(of.namespace or ""), run=of.name)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> RunsInProgress:
    monkeypatch.setattr(in_progress, "MAX_KNOWN", MOST)
    return RunsInProgress(read)


def test_an_event_of_a_run_beyond_the_limit_looks_at_no_other_runs(
    runs: RunsInProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of thousands of running objects changes every few seconds, and those that gave way are noted anew each time."""
    looked, namespace_of = [0], in_progress._namespace

    def counted(run: in_progress._Known) -> str:
        looked[0] += 1
        return namespace_of(run)

    monkeypatch.setattr(in_progress, "_namespace", counted)
    for number in range(2 * MOST):
        runs.note(ref("crowd", number), key("crowd"))
    assert looked[0] < 10 * MOST


def test_the_namespace_with_most_gives_way_also_after_some_have_ended(runs: RunsInProgress) -> None:
    for number in range(MOST):
        runs.note(ref("crowd", number), key("crowd"))
    for number in range(MOST // 2 + 20):
        runs.over(f"crowd-{number}")
    for number in range(MOST):
        runs.note(ref("other", number), key("other"))
    keys = {key("crowd"), key("other")}
    known = runs.refresh(keys, lambda stage: None, lambda reason: None)
    for _ in range(MOST // in_progress.MAX_READ):
        known = runs.refresh(keys, lambda stage: None, lambda reason: None)
    assert {of.namespace: len(found) for of, found in known.items()} == {
        "crowd": MOST // 2 - 20,
        "other": MOST // 2 + 20,
    }
    runs.refresh({key("other")}, lambda stage: None, lambda reason: None)
    for number in range(MOST):
        runs.note(ref("third", number), key("third"))
    assert len(runs._known) == MOST and runs._amounts.total() == MOST


class Stored(RunObjects):
    """The API server, with one object."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw

    def listed(self, ref: ObjectRef) -> dict[str, Any] | None:
        return self.raw

    def children(self, ref: ObjectRef, raw: Any) -> tuple[list[dict[str, Any]], str]:
        return [], ""


def test_a_run_that_was_retried_hours_after_it_failed_is_not_in_progress_since_then() -> None:
    """Else it would be reported as late as soon as it goes on."""
    definition, hours = the_definition(NESTED), 8 * 3600.0
    first = {"name": "etl-1.a", "type": "Pod", "phase": "Succeeded", "startedAt": stamp(0.0), "finishedAt": stamp(60.0)}
    second = {"name": "etl-1.b", "type": "Pod", "phase": "Running", "startedAt": stamp(hours)}
    raw = {
        "apiVersion": RUNS.api_version,
        "kind": "Workflow",
        "metadata": {"name": "etl-1", "namespace": definition.key.namespace, "creationTimestamp": stamp(0.0)},
        "spec": {"workflowTemplateRef": {"name": definition.key.name}},
        "status": {"phase": "Running", "startedAt": stamp(hours), "nodes": {"a": first, "b": second}},
    }
    runs = RunsInProgress(lambda one: as_it_is(one, Stored(raw), Claims([definition])))
    runs.note(ref(definition.key.namespace, 1), definition.key)
    ((run,),) = runs.refresh({definition.key}, lambda stage: None, lambda reason: None).values()
    begun = {e.step: e.created for e in run.steps}
    assert run.start == begun["a"] == (begun["b"] or 0.0) - 60.0
