"""Printed commands and the operator's own plans, both applied on objects whose quantities are integers, under the
real controllers and full CRDs: both write the same, and the next run has it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import CHANGES
from testbed.series.lives import ContainerLife, PodLife
from testbed.services.cluster import Cluster
from testbed.services.controlplane import Options, newest_engines
from testbed.services.prometheus import PrometheusServer
from tests.engines.conftest import bed
from tests.support.cluster.operator_bed import (
    history,
    install_crds,
    operator,
    policy,
    runs_of_cronjob,
    settings,
    wait_for,
)
from tests.support.engines.scenario import ended, paste, succeeded

SPACE = "printed"
Object = dict[str, Any]
INTEGERS: Object = {"requests": {"cpu": 1, "memory": "2Gi"}}  # a custom resource keeps the integer, a CronJob does not
STRINGS = {"CronJob", *(("Pipeline",) if newest_engines() else ())}  # what the server, or Tekton's webhook, makes of 1
ASKED = {"cpu": "1", "memory": "2Gi"}  # in a pod, where the server has made it a string
KINDS = {
    "CronJob": ("batch/v1", "cronjobs.batch"),
    "Pipeline": ("tekton.dev/v1", "pipelines.tekton.dev"),
    "WorkflowTemplate": ("argoproj.io/v1alpha1", "workflowtemplates.argoproj.io"),
}
WORKFLOWS = {
    "job": "CronJob",
    "tekton": "Pipeline",
    "argo": "WorkflowTemplate",
}


def manifest(name: str) -> Object:
    """A workflow of one step."""
    body: Object = {"name": "main", "image": "sim/work:1", "command": ["work"]}
    kind = WORKFLOWS[name]
    notes = {"annotations": {"sim/duration": "1", "sim/steps": "1"}}
    if kind == "Pipeline":
        task = {"metadata": notes, "steps": [{**body, "computeResources": INTEGERS}]}
        spec: Object = {"tasks": [{"name": "work", "taskSpec": task}]}
    elif kind == "CronJob":
        pod = {"restartPolicy": "Never", "containers": [{**body, "resources": INTEGERS}]}
        job = {"spec": {"template": {"metadata": notes, "spec": pod}}}
        spec = {"schedule": "0 * * * *", "suspend": True, "jobTemplate": job}
    else:
        template = {"name": "main", "metadata": notes, "container": {**body, "resources": INTEGERS}}
        spec = {"entrypoint": "main", "templates": [template]}
    meta = {"name": name, "namespace": SPACE}
    return {"apiVersion": KINDS[kind][0], "kind": kind, "metadata": meta, "spec": spec}


def past(name: str, end: float) -> Iterator[PodLife]:
    """Pods of two days of hourly runs that use a quarter of a core."""
    for i, pod in enumerate(runs_of_cronjob(SPACE, name, 30, end)[0]):
        (container,) = pod.containers
        suffix = "".join("bcdfghjklm"[int(digit)] for digit in f"{i:05d}")
        yield _named(name, pod, container, f"{name}-{suffix}")


def _named(name: str, pod: PodLife, container: ContainerLife, run: str) -> PodLife:
    if WORKFLOWS[name] == "Pipeline":
        owner = {"pod": f"{run}-work-pod", "owner_kind": "TaskRun", "owner_name": f"{run}-work"}
        return replace(pod, **owner, containers=[replace(container, name="step-main")])
    owner = {"pod": run, "owner_kind": "Workflow", "owner_name": run} if WORKFLOWS[name] != "CronJob" else {}
    return replace(pod, **owner, containers=[container])


class Bed:
    """The workflows on the real API server, with the statuses and changes that an operator made of their history."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.client = KubeClient.connect(cluster.kubeconfig())
        self.commands: dict[str, str] = {}
        self.planned: dict[str, Object] = {}  # what the operator wrote
        self._runs = 0

    def spec(self, name: str) -> Object:
        """The workflow as it is stored."""
        return dict(self.cluster.get(KINDS[WORKFLOWS[name]][1], name, "-n", SPACE)["spec"])

    def make_changes(self) -> None:
        """Note what is printed, approve what is proposed, and wait until it is written."""
        for name in WORKFLOWS:
            change: WorkflowChangeView = wait_for(f"a change of {name}", lambda name=name: self._change(name))
            status = self.cluster.get("workflowprofile", change.profile, "-n", SPACE)["status"]
            (self.commands[name],) = [r["how"] for r in status["recommendations"] if r["id"] == "right-size"]
            self.client.patch(change.ref.path, {"spec": {"decision": "Approve", "decidedBy": "admin"}}, kind="merge")
        for name in WORKFLOWS:
            wait_for(f"the write to {name}", lambda name=name: self._change(name, applied=True))
            self.planned[name] = self.spec(name)

    def _change(self, name: str, *, applied: bool = False) -> WorkflowChangeView | None:
        """The operator's change of a workflow."""
        for view in map(WorkflowChangeView, self.client.items(CHANGES.path(SPACE))):
            if view.target is not None and view.target.name == name and (view.applied is not None or not applied):
                return view
        return None

    def restore(self, name: str) -> None:
        """The workflow as it was declared."""
        self.cluster.kubectl("replace", "-f", "-", input=json.dumps(manifest(name)))

    def run(self, name: str) -> Mapping[str, str]:
        """What the main container of a run requests that succeeded."""
        self._runs += 1
        run, kind = f"{name}-run{self._runs}", WORKFLOWS[name]
        if kind == "CronJob":
            self.cluster.kubectl("create", "job", run, f"--from=cronjob/{name}", "-n", SPACE)
            resource, label = "jobs.batch", f"job-name={run}"
        else:
            argo = kind == "WorkflowTemplate"
            body: Object = {"workflowTemplateRef" if argo else "pipelineRef": {"name": name}}
            meta = {"name": run, "namespace": SPACE}
            thing = "Workflow" if argo else "PipelineRun"
            self.cluster.apply({"apiVersion": KINDS[kind][0], "kind": thing, "metadata": meta, "spec": body})
            resource = "workflows.argoproj.io" if argo else "pipelineruns.tekton.dev"
            label = f"workflows.argoproj.io/workflow={run}" if argo else f"tekton.dev/pipelineRun={run}"
        found: Object = wait_for(f"the end of {run}", lambda: self._over(resource, run))
        assert succeeded(found), found["status"]
        (pod,) = self.cluster.get("pods", "-n", SPACE, "-l", label)["items"]
        main = next(c for c in pod["spec"]["containers"] if c["name"] in ("main", "step-main"))
        requests: Mapping[str, str] = main["resources"]["requests"]
        return requests

    def _over(self, resource: str, run: str) -> Object | None:
        found: Object = self.cluster.get(resource, run, "-n", SPACE)
        return found if ended(found) else None


