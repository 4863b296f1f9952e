"""How hostile objects are written: their kinds, finished runs, tables of nodes."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

ARGO, TEKTON, JOBSET, RAY = "argoproj.io/v1alpha1", "tekton.dev/v1", "jobset.x-k8s.io/v1alpha2", "ray.io/v1"
SPARK, TRAINER, OURS = "sparkoperator.k8s.io/v1beta2", "trainer.kubeflow.org/v1alpha1", "concertmaster.dev/v1alpha1"
SPACE = "hostile"
LEAF: dict[str, Any] = {"name": "leaf", "container": {"image": "x", "command": ["x"]}}
DONE = "2026-11-20T00:01:00Z"
Object = dict[str, Any]

_PLURALS = {
    "WorkflowTemplate": "workflowtemplates",
    "ClusterWorkflowTemplate": "clusterworkflowtemplates",
    "CronWorkflow": "cronworkflows",
    "Workflow": "workflows",
    "Pipeline": "pipelines",
    "PipelineRun": "pipelineruns",
    "Task": "tasks",
    "TaskRun": "taskruns",
    "JobSet": "jobsets",
    "RayJob": "rayjobs",
    "CronJob": "cronjobs",
    "Job": "jobs",
    "WorkflowProfile": "workflowprofiles",
    "SparkApplication": "sparkapplications",
    "TrainJob": "trainjobs",
    "Pod": "pods",
    "OptimizationPolicy": "optimizationpolicies",
    "ClusterOptimizationPolicy": "clusteroptimizationpolicies",
    "WorkflowChange": "workflowchanges",
}


@dataclass(frozen=True, slots=True)
class Hostile:
    """One object. ``status`` is written by itself where a kind takes none at creation."""

    name: str
    body: Object
    status: Object | None = None

    @property
    def path(self) -> str:
        """The API path to create it."""
        version, kind = str(self.body["apiVersion"]), str(self.body["kind"])
        space = "" if kind.startswith("Cluster") else f"/namespaces/{SPACE}"
        return f"/{'apis' if '/' in version else 'api'}/{version}{space}/{_PLURALS[kind]}"


def made(api: str, kind: str, name: str, spec: Any, **more: Any) -> Object:
    meta = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec, **more}


def template(name: str, templates: Any, **spec: Any) -> Object:
    return made(ARGO, "WorkflowTemplate", name, {"entrypoint": "main", "templates": templates, **spec})


def tasks_of(tasks: list[Object]) -> list[Object]:
    return [LEAF, {"name": "main", "dag": {"tasks": tasks}}]


def task(name: str, **more: Any) -> Object:
    return {"name": name, "template": "leaf", **more}


def nested(levels: int, kind: Callable[[Any], Any]) -> Any:
    return reduce(lambda value, _: kind(value), range(levels), "x")


def finished_run(name: str, status: Any) -> Object:
    """A finished Workflow of the template ``victim``, which itself is healthy."""
    marks = {"workflows.argoproj.io/completed": "true", "workflows.argoproj.io/workflow-template": "victim"}
    whole = {"phase": "Succeeded", "startedAt": "2026-11-20T00:00:00Z", "finishedAt": DONE}
    return made(
        ARGO,
        "Workflow",
        name,
        {"workflowTemplateRef": {"name": "victim"}},
        metadata={"labels": marks},
        status={**whole, **status},
    )


def packed(document: bytes) -> str:
    return base64.b64encode(gzip.compress(document)).decode()


def node(name: str, **more: Any) -> Object:
    times = {"startedAt": "2026-11-20T00:00:00Z", "finishedAt": DONE}
    return {"id": name, "name": name, "displayName": name, "type": "Pod", "phase": "Succeeded", **times, **more}


def complete(**counts: int) -> Object:
    met = [
        {"type": kind, "status": "True", "lastTransitionTime": DONE, "lastProbeTime": DONE}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    return {"startTime": "2026-11-20T00:00:00Z", "completionTime": DONE, "conditions": met, **counts}
