"""A Job that Kueue preempted and admitted again, from its real objects (``tests/support/engines/kueue.yaml``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from concertmaster.core.model import Outcome, RunRecord, StepExecution, Suspension, WorkflowDefinition
from concertmaster.engines import define, whole_run
from concertmaster.history import Store
from tests.support.engines.tekton_objects import RUN, RUNS, SPEC, pipeline, pipeline_run
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
    assert run.suspension == Suspension(9.0, by, 1 if by else 0, RESUMED)
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


SET = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet"}


def job_set(*names: str, **spec: Any) -> dict[str, Any]:
    """A JobSet of one Job of each name, created at 0, which was resumed at ``resumed`` seconds."""
    pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example/etl:1"}]}}
    jobs = [{"name": name, "replicas": 1, "template": {"spec": {"template": pod}}} for name in names]
    for job, before in zip(jobs[1:], names, strict=False):
        if "startupPolicy" not in spec:
            job["dependsOn"] = [{"name": before, "status": "Complete"}]
    meta = {"name": "set-1", "namespace": "queues", "uid": "s-1", "creationTimestamp": second(0)}
    return {**SET, "metadata": meta, "spec": {"replicatedJobs": jobs, **spec}}


def second(number: int) -> str:
    return f"2026-11-30T23:{number // 60:02d}:{number % 60:02d}Z"


def ended(raw: dict[str, Any], resumed: int, at: int) -> dict[str, Any]:
    """The JobSet after its end, as its controller (0.11.0) leaves it."""
    rows = [{"name": job["name"], "succeeded": 1, "failed": 0} for job in raw["spec"]["replicatedJobs"]]
    conditions = [
        {"type": "Suspended", "status": "False", "lastTransitionTime": second(resumed)},
        {"type": "Completed", "status": "True", "lastTransitionTime": second(at)},
    ]
    return {**raw, "status": {"conditions": conditions, "replicatedJobsStatus": rows}}


def pod(step: str, begin: int, end: int) -> dict[str, Any]:
    """A pod of the set that still exists, and had succeeded."""
    state = {"exitCode": 0, "reason": "Completed", "startedAt": second(begin), "finishedAt": second(end)}
    labels = {f"jobset.sigs.k8s.io/{k}": v for k, v in (("jobset-name", "set-1"), ("replicatedjob-name", step))}
    return {
        "metadata": {
            "name": f"set-1-{step}-0-0-{begin}",
            "namespace": "queues",
            "uid": f"{step}-{begin}",
            "labels": {**labels, "jobset.sigs.k8s.io/job-index": "0", "batch.kubernetes.io/job-completion-index": "0"},
            "creationTimestamp": second(begin),
            "ownerReferences": [{"kind": "Job", "name": f"set-1-{step}-0", "controller": True}],
        },
        "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "example/etl:1"}]},
        "status": {
            "phase": "Succeeded",
            "startTime": second(begin),
            "containerStatuses": [{"name": "main", "restartCount": 0, "state": {"terminated": state}}],
        },
    }


def admission(at: int, past: int, evictions: int) -> dict[str, Any]:
    conditions = [{"type": "Admitted", "status": "True", "lastTransitionTime": second(at)}]
    status = {
        "conditions": conditions,
        "admission": {"clusterQueue": "other"},
        "accumulatedPastExecutionTimeSeconds": past,
        "schedulingStats": {"evictions": [{"reason": "Preempted", "count": evictions}]},
    }
    return {"metadata": {"name": "w", "creationTimestamp": second(0)}, "status": status}


def seen(live: RunRecord, step: str, begin: int, end: int) -> list[StepExecution]:
    """The pods as the metrics have them: one of the ``step`` was deleted, last seen at ``end``."""
    at = unix(second(0)) or 0.0
    own = next(e for e in live.steps if e.step == step)
    times = {"created": at + begin, "started": at + begin, "finished": at + end}
    gone = replace(own, pod=f"set-1-{step}-0-0-{begin}", uid="gone", outcome=Outcome.UNKNOWN, **times)
    return [replace(e, ready=None, after=None) for e in (gone, *live.steps)]


@pytest.mark.parametrize("readable", [True, False])
def test_a_preempted_jobset_repeats_the_step_it_had_begun_and_keeps_those_that_were_complete(readable: bool) -> None:
    """Admitted at 20 s, evicted at 40 s, when ``train`` was at work, and admitted again at 60 s: as JobSet 0.11.0 does it,
    ``prepare`` is not run again."""
    raw = ended(job_set("prepare", "train"), 60, 80)
    definition = define(raw)
    assert definition is not None
    pods = [pod("prepare", 20, 26), pod("train", 60, 80)]
    live = whole_run(raw, definition, pods, [admission(60, 20, 1)] if readable else [])
    assert live is not None
    with Store(":memory:") as store:
        rows = seen(live.record, "train", 27, 40)
        store.add({live.record.workflow: {"set-1": rows}}, records=[live.record])
        (run,) = store.runs(live.record.workflow, definition=definition)
    assert run.suspension is not None
    assert (run.makespan, run.suspension.seconds, run.outcome) == (40.0, 40.0, Outcome.SUCCEEDED)
    assert [(e.step, e.attempt, e.duration) for e in run.steps] == [
        ("prepare", 0, 6.0),
        ("train", 0, 13.0),
        ("train", 1, 20.0),
    ]


def test_a_jobset_whose_jobs_start_in_order_is_suspended_until_the_first_of_them_starts() -> None:
    """Its condition says so once the last has (JobSet 0.11.0)."""
    raw = ended(job_set("driver", "workers", startupPolicy={"startupPolicyOrder": "InOrder"}), 37, 60)
    definition = define(raw)
    assert definition is not None
    pods = [pod("driver", 20, 60), pod("workers", 35, 60)]
    live = whole_run(raw, definition, pods)
    assert live is not None
    with Store(":memory:") as store:
        store.add({}, records=[live.record])
        (run,) = store.runs(live.record.workflow, definition=definition)
    assert run.suspension is not None
    assert (run.makespan, run.suspension.seconds) == (40.0, 20.0)


@pytest.mark.parametrize("objects", [True, False])
def test_a_pod_of_tekton_that_is_preempted_and_made_again_under_its_name_is_an_attempt(objects: bool) -> None:
    """Kueue deletes it, and the TaskRun has it made again, without counting a retry (Tekton 1.15.0, Kueue 0.17.0)."""
    definition = pipeline(*SPEC["tasks"], finally_=SPEC["finally"])
    live = whole_run(pipeline_run(), definition, RUNS)
    assert live is not None
    rows = [
        replace(e, uid=e.pod, attempt=int("retry1" in (e.pod or "")), ready=None, after=None)
        for e in live.record.steps
        if e.pod
    ]
    for pod, created, end in (("p-test-1-retry1", 41.0, 43.0), ("p-deploy", 60.0, 60.5)):
        own = next(e for e in rows if e.pod == pod)
        rows.append(
            replace(own, uid=f"{pod}-1", created=created, started=created, finished=end, outcome=Outcome.UNKNOWN)
        )
    with Store(":memory:") as store:
        store.add({definition.key: {RUN: rows}}, records=[live.record] if objects else [])
        (run,) = store.runs(definition.key, definition=definition)
    found = [
        (e.step, e.attempt, e.created, e.ready, e.outcome.value) for e in run.steps if e.attempt or e.step == "deploy"
    ]
    assert sorted(found) == [
        ("deploy", 0, 60.0, 60.0, "Unknown"),
        ("deploy", 1, 61.0, 60.5, "Succeeded"),
        ("test", 1, 41.0, 40.0, "Unknown"),
        ("test", 2, 45.0, 43.0, "Succeeded"),
    ]
