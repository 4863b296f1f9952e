"""Manifests of simulated workflows, and the definitions that the product reads from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.advice.law import MI, Flow, Step
from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines import complete, define

_KINDS = {"argo": "WorkflowTemplate", "cron": "CronWorkflow", "tekton": "Pipeline", "cronjob": "CronJob"}


@dataclass(frozen=True, slots=True)
class Known:
    """A definition, and its names for the simulated steps and (after a slash) their main containers."""

    definition: WorkflowDefinition
    names: dict[str, str]


class Pods(Protocol):
    """What a manifest says of a step's pods, in cores, bytes, GPUs and seconds."""

    @property
    def cpu_request(self) -> float: ...
    @property
    def memory_request(self) -> float: ...
    @property
    def cpu_limit(self) -> float | None: ...
    @property
    def memory_limit(self) -> float | None: ...
    @property
    def gpus(self) -> int: ...
    @property
    def gpu_resource(self) -> str: ...
    @property
    def retries(self) -> int: ...
    @property
    def timeout(self) -> float | None: ...


def known(flow: Flow) -> Known:
    """The definition that the product reads from the workflow's manifest."""
    return read(manifest(flow), (s.name for s in flow.steps))


def read(made: dict[str, Any], steps: Iterable[str]) -> Known:
    """The definition that the product reads from a manifest with these steps; a CronJob has one."""
    definition = define(made)
    assert definition is not None, made["metadata"]["name"]
    definition = complete(definition, ())[0]
    names: dict[str, str] = {}
    found = definition.graph.steps
    for step in steps:
        spec = found[0] if made["kind"] == _KINDS["cronjob"] else next(s for s in found if s.name == step)
        names[step] = spec.name
        names[f"{step}/"] = next((c.name for c in spec.containers if not c.sidecar and not c.init), "main")
    return Known(definition, names)


def manifest(flow: Flow) -> dict[str, Any]:
    """The object as its owner would write it."""
    if flow.engine == "tekton":
        spec: dict[str, Any] = {"tasks": [_task(s) for s in flow.steps]}
    else:
        spec = _cronjob(flow) if flow.engine == "cronjob" else _argo(flow)
    if flow.engine == "cron":
        meets = flow.meets or "Forbid"
        spec = {"schedule": flow.schedule or "0 */4 * * *", "workflowSpec": spec, "concurrencyPolicy": meets}
    return document(flow.engine, flow.name, flow.namespace, spec)


def document(engine: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The object with this specification (engine: argo, cron, tekton, cronjob)."""
    api = {"tekton": "tekton.dev/v1", "cronjob": "batch/v1"}.get(engine, "argoproj.io/v1alpha1")
    metadata = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"}
    return {"apiVersion": api, "kind": _KINDS[engine], "metadata": metadata, "spec": spec}


def resources(step: Pods) -> dict[str, Any]:
    """Requests and limits of its container."""
    found: dict[str, Any] = {"requests": _pair(step.cpu_request, step.memory_request)}
    limits = _pair(step.cpu_limit, step.memory_limit) | ({step.gpu_resource: str(step.gpus)} if step.gpus else {})
    return {**found, "limits": limits} if limits else found


def _pair(cpu: float | None, memory: float | None) -> dict[str, str]:
    pair = {}
    if cpu is not None:
        pair["cpu"] = f"{round(1000 * cpu)}m"
    if memory is not None:
        pair["memory"] = f"{round(memory / MI)}Mi"
    return pair


def _argo(flow: Flow) -> dict[str, Any]:
    tasks, bodies = [], []
    for step in flow.steps:
        task: dict[str, Any] = {"name": step.name, "template": step.name}
        if step.after:
            task["dependencies"] = list(step.after)
        reads = [d for d in step.after if d not in step.loose]
        rows = [{"name": f"from-{d}", "value": f"{{{{tasks.{d}.outputs.parameters.out}}}}"} for d in reads]
        if step.items > 1:
            task["withItems"] = [str(i) for i in range(step.items)]
            rows.append({"name": "item", "value": "{{item}}"})
        if step.keys and not rows:
            rows.append({"name": "source", "value": "daily"})
        if rows:
            task["arguments"] = {"parameters": rows}
        tasks.append(task)
        body: dict[str, Any] = {
            "name": step.name,
            "container": {"image": "registry.example/etl:1", "command": ["work"], "resources": resources(step)},
            "outputs": {"parameters": [{"name": "out", "valueFrom": {"path": "/out"}}]},
        }
        if rows:
            body["inputs"] = {"parameters": [{"name": r["name"]} for r in rows]}
        if step.timeout is not None:
            body["activeDeadlineSeconds"] = int(step.timeout)
        if step.retries:
            body["retryStrategy"] = {"limit": str(step.retries), "retryPolicy": "Always"}
        if step.lock:
            body["synchronization"] = {"mutexes": [{"name": step.lock}]}
        bodies.append(body)
    spec: dict[str, Any] = {
        "entrypoint": "main",
        "ttlStrategy": {"secondsAfterCompletion": 3600},
        "templates": [{"name": "main", "dag": {"tasks": tasks}}, *bodies],
    }
    if flow.parallelism:
        spec["parallelism"] = flow.parallelism
    return spec


def _task(step: Step) -> dict[str, Any]:
    reads = [d for d in step.after if d not in step.loose]
    task: dict[str, Any] = {
        "name": step.name,
        "taskSpec": {
            "params": [{"name": f"from-{d}"} for d in reads],
            "results": [{"name": "out"}],
            "steps": [
                {
                    "name": "main",
                    "image": "registry.example/etl:1",
                    "script": "work",
                    "computeResources": resources(step),
                }
            ],
        },
    }
    if step.after:
        task["runAfter"] = list(step.after)
        task["params"] = [{"name": f"from-{d}", "value": f"$(tasks.{d}.results.out)"} for d in reads]
    if step.retries:
        task["retries"] = step.retries
    # Without one, Tekton ends a task after an hour.
    task["timeout"] = "0" if step.timeout is None else f"{int(step.timeout)}s"
    return task


def _cronjob(flow: Flow) -> dict[str, Any]:
    step = flow.steps[0]
    spec = job(step)
    if step.items > 1:
        spec |= {"completions": step.items, "parallelism": flow.parallelism or step.items, "completionMode": "Indexed"}
    return {
        "schedule": flow.schedule or "0 */4 * * *",
        "concurrencyPolicy": flow.meets or "Forbid",
        "jobTemplate": {"spec": spec},
    }


def job(step: Pods) -> dict[str, Any]:
    """The specification of a Job."""
    container = {"name": "main", "image": "registry.example/etl:1", "resources": resources(step)}
    found: dict[str, Any] = {
        "backoffLimit": step.retries,
        "ttlSecondsAfterFinished": 3600,
        "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
    }
    return found if step.timeout is None else {**found, "activeDeadlineSeconds": int(step.timeout)}
