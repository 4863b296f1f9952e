"""The printed patch of every rule that has one, pasted, and then a run of the patched workflow under the real
controllers with full CRDs: it must succeed. What a schedule starts is started by its own controller."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from testbed.install.components import ARGO_V4
from testbed.services.cluster import Cluster
from testbed.services.controlplane import Options, argo_version
from tests.engines.conftest import bed
from tests.support.builders import MI
from tests.support.cluster.operator_bed import wait_for
from tests.support.core.cached_steps import FORMS
from tests.support.core.scenario_builder import (
    Manifest,
    Pod,
    Scenario,
    Work,
    argo,
    cron_job,
    pipeline,
    scenario,
    shared_task,
    task,
)
from tests.support.core.scenarios import OTHERS, PATCHES, SCENARIOS, measured
from tests.support.engines.scenario import ended, paste, succeeded

SPACE = "patched"
LONG_AGO = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2 * 86400))
ASKED = {"cpu": "1", "memory": "1Gi"}
RUNS = "workflows.argoproj.io,pipelineruns.tekton.dev,jobs.batch"
CLAIM = "volume-size"
GPUS = {"status": {part: {"nvidia.com/gpu": "8"} for part in ("capacity", "allocatable")}}
LIMITED = {"requests": ASKED, "limits": ASKED}
WHOLE = {"requests": {"cpu": "1", "memory": "4Gi"}}  # of a pod, whose container requests nothing
OF_A_CONTAINER = {
    "right-size": lambda i, name: Pod(300, containers=measured(name=name, memory_sampled_peak=200 * MI)),
    "cpu-request": lambda i, name: Pod(300, containers=measured(name=name, cpu_limit=1.0, throttled_share=0.4)),
    "memory-request": lambda i, name: Pod(
        200,
        fails="OOMKilled" if i % 7 == 3 else None,
        containers=measured(name=name, memory_limit=1024 * MI, memory_sampled_peak=(1000 if i % 7 == 3 else 800) * MI),
    ),
}


def of_job(work: Callable[[int], Work], **job: Any) -> Callable[[], Scenario]:
    """A CronJob."""
    return lambda: scenario(cron_job(resources=LIMITED, **job), 42, work)


def of_container(rule: str, manifest: Manifest, step: str, container: str, *others: Manifest) -> Callable[[], Scenario]:
    """A rule about the container of a workflow's only step."""
    return lambda: scenario(manifest, 42, lambda i: {step: OF_A_CONTAINER[rule](i, container)}, others=others)


def of_task(rule: str, name: str) -> Callable[[], Scenario]:
    """The same in a Task that a Pipeline refers to."""
    of, held = shared_task(name, LIMITED)
    return of_container(rule, of, "work", "step-main", held)


def of_cluster(rule: str) -> Callable[[], Scenario]:
    """The workflow of a rule's scenario as a ClusterWorkflowTemplate, whose runs refer to it."""

    def made() -> Scenario:
        of = SCENARIOS[rule]()
        return replace(of, manifest={**of.manifest, "kind": CLUSTER})

    return made


def of_schedule(rule: str) -> Callable[[], Scenario]:
    """The workflow of a rule's scenario in a CronWorkflow of its own."""

    def made() -> Scenario:
        of = SCENARIOS[rule]()
        spec = {"schedule": "7 * * * *", "suspend": True, "workflowSpec": of.manifest["spec"]}
        return replace(of, manifest={**of.manifest, "kind": "CronWorkflow", "spec": spec})

    return made


def of_pod(manifest: Manifest, step: str, container: str) -> Callable[[], Scenario]:
    """A right-sizing of a pod's own resources."""
    nothing = {"cpu_request": None, "memory_request": None}
    used = measured(name=container, memory_sampled_peak=200 * MI, **nothing)
    return lambda: scenario(manifest, 42, lambda _: {step: Pod(300, containers=used)})


