"""The pods of a workflow before and after a plan, as far as known from its definition. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.changes.admission.model import Container, Pod, PodChange
from concertmaster.core.changes.fields import Setting
from concertmaster.core.changes.json_patch import apply, find, fits, join, parts
from concertmaster.core.changes.plan import Plan
from concertmaster.core.model import ContainerSpec, StepSpec, WorkflowDefinition
from concertmaster.core.model.amounts import STORAGE
from concertmaster.core.text import resource_amount


def pod_changes(
    settings: Sequence[Setting], task: str | None, definition: WorkflowDefinition | None, pods: int | None = 1
) -> tuple[PodChange, ...]:
    """The pods whose resources or number ``settings`` change, of the Tekton ``task`` (None: of the workflow's own object).
    Without a ``definition`` only the containers that are set are known, and ``pods`` is how many run concurrently."""
    changes = _of_definition(settings, task, definition) if definition is not None else []
    if not changes:
        return tuple(
            PodChange(
                Pod((Container("", {s.resource: s.old} if s.old is not None else {}, limits),), complete=False),
                Pod((Container("", {s.resource: s.new}, limits),), complete=False),
                pods,
                pods,
            )
            for s in settings
            if s.resource != "parallelism"
            for limits in ({s.resource: s.limit} if s.limit is not None else {},)
        )
    return tuple(changes)


def _of_definition(settings: Sequence[Setting], task: str | None, definition: WorkflowDefinition) -> list[PodChange]:
    graph, changes = definition.graph, list[PodChange]()
    amounts = {(s.pointer, task): s.new for s in settings}
    wider = next((s for s in settings if s.resource == "parallelism"), None)
    group = next((g for g in graph.limits if wider is not None and g.pointer == wider.pointer), None)
    widened = [s for s in graph.steps if s.containers and (group is None or s.name in group.steps)]
    most = sum(s.width or math.inf if s.fan_out else 1 for s in widened)
    for step in (s for s in graph.steps if s.containers):
        before, after = _pod(step, definition, {}), _pod(step, definition, amounts)
        if wider is not None and step in widened:
            old = min(wider.old or 1, most)
            changes.append(PodChange(before, after, int(old), int(min(wider.new, most))))
        elif before != after:
            at_a_time = pods_at_a_time(step, definition)
            changes.append(PodChange(before, after, at_a_time, at_a_time))
    return changes


def pods_at_a_time(step: StepSpec, definition: WorkflowDefinition) -> int | None:
    """How many pods of a step may run concurrently, as far as known from the definition."""
    if not step.fan_out:
        return 1
    known = [n for n in (step.width, step.parallelism, definition.graph.parallelism) if n is not None]
    return min(known, default=None)


def _pod(step: StepSpec, definition: WorkflowDefinition, settings: Mapping[tuple[str, str | None], float]) -> Pod:
    pod = as_declared(step, settings)
    return replace(pod, containers=(*pod.containers, *_injected(definition)))


def _injected(definition: WorkflowDefinition | None) -> tuple[Container, ...]:
    """Containers the engine adds to every pod, without resources: these are set in the engine's own configuration."""
    rows = definition.engine.injected_containers if definition is not None else ()
    return tuple(Container(name, init=init, known=False) for name, init in rows)


def as_declared(step: StepSpec, settings: Mapping[tuple[str, str | None], float] | None) -> Pod:
    """The pod declared by a step, with ``settings`` (by pointer and Task) applied."""
    level = None if step.pod is None else _container(step.pod, settings or {})
    return Pod(tuple(_container(c, settings or {}) for c in step.containers), level=level)


def _container(spec: ContainerSpec, settings: Mapping[tuple[str, str | None], float]) -> Container:
    requests = {"cpu": spec.cpu_request, "memory": spec.memory_request, STORAGE: spec.storage_request}
    limits = {"cpu": spec.cpu_limit, "memory": spec.memory_limit, STORAGE: spec.storage_limit}
    for resource in ("cpu", "memory"):
        at = (f"{spec.resources_pointer}/requests/{resource}", spec.holder)
        requests[resource] = settings.get(at, requests[resource])
    if spec.gpu_resource is not None:  # the API server demands both, and that they are equal
        requests[spec.gpu_resource] = limits[spec.gpu_resource] = spec.gpu_request
    return Container(spec.name, _known(requests), _known(limits), spec.init, native=spec.native)


def _known(amounts: Mapping[str, float | None]) -> dict[str, float]:
    return {k: v for k, v in amounts.items() if v is not None}


def pod_trials(
    plan: Plan, raw: Mapping[str, Any], definition: WorkflowDefinition | None
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pod specifications for a dry run, each before and after the plan: those in the object ``raw`` if it has any, else
    built from the known containers, with and without those the engine adds: a policy that requires requests on every
    container would reject the ones with unknown resources, before and after. Empty for a plan that does not change pods."""
    pointers = [s.pointer for s in plan.settings if s.resource != "parallelism"]
    changed = apply(raw, plan.patch) if pointers and fits(raw, plan.patch) else raw
    written = [(_pod_spec(raw, p), _pod_spec(changed, p)) for p in pointers]
    trials = [(dict(before), dict(after)) for before, after in written if before is not None and after is not None]
    if not trials and pointers:
        changes = [
            c for c in pod_changes(plan.settings, plan.task, definition) if c.after.complete and c.before != c.after
        ]
        injected = _injected(definition)
        pairs = [(c.before, c.after) for c in changes]
        pairs += [(_without(before, injected), _without(after, injected)) for before, after in pairs if injected]
        trials = [(_manifest(before), _manifest(after)) for before, after in pairs]
    return trials


def _without(pod: Pod, containers: tuple[Container, ...]) -> Pod:
    return replace(pod, containers=tuple(c for c in pod.containers if c not in containers))


def _manifest(pod: Pod) -> dict[str, Any]:
    spec: dict[str, Any] = {"restartPolicy": "Never", "containers": []}
    if pod.level is not None:
        spec["resources"] = _resources(pod.level)
    for number, container in enumerate(pod.containers):
        one = {"name": f"c{number}", "image": "example/trial:1", "resources": _resources(container)}
        if container.native:
            one["restartPolicy"] = "Always"
        spec.setdefault("initContainers" if container.init or container.native else "containers", []).append(one)
    return spec


def _resources(container: Container) -> dict[str, dict[str, str]]:
    sides = {"requests": container.requests, "limits": container.limits}
    return {side: {r: resource_amount(r, v) for r, v in rows.items()} for side, rows in sides.items() if rows}


def _pod_spec(raw: Mapping[str, Any], pointer: str) -> Mapping[str, Any] | None:
    """The pod specification in ``raw`` that contains the container at ``pointer``; None if there is none."""
    way = parts(pointer)
    for depth in range(len(way) - 1, 0, -1):
        if way[depth] in ("containers", "initContainers"):
            spec = find(raw, join(way[:depth]))[1]
            return spec if isinstance(spec, Mapping) and isinstance(spec.get("containers"), list) else None
    return None
