"""RayJobs of KubeRay: groups as steps, the end from the object, pods by labels or names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from concertmaster.core.model import Outcome, PodFact, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.engines import QUEUE_LABEL
from concertmaster.engines import Claims, assign, complete, define, end_alone, ended, infer_definitions, run_kind
from tests.support.builders import build_run

HEAD = {"groupName": "headgroup", "template": {"spec": {"containers": [{"name": "ray-head"}]}}}


def group(name: str, **more: Any) -> dict[str, Any]:
    resources = {"requests": {"cpu": "4", "memory": "8Gi"}}
    pod = {"containers": [{"name": "ray-worker", "resources": resources}]}
    return {"groupName": name, "replicas": 2, "template": {"spec": pod}, **more}


def manifest(
    *groups: dict[str, Any], name: str = "train", status: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    cluster = {"headGroupSpec": HEAD, "workerGroupSpecs": list(groups), **spec.pop("cluster", {})}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name, "namespace": "ml", "creationTimestamp": "2026-08-01T02:00:00Z"},
        "spec": {"entrypoint": "python train.py", "rayClusterSpec": cluster, **spec},
        "status": status or {},
    }


def ray_job(*groups: dict[str, Any], **more: Any) -> WorkflowDefinition:
    definition = define(manifest(*groups, **more))
    assert definition is not None
    return definition


def selected(prefix: str = "train") -> WorkflowDefinition:
    selector = {"apiVersion": "ray.io/v1", "kind": "RayJob", "namePrefix": prefix}
    definition = define(
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowProfile",
            "metadata": {"name": "training", "namespace": "ml"},
            "spec": {"runSelector": selector},
        }
    )
    assert definition is not None
    return definition


def pod(
    name: str, uid: str, labels: dict[str, str] | None = None, cluster: str = "train-x7k2z-raycluster-b4c5d"
) -> PodFact:
    return PodFact("ml", name, uid, owner_kind="RayCluster", owner_name=cluster, labels=labels or {}, created=0.0,
                   started=5.0, finished=60.0, phase="Succeeded")  # fmt: skip


def test_groups_and_the_submitter_are_steps() -> None:
    head, workers, submitter = ray_job(group("gpu"), activeDeadlineSeconds=3600, backoffLimit=2).graph.steps
    assert (head.name, head.daemon, head.depends_on, head.fan_out) == ("head", True, (), False)
    assert (workers.name, workers.daemon, workers.depends_on, workers.width) == ("gpu", True, ("head",), 2)
    assert workers.containers[0].cpu_request == 4.0
    assert workers.containers[0].resources_pointer is None
    assert (submitter.name, submitter.depends_on) == ("submitter", ("head", "gpu"))
    assert (submitter.timeout_seconds, submitter.retry_limit) == (3600.0, 2)
    assert submitter.creates  # it waits for the Ray job and works itself not at all


@pytest.mark.parametrize(
    ("spec", "declared"),
    [
        ({}, set()),
        ({"shutdownAfterJobFinishes": False}, set()),
        ({"shutdownAfterJobFinishes": True}, {"shutdownAfterJobFinishes"}),
        ({"deletionStrategy": {"deletionRules": [{"policy": "DeleteCluster"}]}}, {"deletionStrategy"}),
    ],
)
def test_either_way_of_removing_finished_runs_is_known(spec: dict[str, Any], declared: set[str]) -> None:
    assert ray_job(group("gpu"), **spec).declared.keys() == declared


def test_groups_of_several_hosts_and_autoscaled_ones() -> None:
    assert ray_job(group("tpu", numOfHosts=4)).graph.step("tpu").width == 8  # type: ignore[union-attr]
    scaled = ray_job(group("any"), cluster={"enableInTreeAutoscaling": True}).graph.step("any")
    assert scaled is not None
    assert (scaled.fan_out, scaled.width) == (True, None)
    assert ray_job(group("one", replicas=1)).graph.step("one").fan_out is False  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "width"),
    [
        ({"replicas": 0, "minReplicas": 3, "maxReplicas": 3}, 3),
        ({"replicas": 9, "minReplicas": 1, "maxReplicas": 4, "numOfHosts": 2}, 8),
        ({"replicas": None, "minReplicas": 2}, 2),
        ({"replicas": None}, None),
        ({"replicas": 4, "suspend": True}, 0),
    ],
)
def test_a_group_has_as_many_pods_as_its_bounds_allow(fields: dict[str, Any], width: int | None) -> None:
    assert ray_job(group("gpu", **fields)).graph.step("gpu").width == width  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["HTTPMode", "InteractiveMode", "SidecarMode"])
def test_without_a_submitting_job_the_workers_end_the_run(mode: str) -> None:
    steps = ray_job(group("gpu"), submissionMode=mode).graph.steps
    assert [(s.name, s.daemon) for s in steps] == [("head", True), ("gpu", False)]


def test_a_head_without_workers_does_the_work() -> None:
    def head(*facts: PodFact, of: WorkflowDefinition) -> list[tuple[str, bool]]:
        ((run, executions),) = assign(facts, [of]).executions[of.key].items()
        known, (record,) = complete(of, [build_run(of.key, run, executions, of)])
        daemons = {s.name: s.daemon for s in known.graph.steps}
        return [(e.step, daemons[e.step]) for e in record.steps]

    cluster = "train-x7k2z-b4c5d"
    facts = [
        pod(f"{cluster}-head-qwrtz", "u1", cluster=cluster),
        pod(f"{cluster}-gpu-worker-b2c3d", "u2", cluster=cluster),
    ]
    alone = ray_job(submissionMode="HTTPMode")
    assert [(s.name, s.daemon) for s in alone.graph.steps] == [("head", False)]
    assert head(*facts, of=selected()) == [("gpu", False), ("head", True)]
    assert head(facts[0], of=selected()) == [("run", False)]
    assert head(facts[0], of=alone) == [("head", False)]
    assert "headGroupSpec" in (selected().engine.remedies({("run", "ray-head"): {"requests.cpu": "1"}}) or "")


def test_a_cluster_that_was_there_before_is_said() -> None:
    raw = manifest()
    raw["spec"] = {"clusterSelector": {"ray.io/cluster": "shared"}}
    definition = define(raw)
    assert definition is not None
    assert "was there before" in definition.notes[0]
    assert [s.name for s in definition.graph.steps] == ["submitter"]


def test_the_queue_that_admits_a_rayjob_is_known() -> None:
    raw = manifest(group("gpu"))
    raw["metadata"]["labels"] = {QUEUE_LABEL: "gpus"}
    definition = define(raw)
    assert definition is not None
    assert definition.declared[QUEUE_LABEL] == "gpus"
    assert QUEUE_LABEL not in ray_job(group("gpu")).declared


def test_odd_specs_are_named() -> None:
    definition = ray_job({"replicas": "many"})
    assert definition.graph.problems == ("workerGroupSpecs[0] has no groupName: it is ignored",)


@pytest.mark.parametrize(
    ("deployment", "job", "outcome"),
    [
        ("Complete", "SUCCEEDED", Outcome.SUCCEEDED),
        ("Complete", "FAILED", Outcome.FAILED),
        ("Complete", "STOPPED", Outcome.UNKNOWN),
        ("Failed", "RUNNING", Outcome.FAILED),
        ("Running", "RUNNING", Outcome.RUNNING),
        (None, None, Outcome.RUNNING),
    ],
)
def test_the_end_of_a_run(deployment: str | None, job: str | None, outcome: Outcome) -> None:
    status = {
        "jobDeploymentStatus": deployment,
        "jobStatus": job,
        "reason": "DeadlineExceeded",
        "startTime": "2026-08-01T02:00:05Z",
        "endTime": "2026-08-01T02:10:05Z",
    }
    raw = manifest(group("gpu"), status=status)
    kind = run_kind(raw)
    assert kind is not None
    key = kind.workflow_of(raw)
    assert key == WorkflowKey("ml", "RayJob", "train")
    run = kind.read(raw, (), key, None)
    assert run.record.outcome is outcome
    assert ended(raw) is (outcome is not Outcome.RUNNING) is run.complete
    assert run.reason == ("DeadlineExceeded" if outcome is Outcome.FAILED else None)
    if run.complete:
        record = end_alone(run)
        assert record is not None
        assert (record.end or 0.0) - (record.start or 0.0) == 600.0


@pytest.mark.parametrize(("job", "failed", "again"), [("SUCCEEDED", 0, False), ("SUCCEEDED", 1, True),
                                                      ("FAILED", 1, False), ("FAILED", 2, True)])  # fmt: skip
def test_a_run_that_was_retried_did_not_begin_with_its_last_try(job: str, failed: int, again: bool) -> None:
    """KubeRay sets startTime anew, as for a RayJob that is resumed: the time between tries would be no time of the run."""
    times = {"startTime": "2026-08-01T02:05:00Z", "endTime": "2026-08-01T02:10:00Z"}
    end = {"jobDeploymentStatus": "Failed" if job == "FAILED" else "Complete", "jobStatus": job, "failed": failed}
    raw = manifest(group("gpu"), status={**times, **end})
    kind = run_kind(raw)
    assert kind is not None
    record = end_alone(kind.read(raw, (), WorkflowKey("ml", "RayJob", "train"), None))
    assert record is not None
    assert (record.end or 0.0) - (record.start or 0.0) == (600.0 if again else 300.0)


def test_a_rayjob_that_was_not_accepted_is_a_failed_run() -> None:
    status = {"jobDeploymentStatus": "ValidationFailed", "reason": "ValidationFailed", "message": "name too long"}
    raw = manifest(group("gpu"), status=status)
    kind = run_kind(raw)
    assert kind is not None
    assert ended(raw)
    run = kind.read(raw, (), WorkflowKey("ml", "RayJob", "train"), None)
    assert run.reason == "ValidationFailed"
    record = end_alone(run)
    assert record is not None
    assert record.outcome is Outcome.FAILED
    assert record.start == record.end == record.created
    changed = manifest(group("gpu"), status={**status, "rayClusterName": "train-b4c5d"})  # while it runs
    assert not ended(changed)
    assert kind.read(changed, (), WorkflowKey("ml", "RayJob", "train"), None).record.outcome is Outcome.RUNNING


def test_runs_belong_to_the_job_they_were_generated_from_or_to_a_selector() -> None:
    assert Claims([ray_job()]).of(manifest(name="train-x7k2z")) == ray_job()
    claims = Claims([selected()])
    assert claims.kinds == {"RayJob"}
    assert claims.of(manifest(name="train-2")) == selected()
    assert claims.of(manifest(name="serve-2")) is None


def test_the_submitting_job_is_no_run_of_its_own() -> None:
    profile = selected("train")
    raw = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train-2", "namespace": "ml"}}
    raw["metadata"]["ownerReferences"] = [{"kind": "RayJob", "name": "train-2"}]  # type: ignore[index]
    assert Claims([profile]).of(raw) is None


@pytest.mark.parametrize("labelled", [True, False])
def test_pods_are_placed_by_labels_or_names(labelled: bool) -> None:
    cluster = "train-x7k2z-raycluster-b4c5d"
    facts = [
        pod(f"{cluster}-head-qwrtz", "u1", {"ray_io_group": "headgroup"} if labelled else None),
        pod(f"{cluster}-gpu-worker-b2c3d", "u2", {"ray_io_group": "gpu"} if labelled else None),
        pod(f"{cluster}-gpu-worker-b2c3f", "u3", {"ray_io_group": "gpu"} if labelled else None),
        PodFact("ml", "train-x7k2z-v9w2x", "u4", owner_kind="Job", owner_name="train-x7k2z", created=20.0,
                started=21.0, finished=58.0, phase="Succeeded"),
    ]  # fmt: skip
    definition = ray_job(group("gpu"))
    placed = assign(facts, [definition], job_owners={("ml", "train-x7k2z"): ("RayJob", "train-x7k2z")})
    ((run, executions),) = placed.executions[definition.key].items()
    assert run == "train-x7k2z"
    record = build_run(definition.key, run, executions, definition)
    assert [(e.step, e.item) for e in record.steps] == [("gpu", "0"), ("gpu", "1"), ("head", None), ("submitter", None)]
    assert record.outcome is Outcome.SUCCEEDED


def labelled(run: str) -> WorkflowDefinition:
    definition = define(
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowProfile",
            "metadata": {"name": run, "namespace": "ml"},
            "spec": {"podLabels": {"preset": "kuberay", "value": run}},
        }
    )
    assert definition is not None
    return definition


@pytest.mark.parametrize("definition", [ray_job(group("gpu")), labelled("train")], ids=["RayJob", "preset"])
@pytest.mark.parametrize("workers", [(2, 2), (2, 1), (1, 2)])
@pytest.mark.parametrize("later", [70.0, 50.0, 20.0])
def test_pods_of_the_second_cluster_are_second_attempts_while_the_first_ones_terminate_too(
    definition: WorkflowDefinition, workers: tuple[int, int], later: float
) -> None:
    """KubeRay creates the RayCluster of a retry without waiting for the pods of the one before: they end at second 60."""
    facts = []
    for n, (cluster, phase) in enumerate((("train-x7k2z-b4c5d", "Failed"), ("train-x7k2z-f6g7h", "Succeeded"))):
        for i in range(workers[n]):
            made = pod(
                f"{cluster}-gpu-worker-b2c{n}{i}",
                f"u{n}{i}",
                {"ray_io_group": "gpu", "ray_io_cluster": cluster},
                cluster,
            )
            times = {"created": n * later + i, "started": n * later + 5.0, "finished": n * later + 60.0}
            facts.append(replace(made, phase=phase, **times))
    ((run, executions),) = assign(facts, [definition]).executions[definition.key].items()
    record = build_run(definition.key, run, executions, definition)
    items = ("0", "1")[: max(workers)] if max(workers) > 1 else (None,)
    expected = {(items[i], n if workers[0] > i else 0) for n in (0, 1) for i in range(workers[n])}
    assert {(e.item, e.attempt) for e in record.steps} == expected


def test_pods_of_other_clusters_are_counted() -> None:
    facts = [pod("serve-head-x", "u1", {"ray_io_serve": "true"}), pod("alone-head-x", "u2", cluster="alone")]
    found = assign(facts, [ray_job()])
    assert found.executions == {}
    assert found.unassigned["its RayCluster belongs to no observed RayJob"] == 2


def test_runs_nobody_declared_are_inferred_where_labels_are_exported() -> None:
    """Only labels tell the cluster of a RayService, which is named in the same way, from that of a RayJob."""
    head = {"ray_io_group": "headgroup"}
    facts = [
        pod("train-x7k2z-b4c5d-head-b2c3d", "u1", head, cluster="train-x7k2z-b4c5d"),
        pod("serve-b4c5d-head-b2c3d", "u2", {**head, "ray_io_serve": "true"}, cluster="serve-b4c5d"),
        pod("other-b4c5d-head-b2c3d", "u3", cluster="other-b4c5d"),
        pod("alone-head-b2c3d", "u4", head, cluster="alone"),
    ]
    (definition,) = infer_definitions(facts)
    assert (str(definition.key), [s.name for s in definition.graph.steps]) == ("RayJob/ml/train", ["run"])


def test_sizes_become_what_can_be_pasted() -> None:
    """Each size is where KubeRay reads it: what was pasted, read again, asks for it."""
    size = {"requests.cpu": "2500m", "requests.memory": "3Gi", "limits.memory": "4Gi"}
    places = [("head", "ray-head"), ("gpu", "ray-worker"), ("gpu", "metrics"), ("submitter", "ray-job-submitter")]
    text = selected().engine.remedies(dict.fromkeys(places, size))
    assert text is not None and text.startswith("# RayJob (ray.io/v1)\n")
    pasted = yaml.safe_load(text)["spec"]
    again = define({**manifest(), "spec": pasted})
    assert again is not None and not again.graph.problems
    found = {(s.name, c.name): c.resources for s in again.graph.steps for c in s.containers}
    wanted = {"requests": {"cpu": "2500m", "memory": "3Gi"}, "limits": {"memory": "4Gi"}}
    assert {place: dict(resources) for place, resources in found.items()} == dict.fromkeys(places, wanted)
    assert selected().engine.remedies({}) is None
    assert yaml.safe_load(selected().engine.remedies({("gpu", "ray-worker"): size}) or "")["spec"].keys() == {
        "rayClusterSpec"
    }


def test_sizes_to_paste_into_a_rayjob_keep_it_valid() -> None:
    """A Job takes no pod that is always restarted; of what KubeRay adds to the head, it sets the sizes itself."""
    size = {"requests.memory": "3Gi"}
    text = selected().engine.remedies({("submitter", "ray-job-submitter"): size, ("gpu", "ray-worker"): size}) or ""
    spec = yaml.safe_load(text)["spec"]["submitterPodTemplate"]["spec"]
    assert spec["restartPolicy"] == "Never"
    assert "image, that of the head" in text and "num-cpus" not in text
    assert "num-cpus" in (selected().engine.remedies({("gpu", "ray-worker"): {"requests.cpu": "1"}}) or "")
    assert selected().engine.remedies({("head", "ray-job-submitter"): size}) is None


def test_retries_are_those_of_the_whole_run() -> None:
    pasted = yaml.safe_load(selected().engine.retries("submitter", 2) or "")["spec"]
    again = define({**manifest(), "spec": {**manifest()["spec"], **pasted}})
    assert again is not None
    assert {s.retry_limit for s in again.graph.steps} == {2}