def sized_job() -> Manifest:
    """A CronJob whose pods have resources of their own."""
    manifest = cron_job(resources={})
    manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["resources"] = WHOLE
    return manifest


BODY = {"image": "registry.example/etl:1", "command": ["work"]}
CLUSTER = "ClusterWorkflowTemplate"
OF_THE_CLUSTER = ("cache-step", "cpu-request", "memory-request", "parallelism", "retry-policy", "right-size", "timeout")
SIZED = argo(task("work"), templates={"work": {"container": BODY, "podResources": WHOLE}})
CASES: dict[str, tuple[str, Callable[[], Scenario]]] = {
    **{rule: (rule, SCENARIOS[rule]) for rule in (*PATCHES, *sorted(OTHERS))},
    **{f"job-{r}": (r, of_container(r, cron_job(resources=LIMITED), "job", "report")) for r in OF_A_CONTAINER},
    **{f"tekton-{r}": (r, of_container(r, pipeline(LIMITED), "work", "step-main")) for r in OF_A_CONTAINER},
    **{f"task-{r}": (r, of_task(r, f"task-{r}")) for r in OF_A_CONTAINER},
    **{f"cache-{name}": ("cache-step", made) for name, made in FORMS.items()},
    **{f"cron-{r}": (r, of_schedule(r)) for r in ("cpu-request", "retry-policy", "right-size", "timeout")},
    **{f"cluster-{r}": (r, of_cluster(r)) for r in OF_THE_CLUSTER},
    "job-pod": ("right-size", of_pod(sized_job(), "job", "report")),
    **({"argo-pod": ("right-size", of_pod(SIZED, "work", "main"))} if argo_version() == ARGO_V4 else {}),  # new in 4.1
    "job-timeout": ("timeout", of_job(lambda _: {"job": 60.0})),
    "job-retry-policy": (
        "retry-policy",
        of_job(lambda i: {"job": Pod(100, failures=((100, "Error"),) * 6, fails="Error") if i % 4 == 0 else Pod(100)}),
    ),
    "job-parallelism": (
        "parallelism",
        of_job(lambda _: {"job": [100.0] * 6}, parallelism=2, completions=6, completionMode="Indexed"),
    ),
}


def prepared(name: str, of: Scenario) -> Scenario:
    """A scenario of that name whose workflow the bed can run."""
    manifest = deepcopy(of.manifest)
    manifest["metadata"] = {"name": name} | ({} if manifest["kind"] == CLUSTER else {"namespace": SPACE})
    spec = manifest["spec"]
    for template in spec.get("workflowSpec", spec).get("templates", ()):
        template.get("container", {}).setdefault("command", ["work"])
        values = {row["name"]: "1" for row in template.get("outputs", {}).get("parameters", ())}
        if "outputs.result" in str(spec):
            values["result"] = "1"
        if values and "metadata" not in template:
            template["metadata"] = {"annotations": {"sim/outputs": json.dumps(values)}}
    if manifest["kind"] == "CronWorkflow" and argo_version() == ARGO_V4:  # has no other field
        spec["schedules"] = [spec.pop("schedule")]
    if name == CLAIM:
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "warehouse"}}]
    others = tuple({**o, "metadata": {**o["metadata"], "namespace": SPACE}} for o in of.others)
    return replace(of, manifest=manifest, others=others)


def claim() -> Iterator[Manifest]:
    """The claim that ``volume-size`` is about, and its volume."""
    storage = {"accessModes": ["ReadWriteOnce"], "storageClassName": "grows"}
    more = {"provisioner": "example.com/none", "allowVolumeExpansion": True}
    volume = {"capacity": {"storage": "10Gi"}, "hostPath": {"path": "/none"}}
    asked = {"volumeName": "one", "resources": {"requests": {"storage": "10Gi"}}}
    meta = {"name": "warehouse", "namespace": SPACE}
    yield {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "grows"}, **more}
    yield {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "one"}, "spec": {**storage, **volume}}
    yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": {**storage, **asked}}


