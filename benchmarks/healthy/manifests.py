"""Manifests of healthy workflows, as their owners would write them."""

from __future__ import annotations

from typing import Any

from benchmarks.advice.manifests import document, job, resources
from benchmarks.healthy.law import Flow, Step

_IMAGE = "registry.example/work:1"
_CHILD = "{apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {generateName: child-}}"


def manifest(flow: Flow) -> dict[str, Any]:
    """The object as its owner would write it."""
    if flow.engine == "tekton":
        spec: dict[str, Any] = {"params": [{"name": "mode"}], "tasks": [_task(step) for step in flow.steps]}
    elif flow.engine == "cronjob":
        spec = {"jobTemplate": {"spec": job(flow.steps[0])}}
    else:
        spec = _argo(flow)
        spec = {"workflowSpec": spec} if flow.engine == "cron" else spec
    if flow.schedule is not None:
        spec |= {"schedule": flow.schedule, "concurrencyPolicy": flow.meets}
    return document(flow.engine, flow.name, "lab", spec)


def _reads(step: Step) -> list[str]:
    return [before for before in step.after if before not in step.loose]


def _argo(flow: Flow) -> dict[str, Any]:
    tasks = [_argo_task(step) for step in flow.steps]
    bodies = [_template(step, task) for step, task in zip(flow.steps, tasks, strict=True)]
    spec: dict[str, Any] = {
        "entrypoint": "main",
        "ttlStrategy": {"secondsAfterCompletion": 3600},
        "templates": [{"name": "main", "dag": {"tasks": tasks}}, *bodies],
    }
    return spec | ({"parallelism": flow.parallelism} if flow.parallelism else {})


def _argo_task(step: Step) -> dict[str, Any]:
    given = [{"name": f"from-{d}", "value": f"{{{{tasks.{d}.outputs.parameters.out}}}}"} for d in _reads(step)]
    task: dict[str, Any] = {"name": step.name, "template": step.name}
    if step.after:
        task["dependencies"] = list(step.after)
    if step.items is not None:
        task["withParam"] = f"{{{{tasks.{step.after[0]}.outputs.parameters.out}}}}"
        given.append({"name": "item", "value": "{{item}}"})
    if step.only is not None:
        task["when"] = f"{{{{workflow.parameters.mode}}}} == {step.only}"
    given = given or [{"name": "day", "value": "{{workflow.parameters.day}}"}]
    return task | {"arguments": {"parameters": given}}


def _template(step: Step, task: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": step.name,
        "inputs": {"parameters": [{"name": given["name"]} for given in task["arguments"]["parameters"]]},
        "container": {"image": _IMAGE, "command": ["work"], "resources": resources(step)},
        "outputs": {"parameters": [{"name": "out", "valueFrom": {"path": "/out"}}]},
    }
    if step.creates:
        del body["container"], body["outputs"]
        body["resource"] = {"action": "create", "successCondition": "status.phase == Succeeded", "manifest": _CHILD}
    if step.timeout is not None:
        body["activeDeadlineSeconds"] = int(step.timeout)
    if step.retries:
        body["retryStrategy"] = {"limit": str(step.retries), "retryPolicy": "Always"}
    return body


def _task(step: Step) -> dict[str, Any]:
    container = {"name": "main", "image": _IMAGE, "script": "work", "computeResources": resources(step)}
    reads = _reads(step)
    task: dict[str, Any] = {
        "name": step.name,
        "params": [{"name": f"from-{d}", "value": f"$(tasks.{d}.results.out)"} for d in reads],
        "taskSpec": {
            "params": [{"name": f"from-{d}"} for d in reads],
            "results": [{"name": "out"}],
            "steps": [container],
        },
    }
    if step.after:
        task["runAfter"] = list(step.after)
    if step.only is not None:
        task["when"] = [{"input": "$(params.mode)", "operator": "in", "values": [step.only]}]
    if step.retries:
        task["retries"] = step.retries
    if step.timeout is not None:
        task["timeout"] = f"{int(step.timeout)}s"
    return task
