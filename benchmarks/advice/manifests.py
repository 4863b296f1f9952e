"""Manifests of simulated workflows, and the definitions that the product reads from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.advice.law import MI, Flow, Step
from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines import complete, define

_KINDS = {"argo": "WorkflowTemplate", "cron": "CronWorkflow", "tekton": "Pipeline", "cronjob": "CronJob"}


@dataclass(frozen=True, slots=True)
class Known:
    """A definition, and its names for the simulated steps and (after a slash) their main containers."""

    definition: WorkflowDefinition
    names: dict[str, str]


def known(flow: Flow) -> Known:
    """The definition that the product reads from the workflow's manifest."""
    made = define(manifest(flow))
    assert made is not None, flow.name
    made = complete(made, ())[0]
    names: dict[str, str] = {}
    steps = made.graph.steps
    for step in flow.steps:
        spec = steps[0] if flow.engine == "cronjob" else next(s for s in steps if s.name == step.name)
        names[step.name] = spec.name
        names[f"{step.name}/"] = next(c.name for c in spec.containers if not c.sidecar and not c.init)
    return Known(made, names)


def manifest(flow: Flow) -> dict[str, Any]:
    """The object as its owner would write it."""
    kind = _KINDS[flow.engine]
    metadata = {"name": flow.name, "namespace": flow.namespace, "uid": flow.name, "resourceVersion": "1"}
    if flow.engine == "tekton":
        api = "tekton.dev/v1"
        spec: dict[str, Any] = {"tasks": [_task(s) for s in flow.steps]}
    elif flow.engine == "cronjob":
        api, spec = "batch/v1", _cronjob(flow)
    else:
        api, spec = "argoproj.io/v1alpha1", _argo(flow)
        if flow.engine == "cron":
            meets = flow.meets or "Forbid"
            spec = {"schedule": flow.schedule or "0 */4 * * *", "workflowSpec": spec, "concurrencyPolicy": meets}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _resources(step: Step) -> dict[str, Any]:
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
            "container": {"image": "registry.example/etl:1", "command": ["work"], "resources": _resources(step)},
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
                    "computeResources": _resources(step),
                }
            ],
        },
    }
    if step.after:
        task["runAfter"] = list(step.after)
        task["params"] = [{"name": f"from-{d}", "value": f"$(tasks.{d}.results.out)"} for d in reads]
    if step.retries:
        task["retries"] = step.retries
    if step.timeout is not None:
        task["timeout"] = f"{int(step.timeout)}s"
    return task


def _cronjob(flow: Flow) -> dict[str, Any]:
    step = flow.steps[0]
    container = {"name": "main", "image": "registry.example/etl:1", "resources": _resources(step)}
    job: dict[str, Any] = {
        "backoffLimit": step.retries,
        "ttlSecondsAfterFinished": 3600,
        "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
    }
    if step.timeout is not None:
        job["activeDeadlineSeconds"] = int(step.timeout)
    if step.items > 1:
        job |= {"completions": step.items, "parallelism": flow.parallelism or step.items, "completionMode": "Indexed"}
    return {
        "schedule": flow.schedule or "0 */4 * * *",
        "concurrencyPolicy": flow.meets or "Forbid",
        "jobTemplate": {"spec": job},
    }
