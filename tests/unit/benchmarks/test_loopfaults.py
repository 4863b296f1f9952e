"""What the campaigns against the change loop read out of the audit log: a judge that sees nothing proves nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.chaos.loopfaults import admission, audit, kills
from benchmarks.chaos.loopfaults.audit import Write
from benchmarks.chaos.loopfaults.bed import ASKED
from benchmarks.chaos.loopfaults.gate import Passing
from benchmarks.chaos.loopfaults.person import Verdict
from benchmarks.chaos.loopfaults.targets import targets
from concertmaster.core.changes.plan import plan
from concertmaster.engines import PATCHABLE

BOTH = ("a", "b")


def lease(holder: str, at: float) -> Write:
    return Write(holder, "patch", "leases", "ops", "concertmaster", at, at, {"spec": {"holderIdentity": holder}})


def write(user: str, came: float, **after: Any) -> Write:
    return Write(user, "patch", "workflowchanges/status", "demo", "c", came, came + 0.1, after)


def phases(*names: str) -> list[Write]:
    meta = {"name": "c", "namespace": "demo", "uid": "u"}
    return [write("a", float(n), metadata=meta, status={"phase": name}) for n, name in enumerate(names)]


@pytest.mark.parametrize(
    ("found", "seconds", "turns"),
    [
        ([lease("a", 1.0), write("a", 2.0), lease("b", 12.0), write("b", 12.5)], 0, 1),
        ([lease("a", 1.0), lease("b", 12.0), write("a", 12.2), write("a", 12.4), write("a", 14.0)], 2, 1),
        ([lease("a", 1.0), write("b", 2.0), lease("a", 3.0)], 1, 0),
        ([lease("a", 1.0), lease("b", 5.0), lease("a", 9.0), write("a", 9.5)], 0, 2),
    ],
)
def test_a_write_after_another_took_the_lease_counts(found: list[Write], seconds: int, turns: int) -> None:
    assert audit.seconds_with_two(found, BOTH) == (seconds, turns)


def test_phases_go_forward_only() -> None:
    assert audit.wrong_phases(phases("Proposed", "Applied", "Verifying", "Verifying", "Completed")) == []
    assert audit.wrong_phases(phases("Proposed", "Applied", "Proposed", "Applied", "Verifying", "Conflict")) == []
    assert len(audit.wrong_phases(phases("Proposed", "Verifying"))) == 1
    assert len(audit.wrong_phases(phases("Proposed", "Applied", "Verifying", "Applied"))) == 1
    assert len(audit.wrong_phases(phases("Proposed", "Completed", "Applied"))) == 1


@pytest.mark.parametrize(
    ("requests", "standing", "foreign", "right"),
    [
        (ASKED, (), "", True),
        ({"cpu": "500m", "memory": "1Gi"}, ("one",), "", True),
        ({"cpu": "500m", "memory": "1Gi"}, (), "", False),
        ({"cpu": "500m", "memory": "1Gi"}, ("one", "two"), "", False),
        (ASKED, ("one",), "", False),
        ({"cpu": "700m", "memory": "1Gi"}, (), "700m", True),
        ({"cpu": "1", "memory": "1Gi"}, (), "700m", False),
    ],
)
def test_changed_if_and_only_if_exactly_one_change_stands(
    requests: dict[str, str], standing: tuple[str, ...], foreign: str, right: bool
) -> None:
    assert (Verdict(("demo", "etl"), requests, standing, foreign).wrong == "") is right


CRON_JOB = "/apis/batch/v1/namespaces/demo/cronjobs/etl"


def cron_job(at: float, cpu: str = "500m") -> Write:
    container = {"resources": {"requests": {"cpu": cpu}}}
    spec = {"jobTemplate": {"spec": {"template": {"spec": {"containers": [container]}}}}}
    return Write("operator-a", "patch", "cronjobs", "demo", "etl", at, at, {"spec": spec})


def applied(at: float) -> Write:
    target = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl", "namespace": "demo", "uid": "u"}
    meta = {"name": "c", "namespace": "demo", "uid": "u"}
    return write("operator-a", at, metadata=meta, status={"phase": "Applied", "plan": {"target": target}})


def test_a_workflow_is_written_after_its_change_said_so() -> None:
    assert kills._unannounced([applied(1.0), cron_job(2.0), cron_job(3.0, "1")]) == []
    assert len(kills._unannounced([cron_job(1.0), applied(2.0)])) == 1


@pytest.mark.parametrize(
    ("path", "operations", "what"),
    [
        (CRON_JOB, [("test", "1"), ("replace", "500m"), ("replace", "1Gi")], "a change of a workflow"),
        (CRON_JOB, [("test", "500m"), ("replace", "1"), ("replace", "2Gi")], "a rollback"),
        ("/apis/concertmaster.dev/v1alpha1/namespaces/demo/workflowchanges/c", [], "a write of a WorkflowChange"),
        ("/apis/concertmaster.dev/v1alpha1/namespaces/demo/workflowprofiles/c/status", [], "another write"),
    ],
)
def test_a_kill_knows_what_it_falls_on(path: str, operations: list[tuple[str, str]], what: str) -> None:
    body = json.dumps([{"op": op, "path": "/x", "value": value} for op, value in operations]).encode()
    assert kills._what(Passing("PATCH", path, {}, 0.0, body)) == what


def test_every_kind_that_may_be_changed_is_tried_in_every_field() -> None:
    tried: set[tuple[str, str]] = set()
    for target in targets("demo"):
        step = next(s.name for s in target.definition().graph.steps if s.containers)
        for what, edit in admission.edits(target):
            item = admission.recommendation(what, edit, step)
            plan(item, target.raw, PATCHABLE, profile="w", namespace="demo")
            tried.add((target.raw["kind"], what))
    kinds = {kind for kind in PATCHABLE if kind != "CronWorkflow"}  # its workflowSpec is a WorkflowTemplate's
    assert {kind for kind, _ in tried} == kinds
    assert all({"cpu", "memory"} <= {what for kind, what in tried if kind == each} for each in kinds)


def test_the_trail_of_a_workflow_names_the_deletion_of_its_change() -> None:
    target = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "w1", "namespace": "demo", "uid": "u"}
    status = {"phase": "Verifying", "plan": {"target": target}}
    made = write("operator-a", 1.0, metadata={"name": "c", "namespace": "demo", "uid": "x"}, status=status)
    answer = {"kind": "Status", "status": "Success"}
    gone = Write("admin", "delete", "workflowchanges", "demo", "c", 2.0, 2.0, answer)
    first, last = audit.trail([made, gone], ("demo", "w1"))
    assert "Verifying" in first
    assert "admin delete workflowchanges c" in last
