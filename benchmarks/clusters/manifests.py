"""Manifests of the simulated workflows, as their owners would write them, and the definitions read from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.advice.manifests import document
from benchmarks.clusters.law import Cluster, Flow, Step
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.config_maps import NamedConfigMaps
from concertmaster.engines import complete, define

MEMORY_REQUEST, MEMORY_LIMIT = 256, 512
"""Of each pod, in Mi."""
_IMAGE = "registry.example/work:1"


def definition(flow: Flow, cluster: Cluster) -> WorkflowDefinition:
    """What the product reads from the manifest, and from the ConfigMaps of semaphores."""
    made = define(manifest(flow))
    assert made is not None, flow.name
    return replace(complete(made, ())[0], config_maps=NamedConfigMaps(semaphores=cluster.semaphores))


def manifest(flow: Flow) -> dict[str, Any]:
    """The object as its owner would write it."""
    timed: dict[str, Any] = {"schedule": flow.schedule, "concurrencyPolicy": flow.policy}
    if flow.deadline is not None:
        timed["startingDeadlineSeconds"] = flow.deadline
    if flow.suspended is not None:
        timed["suspend"] = True
    if flow.engine == "tekton":
        spec: dict[str, Any] = {"tasks": [_task(step) for step in flow.steps]}
    elif flow.engine == "cronjob":
        spec = timed | {"jobTemplate": {"spec": _job(flow)}} | ({"timeZone": flow.zone} if flow.zone != "UTC" else {})
    elif flow.engine == "cron":
        spec = timed | {"workflowSpec": _argo(flow)} | ({"timezone": flow.zone} if flow.zone != "UTC" else {})
    else:
        spec = _argo(flow)
    return document(flow.engine, flow.name, flow.namespace, spec)


def template_of(step: str) -> str:
    """Name of the step's template."""
    return f"do-{step}"


def _resources(step: Step) -> dict[str, Any]:
    requests = {"cpu": f"{round(1000 * step.cores)}m", "memory": f"{MEMORY_REQUEST}Mi"}
    return {"requests": requests, "limits": {"memory": f"{MEMORY_LIMIT}Mi"}}


def _deadline(step: Step) -> int:
    return int(20 * step.seconds + 3600)


def _argo(flow: Flow) -> dict[str, Any]:
    tasks, templates = [], []
    for step in flow.steps:
        task: dict[str, Any] = {"name": step.name, "template": template_of(step.name)}
        if step.after:
            given = [{"name": f"from-{d}", "value": f"{{{{tasks.{d}.outputs.parameters.out}}}}"} for d in step.after]
            task |= {"dependencies": list(step.after), "arguments": {"parameters": given}}
        if step.items > 1:
            task["withItems"] = [f"i{item}" for item in range(step.items)]
        tasks.append(task)
        templates.append(_template(step))
    spec: dict[str, Any] = {
        "entrypoint": "main",
        "ttlStrategy": {"secondsAfterCompletion": 3600},
        "templates": [{"name": "main", "dag": {"tasks": tasks}}, *templates],
    }
    if flow.limit is not None:
        spec["parallelism"] = flow.limit
    if flow.run_lock is not None:
        spec["synchronization"] = {"mutexes": [{"name": flow.run_lock}]}
    return spec


def _template(step: Step) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": template_of(step.name),
        "inputs": {"parameters": [{"name": f"from-{d}"} for d in step.after]},
        "container": {"image": _IMAGE, "command": ["work"], "resources": _resources(step)},
        "outputs": {"parameters": [{"name": "out", "valueFrom": {"path": "/out"}}]},
        "activeDeadlineSeconds": _deadline(step),
    }
    if step.retries:
        made["retryStrategy"] = {"limit": str(step.retries), "retryPolicy": "Always"}
    if step.lock is not None:
        kind, _, name = step.lock.partition("/")
        place, _, key = name.partition("/")
        made["synchronization"] = (
            {"mutexes": [{"name": name}]}
            if kind == "mutex"
            else {"semaphores": [{"configMapKeyRef": {"name": place, "key": key}}]}
        )
    return made


def _task(step: Step) -> dict[str, Any]:
    container = {"name": "main", "image": _IMAGE, "script": "work", "computeResources": _resources(step)}
    task: dict[str, Any] = {
        "name": step.name,
        "timeout": f"{_deadline(step)}s",
        "taskSpec": {
            "params": [{"name": f"from-{d}"} for d in step.after],
            "results": [{"name": "out"}],
            "steps": [container],
        },
    }
    if step.after:
        given = [{"name": f"from-{d}", "value": f"$(tasks.{d}.results.out)"} for d in step.after]
        task |= {"runAfter": list(step.after), "params": given}
    if step.retries:
        task["retries"] = step.retries
    return task


def _job(flow: Flow) -> dict[str, Any]:
    step = flow.steps[0]
    container = {"name": "main", "image": _IMAGE, "resources": _resources(step)}
    made: dict[str, Any] = {
        "backoffLimit": step.retries,
        "ttlSecondsAfterFinished": 3600,
        "activeDeadlineSeconds": _deadline(step),
        "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
    }
    if step.items > 1:
        made |= {"completions": step.items, "parallelism": flow.limit or step.items, "completionMode": "Indexed"}
    return made