def run_of(stored: Manifest) -> Manifest:
    """A run of a workflow as it is stored; of a schedule, itself when it is overdue."""
    name, kind, spec = stored["metadata"]["name"], stored["kind"], stored["spec"]
    meta: Manifest = {"name": name, "namespace": SPACE}
    if kind == "Pipeline":
        return {"apiVersion": stored["apiVersion"], "kind": "PipelineRun", "metadata": meta,
                "spec": {"pipelineRef": {"name": name}}}  # fmt: skip
    if kind == CLUSTER:
        return {"apiVersion": stored["apiVersion"], "kind": "Workflow", "metadata": meta,
                "spec": {"workflowTemplateRef": {"name": name, "clusterScope": True}}}  # fmt: skip
    if kind == "WorkflowTemplate":
        return {"apiVersion": stored["apiVersion"], "kind": "Workflow", "metadata": meta, "spec": spec}
    spec["suspend"] = False
    if kind == "CronWorkflow":
        spec["startingDeadlineSeconds"] = 7200  # from the start it missed
        used = ",".join(spec.get("schedules") or [spec["schedule"]])
        meta["annotations"] = {"cronworkflows.argoproj.io/last-used-schedule": used}
        stored["status"] = {"lastScheduledTime": LONG_AGO}
    return {**stored, "metadata": meta}


class Bed:
    """The patched workflows and their runs."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        cluster.kubectl("create", "namespace", SPACE)
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", SPACE, "--timeout=60s")
        cluster.kubectl("patch", "node", "node-0", "--subresource=status", "--type=merge", "-p", json.dumps(GPUS))
        scenarios = {name: prepared(name, made()) for name, (_, made) in CASES.items()}
        others = [o for s in scenarios.values() for o in s.others]
        cluster.apply(*claim(), *others, *(s.manifest for s in scenarios.values()), validate=False)
        cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/warehouse", "-n", SPACE, "--timeout=60s")
        for name, of in scenarios.items():
            commands = [item.how for item in of.recommended(CASES[name][0]) if " patch " in item.how]
            assert commands, name
            for command in commands:
                paste(cluster, command)
        stored = [self._stored(s.manifest) for s in scenarios.values()]
        for one in stored:
            if one["kind"] == "CronJob":
                late = json.dumps({"status": {"lastScheduleTime": LONG_AGO}})
                where = ("cronjob", one["metadata"]["name"], "-n", SPACE)
                cluster.kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", late)
        cluster.apply(*map(run_of, stored), validate=False)

    def _stored(self, manifest: Manifest) -> Manifest:
        kind = f"{manifest['kind']}.{manifest['apiVersion'].partition('/')[0]}"
        found: Manifest = self._cluster.get(kind, manifest["metadata"]["name"], "-n", SPACE)
        return {key: found[key] for key in ("apiVersion", "kind", "metadata", "spec")}

    def over(self, name: str) -> Manifest | None:
        """The run of a workflow, or the first that its schedule started, once it has ended."""
        for run in self._cluster.get(RUNS, "-n", SPACE)["items"]:
            owner = next(iter(run["metadata"].get("ownerReferences", ())), run["metadata"])
            if owner["name"] == name and ended(run):
                return dict(run)
        return None


@pytest.fixture(scope="module")
def patched() -> Iterator[Bed]:
    """Everything is patched and started before the first test waits."""
    options = Options(controller_manager=True, scheduler=True, kwok=True, argo=True, tekton=True, full_crds=True)
    with bed(options) as cluster:
        yield Bed(cluster)


@pytest.mark.parametrize("name", CASES)
def test_a_workflow_with_the_printed_patch_of_a_rule_succeeds(patched: Bed, name: str) -> None:
    run = wait_for(f"the end of a run of {name}", lambda: patched.over(name))
    assert succeeded(run), run["status"]
