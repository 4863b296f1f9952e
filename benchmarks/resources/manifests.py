"""The objects of a simulated workflow, as their owner would write them, and the definition read from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.resources.law import CPU, GPU, MI, Amounts, Container, Flow, Role, Step
from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines import complete, define

NAMESPACE = "lab"
JOB = "job"
"""The only step of a CronJob."""
Place = tuple[str, tuple[str | int, ...]]
"""Name of a container (empty: the pod), and where the object declares its resources."""


def definition(flow: Flow) -> WorkflowDefinition:
    """What the product reads from the object of today."""
    made = define(manifest(flow))
    assert made is not None, flow.name
    return complete(made if flow.marked else replace(made, fingerprint=None), ())[0]


def manifest(flow: Flow) -> dict[str, Any]:
    """The object of today."""
    cron = flow.engine == "cronjob"
    api, kind = ("batch/v1", "CronJob") if cron else ("argoproj.io/v1alpha1", "WorkflowTemplate")
    metadata = {"name": flow.name, "namespace": NAMESPACE, "uid": flow.name, "resourceVersion": "1"}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": _cronjob(flow) if cron else _argo(flow)}


def places(flow: Flow, step: Step) -> Iterator[Place]:
    """Where the object declares the resources of the step's containers, and of its pod."""
    if flow.engine == "cronjob":
        at: tuple[str | int, ...] = ("spec", "jobTemplate", "spec", "template", "spec")
        names = {Role.MAIN: "containers", Role.BESIDE: "containers", Role.NATIVE: "initContainers"}
    else:
        at = ("spec", "templates", 1 + [s.name for s in flow.steps].index(step.name))
        names = {Role.BESIDE: "sidecars", Role.NATIVE: "initContainers"}
    names[Role.INIT] = "initContainers"
    sections: dict[str, int] = {}
    for container in step.containers:
        if container.injected:
            continue
        section = names.get(container.role)
        if section is None:
            yield container.name, (*at, "container", "resources")
            continue
        yield container.name, (*at, section, sections.get(section, 0), "resources")
        sections[section] = sections.get(section, 0) + 1
    if step.requests is not None:
        yield "", (*at, "resources" if flow.engine == "cronjob" else "podResources")


def _argo(flow: Flow) -> dict[str, Any]:
    tasks: list[dict[str, Any]] = []
    for before, step in zip((None, *flow.steps), flow.steps, strict=False):
        task: dict[str, Any] = {"name": step.name, "template": f"do-{step.name}"}
        if before is not None:
            task["dependencies"] = [before.name]
            task["arguments"] = {
                "parameters": [{"name": "in", "value": f"{{{{tasks.{before.name}.outputs.parameters.out}}}}"}]
            }
        if step.items > 1:
            task["withItems"] = [f"i{item}" for item in range(step.items)]
        if step.in_runs < 1.0:
            task["when"] = "{{workflow.parameters.mode}} == full"
        tasks.append(task)
    return {
        "entrypoint": "main",
        "ttlStrategy": {"secondsAfterCompletion": 3600},
        "arguments": {"parameters": [{"name": "mode", "value": "full"}]},
        "templates": [{"name": "main", "dag": {"tasks": tasks}}, *(_template(s, n) for n, s in enumerate(flow.steps))],
    }


def _template(step: Step, number: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": f"do-{step.name}",
        "activeDeadlineSeconds": 86400,
        "outputs": {"parameters": [{"name": "out", "valueFrom": {"path": "/out"}}]},
    }
    if number:
        made["inputs"] = {"parameters": [{"name": "in"}]}
    for container in step.containers:
        if container.injected:
            continue
        if container.role is Role.MAIN:
            made["container"] = _container(container)
        else:
            made.setdefault("sidecars" if container.role is Role.BESIDE else "initContainers", []).append(
                _container(container)
            )
    if step.requests is not None:
        made["podResources"] = _resources(step.requests, step.limits)
    if step.retries:
        made["retryStrategy"] = {"limit": str(step.retries), "retryPolicy": "Always"}
    if step.volume is not None:
        made["volumes"] = [{"name": "work", "persistentVolumeClaim": {"claimName": step.volume.claim}}]
    return made


def _cronjob(flow: Flow) -> dict[str, Any]:
    (step,) = flow.steps
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": []}
    for container in step.containers:
        if container.injected:
            continue
        first = container.role in (Role.INIT, Role.NATIVE)
        pod.setdefault("initContainers" if first else "containers", []).append(_container(container))
    if step.requests is not None:
        pod["resources"] = _resources(step.requests, step.limits)
    if step.volume is not None:
        pod["volumes"] = [{"name": "work", "persistentVolumeClaim": {"claimName": step.volume.claim}}]
    job = {"backoffLimit": step.retries, "activeDeadlineSeconds": 86400, "template": {"spec": pod}}
    return {
        "schedule": f"17 */{max(1, round(flow.every / 3600.0))} * * *",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 600,
        "jobTemplate": {"spec": job},
    }


def _container(container: Container) -> dict[str, Any]:
    made: dict[str, Any] = {"name": container.name, "image": container.image, "command": ["work"]}
    if container.requests or container.limits:
        made["resources"] = _resources(container.requests, container.limits)
    if container.role is Role.NATIVE:
        made["restartPolicy"] = "Always"
    return made


def _resources(requests: Amounts, limits: Amounts) -> dict[str, Any]:
    pairs = {"requests": requests, "limits": limits}
    return {name: {k: _written(k, v) for k, v in amounts.items()} for name, amounts in pairs.items() if amounts}


def _written(resource: str, amount: float) -> str:
    if resource == CPU:
        return f"{round(1000 * amount)}m"
    return str(round(amount)) if resource == GPU else f"{round(amount / MI)}Mi"
