"""A Job that Kueue preempted and admitted again, from its real objects (``tests/support/engines/kueue.yaml``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from concertmaster.core.model import Outcome, RunRecord, StepExecution, Suspension, WorkflowDefinition
from concertmaster.engines import define, whole_run
from concertmaster.history import Store
from tests.support.engines.times import unix

OBJECTS: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "support" / "engines" / "kueue.yaml").read_text())
CREATED, RESUMED, ENDED = (unix(f"2026-11-30T23:{at}Z") or 0.0 for at in ("56:33", "56:50", "57:12"))
EVICTED_AT = CREATED + 8.0
# Its first pod was deleted with the eviction: only the metrics know it.
FIRST = StepExecution(
    "job",
    pod="low-1-xvssb",
    uid="first",
    created=CREATED,
    scheduled=CREATED,
    started=CREATED + 1.0,
    finished=EVICTED_AT,
    outcome=Outcome.UNKNOWN,
)


def defined() -> WorkflowDefinition:
    job = {"spec": OBJECTS["job"]["spec"], "metadata": {"labels": OBJECTS["job"]["metadata"]["labels"]}}
    meta = {"name": "low", "namespace": "queues"}
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": {"jobTemplate": job}}
    found = define(cron)
    assert found is not None
    return found


def record(*workloads: dict[str, Any]) -> RunRecord:
    run = whole_run(OBJECTS["job"], defined(), [OBJECTS["pod"]], workloads)
    assert run is not None
    return run.record


def known(live: RunRecord, *pods: StepExecution) -> list[RunRecord]:
    with Store(":memory:") as store:
        store.add({live.workflow: {"low-1": list(pods)}}, records=[live])
        return store.runs(live.workflow, definition=defined())


@pytest.mark.parametrize("by", ["ClusterQueue other", None])
def test_a_preempted_job_is_one_run_of_two_attempts_and_its_pause_is_suspension(by: str | None) -> None:
    """With and without the right to read its Workload: what ran before the eviction is run time, not suspension."""
    live = record(OBJECTS["workload"]) if by else record()
    second = live.steps[0]
    (run,) = known(live, FIRST, second)
    assert run.outcome is Outcome.SUCCEEDED
    assert [(e.pod, e.duration) for e in run.steps] == [("low-1-xvssb", 7.0), ("low-1-2sdnt", 20.0)]
    assert run.suspension == Suspension(9.0, by, 1 if by else 0)
    assert run.makespan == 8.0 + 21.0
    assert run.makespan + run.suspension.seconds == pytest.approx(ENDED - CREATED, abs=1.0)


def test_of_a_pod_that_the_metrics_lack_the_object_tells() -> None:
    (run,) = known(record(OBJECTS["workload"]), FIRST)
    assert [(e.pod, e.outcome) for e in run.steps] == [
        ("low-1-xvssb", Outcome.UNKNOWN),
        ("low-1-2sdnt", Outcome.SUCCEEDED),
    ]
    assert (run.start, run.end) == (RESUMED - 8.0, ENDED - 1.0)


def test_a_workload_that_was_never_admitted_gives_no_suspension() -> None:
    """It lasts, and nobody knows for how long."""
    job = {**OBJECTS["job"], "spec": {**OBJECTS["job"]["spec"], "suspend": True}, "status": {}}
    run = whole_run(job, defined(), [], [OBJECTS["never"]])
    assert run is not None
    assert (run.record.outcome, run.record.start, run.record.suspension) == (Outcome.RUNNING, None, None)