@pytest.fixture(scope="module")
def bed_after(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """The bed after the operator has made all its changes, and ended."""
    directory: Path = tmp_path_factory.mktemp("printed")
    options = Options(controller_manager=True, scheduler=True, kwok=True, argo=True, tekton=True, full_crds=True)
    end = time.time() - 30.0
    with ExitStack() as stack:
        cluster = stack.enter_context(bed(options))
        install_crds(cluster)
        cluster.kubectl("create", "namespace", SPACE)
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", SPACE, "--timeout=60s")
        found = Bed(cluster)
        for name in WORKFLOWS:
            cluster.kubectl("create", "-f", "-", input=json.dumps(manifest(name)))
        kinds = [{"apiVersion": api_version, "kind": kind} for kind, (api_version, _) in KINDS.items()]
        apply = {"mode": "Approve", "maxRisk": "High", "bounds": {"maxStepPercent": 1000}}
        cluster.apply(policy(SPACE, discover=kinds, apply=apply))
        pods = [pod for name in WORKFLOWS for pod in past(name, end)]
        prometheus = PrometheusServer()
        prometheus.load_openmetrics(history(pods, [], end))
        stack.enter_context(prometheus)
        config = settings(directory, {"default": prometheus.url}, namespaces=[SPACE], argoTemplateReferencing="Other")
        with operator(cluster, directory, config):
            found.make_changes()
        yield found


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_is_printed_writes_what_the_operator_writes_and_the_next_run_has_it(bed_after: Bed, name: str) -> None:
    planned = bed_after.planned[name]
    after = bed_after.run(name)
    assert after.keys() == ASKED.keys() and all(after[resource] != ASKED[resource] for resource in ASKED)
    bed_after.restore(name)
    assert bed_after.run(name) == ASKED
    literal = '"1"' if WORKFLOWS[name] in STRINGS else "1"
    assert f'"value":{literal}' in bed_after.commands[name].replace(" ", ""), "what the object holds is tested"
    paste(bed_after.cluster, bed_after.commands[name])
    assert bed_after.spec(name) == planned
    assert bed_after.run(name) == after
