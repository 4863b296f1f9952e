"""The WorkflowTemplate of a simulated workflow, as its owner would write it, and the definition read from it."""

from __future__ import annotations

from typing import Any

from benchmarks.graphs.law import MI, Container, Flow, Step
from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines import complete, define

NAMESPACE = "lab"
GPU = "nvidia.com/gpu"
Parameters = list[dict[str, str]]


def definition(flow: Flow) -> WorkflowDefinition:
    """What the product reads from the manifest."""
    made = define(manifest(flow))
    assert made is not None, flow.name
    return complete(made, ())[0]


def manifest(flow: Flow) -> dict[str, Any]:
    """The object: one template for each step and each group, and ``main`` with the graph."""
    tasks: list[dict[str, Any]] = []
    templates: list[dict[str, Any]] = []
    groups: set[str] = set()
    for step in flow.steps:
        if step.group is None:
            parameters = _parameters(step, step.after)
            tasks.append(_task(step, parameters, _tops(flow, step.after)))
            templates.append(_template(step, parameters))
        elif step.group not in groups:
            groups.add(step.group)
            task, own = _group(flow, step.group)
            tasks.append(task)
            templates += own
    spec: dict[str, Any] = {
        "entrypoint": "main",
        "ttlStrategy": {"secondsAfterCompletion": 3600},
        "arguments": {"parameters": [{"name": "source", "value": "daily"}, {"name": "mode", "value": "full"}]},
        "templates": [{"name": "main", "dag": {"tasks": tasks}}, *templates],
    }
    if flow.parallelism:
        spec["parallelism"] = flow.parallelism
    if flow.limit is not None:
        spec["activeDeadlineSeconds"] = round(flow.limit)
    metadata = {"name": flow.name, "namespace": NAMESPACE, "uid": flow.name, "resourceVersion": "1"}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": metadata, "spec": spec}


def template_of(step: str) -> str:
    """Name of the step's template."""
    return f"do-{step}"


def _tops(flow: Flow, names: tuple[str, ...]) -> list[str]:
    """Tasks of the outer graph that stand for these steps."""
    return list(dict.fromkeys(flow.step(name).group or name for name in names))


def _group(flow: Flow, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The task of a group, and the templates of its steps and its graph."""
    inner = [s for s in flow.steps if s.group == name]
    names = {s.name for s in inner}
    before = tuple(dict.fromkeys(d for s in inner for d in s.after if d not in names))
    parameters: Parameters = [{"name": "part", "value": "{{item}}"}, *map(_output, before)]
    tasks, templates = [], []
    for step in inner:
        own = tuple(d for d in step.after if d in names)
        passed = _parameters(step, own)
        tasks.append(_task(step, passed, list(own)))
        templates.append(_template(step, passed))
    task: dict[str, Any] = {"name": name, "template": f"graph-{name}", "arguments": {"parameters": parameters}}
    task["withItems"] = [f"g{item}" for item in range(flow.group_items)]
    if before:
        task["dependencies"] = _tops(flow, before)
    graph = {"name": f"graph-{name}", "inputs": _inputs(parameters), "dag": {"tasks": tasks}}
    return task, [*templates, graph]


def _output(step: str) -> dict[str, str]:
    return {"name": f"from-{step}", "value": f"{{{{tasks.{step}.outputs.parameters.out}}}}"}


def _inputs(parameters: Parameters) -> dict[str, Any]:
    return {"parameters": [{"name": p["name"]} for p in parameters]}


def _parameters(step: Step, before: tuple[str, ...]) -> Parameters:
    """What the step is given: outputs of the steps before it whose data it reads, its item, and its input."""
    passed = [_output(name) for name in before if name not in step.loose]
    if step.items > 1:
        passed.append({"name": "item", "value": "{{item}}"})
    if step.repeats is not None:
        passed.append({"name": "source", "value": "{{workflow.parameters.source}}"})
    return passed


def _task(step: Step, parameters: Parameters, dependencies: list[str]) -> dict[str, Any]:
    task: dict[str, Any] = {"name": step.name, "template": template_of(step.name)}
    if dependencies:
        task["dependencies"] = dependencies
    if step.items > 1:
        task["withItems"] = [f"i{item}" for item in range(step.items)]
    if parameters:
        task["arguments"] = {"parameters": parameters}
    if step.in_runs < 1.0:
        task["when"] = "{{workflow.parameters.mode}} == full"
    return task


def _template(step: Step, parameters: Parameters) -> dict[str, Any]:
    main = next(c for c in step.containers if c.name == "main")
    sidecars = [c for c in step.containers if c is not main and c.declared]
    made: dict[str, Any] = {
        "name": template_of(step.name),
        "container": {"image": "registry.example/work:1", "command": ["work"], "resources": _resources(main)},
        "outputs": {"parameters": [{"name": "out", "valueFrom": {"path": "/out"}}]},
    }
    if sidecars:
        made["sidecars"] = [
            {"name": c.name, "image": "registry.example/side:1", "resources": _resources(c)} for c in sidecars
        ]
    if parameters:
        made["inputs"] = _inputs(parameters)
    if step.timeout is not None:
        made["activeDeadlineSeconds"] = int(step.timeout)
    if step.retries:
        made["retryStrategy"] = {"limit": str(step.retries), "retryPolicy": "Always"}
    if step.volume is not None:
        made["volumes"] = [{"name": "work", "persistentVolumeClaim": {"claimName": step.volume.claim}}]
    return made


def _resources(container: Container) -> dict[str, Any]:
    limits = _amounts(container.cpu_limit, container.memory_limit)
    if container.gpus:
        limits[GPU] = str(container.gpus)
    made: dict[str, Any] = {"requests": _amounts(container.cpu_request, container.memory_request)}
    return {**made, "limits": limits} if limits else made


def _amounts(cpu: float | None, memory: float | None) -> dict[str, str]:
    made = {}
    if cpu is not None:
        made["cpu"] = f"{round(1000 * cpu)}m"
    if memory is not None:
        made["memory"] = f"{round(memory / MI)}Mi"
    return made
