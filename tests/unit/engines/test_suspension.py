"""How long runs were suspended, from Workloads of Kueue and from the conditions of runs themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution, SuspendedRun, Suspension, WorkflowKey
from concertmaster.engines.suspension import queued, suspended_run, why_not_admitted, with_suspension
from concertmaster.history.encoding import decode_record, encode_record
from tests.support.engines.times import unix

KEY = WorkflowKey("ml", "CronJob", "train")
RECORD = RunRecord(KEY, "train-1", 100.0, 200.0, Outcome.SUCCEEDED, Source.LIVE, ())
MADE = "2026-11-20T10:00:00Z"


def condition(kind: str, minute: int, status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": f"2026-11-20T10:{minute:02d}:00Z"}


def workload(*conditions: dict[str, str], **status: Any) -> dict[str, Any]:
    admission = {"clusterQueue": "batch"}
    return {
        "metadata": {"name": "job-train-1", "creationTimestamp": MADE},
        "status": {"conditions": list(conditions), "admission": admission, **status},
    }


def job(*conditions: dict[str, str], **labels: str) -> dict[str, Any]:
    meta = {"name": "train-1", "uid": "u-1", "creationTimestamp": MADE, "labels": labels}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "status": {"conditions": list(conditions)}}


def held(seconds: float, by: str | None = None, evictions: int = 0, after: float | None = None) -> Suspension:
    """Until ``after`` seconds since its creation, which are as many where it was not admitted before."""
    return Suspension(seconds, by, evictions, (unix(MADE) or 0.0) + (seconds if after is None else after))


def suspension(raw: dict[str, Any], *workloads: dict[str, Any]) -> Suspension | None:
    return with_suspension(RECORD, raw, workloads).suspension


def test_the_workload_says_when_it_was_admitted_and_by_which_queue() -> None:
    seen = workload(condition("QuotaReserved", 20), condition("Admitted", 25), condition("Finished", 40))
    assert suspension(job(), seen) == held(1500.0, "ClusterQueue batch", 0)
    assert suspension(job(), workload(condition("QuotaReserved", 20))) == held(1200.0, "ClusterQueue batch", 0)


@pytest.mark.parametrize("field", ["accumulatedPastExecutionTimeSeconds", "accumulatedPastExexcutionTimeSeconds"])
def test_time_it_ran_before_an_eviction_is_no_suspension(field: str) -> None:
    again = (condition("Admitted", 30), condition("Evicted", 20, "False"))
    stats = {"evictions": [{"reason": "Preempted", "count": 2}, {"reason": "PodsReadyTimeout", "count": 1}]}
    assert suspension(job(), workload(*again, **{field: 600})) == held(1200.0, "ClusterQueue batch", 1, 1800.0)
    assert suspension(job(), workload(*again, schedulingStats=stats)) == held(1800.0, "ClusterQueue batch", 3)


def test_without_workloads_the_run_says_when_it_was_resumed() -> None:
    assert suspension(job(condition("Suspended", 10, "False"))) == held(600.0)
    assert suspension(job(condition("Complete", 10))) is None
    assert suspension(job(condition("Suspended", 10, "False")), workload()) == held(600.0)


def test_a_workflow_that_needs_a_lock_as_a_whole_waits_for_it() -> None:
    lock = {"synchronization": {"mutexes": [{"name": "nightly"}]}}
    status = {"startedAt": "2026-11-20T10:07:00Z", "storedWorkflowTemplateSpec": lock}
    raw = {"kind": "Workflow", "metadata": {"name": "w", "creationTimestamp": MADE}, "spec": {}, "status": status}
    assert suspension(raw) == held(420.0, "mutex/nightly")
    assert suspension({**raw, "status": {"startedAt": "2026-11-20T10:00:02Z"}}) is None


def test_a_workflow_that_is_suspended_as_it_is_created_has_begun_but_none_of_its_steps() -> None:
    """The controller (3.7.3) starts it and stops before its first node."""
    status = {"startedAt": MADE}
    raw = {"kind": "Workflow", "metadata": {"name": "w", "creationTimestamp": MADE}, "spec": {}, "status": status}
    first, second = (StepExecution(name, created=(unix(MADE) or 0.0) + at) for name, at in (("a", 42.0), ("b", 46.0)))
    assert with_suspension(replace(RECORD, steps=(first, second)), raw, ()).suspension == held(42.0)
    assert with_suspension(RECORD, raw, ()).suspension is None


@pytest.mark.parametrize(("second", "seconds"), [("31", 31.0), ("03", None)])
def test_a_pipeline_run_that_is_created_as_pending_is_suspended_until_it_starts(
    second: str, seconds: float | None
) -> None:
    status = {"startTime": f"2026-11-20T10:00:{second}Z"}
    raw = {"kind": "PipelineRun", "metadata": {"name": "r", "creationTimestamp": MADE}, "spec": {}, "status": status}
    assert suspension(raw) == (None if seconds is None else held(seconds))


def test_only_runs_in_a_queue_have_workloads() -> None:
    assert queued(job(**{"kueue.x-k8s.io/queue-name": "team"})) == "kueue.x-k8s.io/job-uid=u-1"
    assert queued(job()) is None


@pytest.mark.parametrize(
    "broken", [{}, {"metadata": 3}, {"status": []}, {"metadata": {}, "status": {"conditions": [1]}}]
)
def test_what_is_malformed_says_nothing(broken: dict[str, Any]) -> None:
    assert suspension(broken, broken) is None
    assert queued(broken) is None


@pytest.mark.parametrize("held", [None, Suspension(61.5), Suspension(600.0, "ClusterQueue batch", 2, 700.5)])
@pytest.mark.parametrize("size", [None, 7.0])
def test_the_history_keeps_it(held: Suspension | None, size: float | None) -> None:
    kept = replace(RECORD, suspension=held, input_size=size)
    assert decode_record(encode_record(kept), KEY, "train-1") == kept


@pytest.mark.parametrize(
    ("kind", "spec", "held"),
    [
        ("Job", {"suspend": True}, True),
        ("JobSet", {"suspend": True}, True),
        ("PipelineRun", {"status": "PipelineRunPending"}, True),
        ("PipelineRun", {"status": "Cancelled"}, False),
        ("Job", {"suspend": False}, False),
        ("Job", {}, False),
    ],
)
def test_a_run_that_may_have_no_pods_yet_is_suspended(kind: str, spec: dict[str, Any], held: bool) -> None:
    raw = {**job(**{"kueue.x-k8s.io/queue-name": "team"}), "kind": kind, "spec": spec}
    assert suspended_run(raw) == (SuspendedRun(kind, "train-1", unix(MADE), "team") if held else None)
    assert suspended_run({"kind": kind, "metadata": {"name": "x"}, "spec": spec}) is None


def test_kueue_says_why_a_workload_has_no_quota() -> None:
    pending = {**condition("QuotaReserved", 5, "False"), "message": "no\n quota"}
    assert why_not_admitted(workload(pending)) == "no quota"
    assert why_not_admitted(workload(condition("QuotaReserved", 5))) is None
