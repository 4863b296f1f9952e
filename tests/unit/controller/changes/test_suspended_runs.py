"""Runs that wait for quota since a change: they are not missing, and only a change that raised something is at fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from concertmaster.api.conditions import ConditionType as C
from concertmaster.core.model import Edit, Suspension
from concertmaster.core.model.engines import QUEUE_LABEL, ObjectKind
from concertmaster.core.model.enums import Verdict
from concertmaster.core.times import format_time
from concertmaster.engines.suspension import WORKLOAD, WORKLOAD_VERSIONS
from concertmaster.kube.objects import KUEUE_QUEUES, Resource, resource_of
from tests.support.controller.change_steps import HOUR, later
from tests.support.controller.changes_bed import DAY, Bed, cheaper
from tests.support.controller.started_bed import API, CPU, Started
from tests.support.core.change_samples import recommended

JOBS = Resource("batch/v1", "Job", "jobs")
RECORDED = yaml.safe_load((Path(__file__).parents[3] / "support" / "engines" / "kueue.yaml").read_text())
NEVER = RECORDED["never"]["status"]["conditions"][0]["message"]
FULL = "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default, 2 more needed"


def queued_bed(proposed: str = "1500m", *, workloads: bool = False, waits: float = 60.0) -> Bed:
    """A change that was just applied to a CronJob in a queue. Kueue held each run before it for ``waits`` seconds."""
    bed = Bed()
    bed.edit("/spec/jobTemplate/metadata", {"labels": {QUEUE_LABEL: "team"}})
    rows = bed.history.runs_of["etl"]
    rows[:] = [replace(r, suspension=Suspension(waits, "ClusterQueue batch")) for r in rows]
    bed.items = [cheaper(proposed=proposed)]
    local, cluster = KUEUE_QUEUES[0]
    bed.client.put(local, "demo", "team", spec={"clusterQueue": "batch"})
    bed.client.put(cluster, None, "batch", spec=cluster_queue("4"))
    if not workloads:
        bed.client.allows = lambda attributes: attributes["resource"] != "workloads"  # type: ignore[method-assign]
    bed.run()
    assert (bed.cpu(), bed.one().phase) == (proposed, "Verifying")
    return bed


def cluster_queue(*quotas: str, **resource: str) -> dict[str, Any]:
    """A ClusterQueue with these cores of one flavor each; ``resource``: further fields of the last one."""
    rows = [[{"name": "cpu", "nominalQuota": cores}] for cores in quotas]
    rows[-1][0] |= resource
    flavors = [{"name": f"flavor-{i}", "resources": row} for i, row in enumerate(rows)]
    return {"resourceGroups": [{"coveredResources": ["cpu"], "flavors": flavors}]}


def job(bed: Bed, name: str, why: str | None = None, **spec: Any) -> None:
    """A Job of the CronJob that Kueue has suspended, created now, with a Workload that says ``why``."""
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl", "controller": True}
    labels = {QUEUE_LABEL: "team"}
    made = {"creationTimestamp": format_time(bed.now), "ownerReferences": [owner], "labels": labels}
    raw = bed.client.put(JOBS, "demo", name, metadata=made, spec={"suspend": True, **spec})
    pending = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": why}
    labels = {"kueue.x-k8s.io/job-uid": raw["metadata"]["uid"]}
    kind = resource_of(WORKLOAD, WORKLOAD_VERSIONS[0])
    bed.client.put(kind, "demo", f"job-{name}", metadata={"labels": labels}, status={"conditions": [pending]})


@pytest.mark.parametrize("proposed", ["1500m", "2500m"])
def test_a_full_queue_is_no_harm_of_a_change_and_its_verification_goes_on(proposed: str) -> None:
    bed = queued_bed(proposed, workloads=True)
    for number in range(4):
        job(bed, f"etl-{number}", FULL)
        bed.run(HOUR)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", proposed)
    assert "0 of 5 to 30 runs seen since the change" in bed.message(C.VERIFIED)
    assert f"4 runs since the change are not admitted yet by LocalQueue team ({FULL})" in bed.message(C.VERIFIED)
    bed.start()  # a process whose watch of runs has brought none yet
    bed.run(HOUR)
    assert bed.one().phase == "Verifying"
    later(bed, 12, cpu=0.75)
    assert bed.one().phase == "Completed"


def test_a_lower_request_is_not_why_runs_are_not_admitted() -> None:
    bed = queued_bed()
    job(bed, "etl-1")
    bed.run(DAY)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    assert "1 run since the change is not admitted yet by LocalQueue team" in bed.message(C.VERIFIED)


def test_a_raise_beyond_what_the_queue_can_hold_is_rolled_back_as_soon_as_kueue_says_so() -> None:
    bed = queued_bed("2500m", workloads=True)
    job(bed, "etl-1", NEVER)
    bed.run()
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")
    text = bed.message(C.VERIFIED)
    assert "LocalQueue team can never admit runs since the change" in text and "maximum capacity (4)" in text
    assert "delete Job etl-1, which keeps the requests of the change" in text


@pytest.mark.parametrize(("minutes", "harm"), [(62, False), (64, True)])
def test_without_the_right_to_read_workloads_a_raise_is_rolled_back_once_a_run_waits_far_longer_than_any_before(
    minutes: int, harm: bool
) -> None:
    bed = queued_bed("2500m")
    job(bed, "etl-1")
    bed.run(minutes * 60.0)
    assert bed.cpu() == ("2" if harm else "2500m")
    said = "no run since the change was admitted by LocalQueue team within 1h04m, each of 30 before it within 1m00s"
    assert (said in bed.message(C.VERIFIED)) is harm


def test_a_job_that_may_have_pods_hides_no_refused_ones() -> None:
    bed = queued_bed()
    job(bed, "etl-1", suspend=False)
    bed.run(3 * HOUR)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")
    assert "no run since the change" in bed.message(C.VERIFIED)


def test_without_the_right_to_list_runs_missing_ones_are_a_harm_as_before() -> None:
    bed = queued_bed()
    bed.client.allows = lambda attributes: attributes["resource"] != "jobs"  # type: ignore[method-assign]
    bed.start()
    job(bed, "etl-1")
    bed.run(3 * HOUR)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


QUEUES: dict[str, tuple[dict[str, Any], bool]] = {
    "too small": (cluster_queue("1", "2"), False),
    "another flavor is large enough": (cluster_queue("4", "1"), True),
    "may borrow enough": ({**cluster_queue("2", borrowingLimit="1"), "cohortName": "all"}, True),
    "may borrow too little": ({**cluster_queue("2", borrowingLimit="100m"), "cohort": "all"}, False),
    "may borrow what the cohort has": ({**cluster_queue("1"), "cohortName": "all"}, True),
    "has no cohort to borrow from": (cluster_queue("2", borrowingLimit="9"), False),
}


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("version", range(2))
def test_a_raise_beyond_what_the_queue_can_hold_is_not_made(queue: str, version: int) -> None:
    spec, made = QUEUES[queue]
    bed = Bed()
    bed.edit("/spec/jobTemplate/metadata", {"labels": {QUEUE_LABEL: "team"}})
    local, cluster = KUEUE_QUEUES[version]
    bed.client.put(local, "demo", "other", spec={"clusterQueue": "tiny"})
    bed.client.put(local, "demo", "team", spec={"clusterQueue": "batch"})
    bed.client.put(cluster, None, "batch", spec=spec)
    bed.client.put(cluster, None, "tiny", spec=cluster_queue("1"))
    bed.items = [cheaper(proposed="2500m")]
    bed.run()
    assert bed.cpu() == ("2500m" if made else "2")
    assert bed.counted("refused", check="namespace-limits") == (0.0 if made else 1.0)


def test_a_queue_that_is_too_small_keeps_no_request_from_being_lowered_and_none_of_a_job_that_it_admits_in_part() -> (
    None
):
    annotations = {"kueue.x-k8s.io/job-min-parallelism": "1"}
    in_part = {"annotations": annotations}
    for meta, proposed, cores, made in (
        ({}, "1500m", "1", True),
        (in_part, "2500m", "4", True),
        (in_part, "2500m", "1", False),  # not one of its pods
    ):
        bed = Bed()
        bed.edit("/spec/jobTemplate/metadata", {"labels": {QUEUE_LABEL: "team"}, **meta})
        bed.edit("/spec/jobTemplate/spec/parallelism", 2)
        bed.edit("/spec/jobTemplate/spec/completions", 2)
        local, cluster = KUEUE_QUEUES[0]
        bed.client.put(local, "demo", "team", spec={"clusterQueue": "batch"})
        bed.client.put(cluster, None, "batch", spec=cluster_queue(cores))
        bed.items = [cheaper(proposed=proposed)]
        bed.run()
        assert bed.cpu() == (proposed if made else "2")


def pods_in_queue(proposed: str, cores: str = "4") -> Started:
    """A change of a template whose pods Kueue admits one by one, in a ClusterQueue with these cores."""
    bed = Started()
    bed.edit("/spec/podMetadata", {"labels": {QUEUE_LABEL: "team"}})
    local, cluster = KUEUE_QUEUES[0]
    bed.client.put(local, "demo", "team", spec={"clusterQueue": "batch"})
    bed.client.put(cluster, None, "batch", spec=cluster_queue(cores))
    bed.items = [recommended(Edit(CPU, "2", proposed), id="cpu-request.job", step="job")]
    bed.run()
    return bed


def workflow(bed: Bed, name: str, phase: str) -> None:
    """A Workflow of the template, created now, with one pod."""
    labels = {"workflows.argoproj.io/workflow-template": "etl", "workflows.argoproj.io/phase": "Running"}
    bed.client.put(
        resource_of(ObjectKind(API, "Workflow", "workflows")),
        "demo",
        name,
        metadata={"creationTimestamp": format_time(bed.now), "labels": labels},
        spec={"workflowTemplateRef": {"name": "etl"}},
        status={"phase": "Running", "nodes": {name: {"type": "Pod", "phase": phase}}},
    )


@pytest.mark.parametrize(("phase", "harm"), [("Pending", False), ("Running", True)])
def test_pods_that_wait_in_a_full_queue_are_no_harm_of_a_lower_request(phase: str, harm: bool) -> None:
    bed = pods_in_queue("1500m")
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    for number in range(8):
        workflow(bed, f"etl-{number}", phase)
        bed.run(HOUR)
    assert bed.cpu() == ("2" if harm else "1500m")
    said = "8 runs since the change are not admitted yet by LocalQueue team"
    assert (said in bed.message(C.VERIFIED)) is not harm


def test_a_raise_of_pods_that_are_not_admitted_far_longer_than_any_before_is_rolled_back() -> None:
    bed = pods_in_queue("2500m")
    rows = bed.history.runs_of["etl"]
    rows[:] = [
        replace(r, steps=tuple(replace(e, created=r.start, scheduled=(r.start or 0.0) + 60.0) for e in r.steps))
        for r in rows
    ]
    workflow(bed, "etl-1", "Pending")
    bed.run(HOUR)
    assert bed.cpu() == "2500m"
    bed.run(2 * HOUR)
    assert bed.cpu() == "2", bed.message(C.VERIFIED)
    assert "was admitted by LocalQueue team within 3h00m, each of 30 before it within 1m00s" in bed.message(C.VERIFIED)


@pytest.mark.parametrize(("cores", "made"), [("2", False), ("3", True)])
def test_a_pod_beyond_what_the_queue_can_hold_is_not_requested(cores: str, made: bool) -> None:
    """However many of them run at a time."""
    bed = pods_in_queue("2500m", cores)
    assert bed.cpu() == ("2500m" if made else "2")


@pytest.mark.parametrize("pods", [False, True])
def test_a_run_that_is_admitted_at_last_is_waited_for_until_its_pods_have_ended(pods: bool) -> None:
    bed = pods_in_queue("1500m") if pods else queued_bed()
    for waits in (True, False):
        for number in range(5):
            if pods:
                workflow(bed, f"etl-{number}", "Pending" if waits else "Running")
            else:
                job(bed, f"etl-{number}", suspend=waits)
            bed.run(HOUR if waits else 60.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m"), bed.message(C.VERIFIED)
    bed.run(4 * HOUR)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")
