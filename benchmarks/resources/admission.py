"""What the API server makes of a pod's resources: defaults, and whether it admits them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.resources.law import CPU, DISK, MEMORY, Amounts, Container, Flow, Role, Step
from concertmaster.core.model.amounts import quantity

_RESOURCES = (CPU, MEMORY, DISK)
_ROUNDED = 1 + 1e-6


def admitted(step: Step, flow: Flow, elsewhere: bool = True) -> Step:
    """The step with what the API server fills in: defaults of LimitRanges, requests equal to limits, and what something else
    sets, if it does so in this run (``elsewhere``)."""
    rows, other = list(_rows(flow, "Container")), flow.elsewhere
    filled = replace(step, containers=tuple(_filled(c, rows) for c in step.containers))
    if other is None or other.step != step.name or not elsewhere:
        return filled
    main = filled.container("main")
    return filled.having("main", main.asking(**other.requests).limited(**other.limits))


def _filled(container: Container, rows: Sequence[Mapping[str, Any]]) -> Container:
    limits, requests = dict(container.limits), dict(container.requests)
    for resource, amount in container.limits.items():
        requests.setdefault(resource, amount)
    for row in rows:
        most = _amounts(row, "default")
        for resource, amount in most.items():
            limits.setdefault(resource, amount)
        for resource, amount in (_amounts(row, "defaultRequest") or most).items():
            requests.setdefault(resource, amount)
    return replace(container, limits=limits, requests=requests)


def effective(step: Step, resource: str) -> float:
    """What the scheduler reserves for a pod of the admitted step: the pod's own request, or what its containers need
    together at any time."""
    if step.requests is not None and resource in step.requests:
        return step.requests[resource]
    running, beside, first = 0.0, 0.0, 0.0
    for container in step.containers:
        asked = container.requests.get(resource, 0.0)
        if container.role is Role.INIT:
            first = max(first, asked)
            continue
        running += asked
        beside += asked if container.role is Role.NATIVE else 0.0  # started before the init containers
    return max(running, beside + first if first else 0.0)


def problem(flow: Flow) -> str:
    """Why pods of the workflow are not created, or never find a node; empty where all are."""
    return next((why for step in flow.steps for why in _problems(admitted(step, flow), flow)), "")


def _problems(step: Step, flow: Flow) -> Iterator[str]:
    for container in step.containers:
        for resource, request in container.requests.items():
            limit = container.limits.get(resource)
            if limit is not None and request > limit * _ROUNDED:
                yield f"{resource} request of {container.name} above its limit"
        for row in _rows(flow, "Container"):
            yield from _outside(container, row)
    if step.requests is not None:
        for resource, request in step.requests.items():
            together = effective(replace(step, requests=None), resource)
            if request * _ROUNDED < together:
                yield f"{resource} request of the pod below that of its containers"
            limit = step.limits.get(resource)
            if limit is not None and request > limit * _ROUNDED:
                yield f"{resource} request of the pod above its limit"
    for resource in _RESOURCES:
        asked = effective(step, resource)
        if resource in flow.node and asked > flow.node[resource] * _ROUNDED:
            yield f"{resource}: no node is that large"
        for name, hard in _quotas(flow):
            if f"requests.{resource}" in hard and asked * step.items > hard[f"requests.{resource}"] * _ROUNDED:
                yield f"{resource}: above ResourceQuota {name}"
            most = sum(c.limits.get(resource, 0.0) for c in step.containers if c.role is not Role.INIT)
            if f"limits.{resource}" in hard and most * step.items > hard[f"limits.{resource}"] * _ROUNDED:
                yield f"{resource} limits: above ResourceQuota {name}"


def _outside(container: Container, row: Mapping[str, Any]) -> Iterator[str]:
    least, most, ratio = (_amounts(row, name) for name in ("min", "max", "maxLimitRequestRatio"))
    for resource in _RESOURCES:
        request, limit = container.requests.get(resource), container.limits.get(resource)
        if resource in least and (request is None or request * _ROUNDED < least[resource]):
            yield f"{resource} request of {container.name} below the minimum of the LimitRange"
        if resource in most and (limit is None or limit > most[resource] * _ROUNDED):
            yield f"{resource} limit of {container.name} above the maximum of the LimitRange"
        if resource in ratio and (request is None or limit is None or limit > ratio[resource] * request * _ROUNDED):
            yield f"{resource} limit of {container.name} above the ratio of the LimitRange"


def _rows(flow: Flow, scope: str) -> Iterator[Mapping[str, Any]]:
    for made in flow.namespace:
        if made["kind"] == "LimitRange":
            yield from (row for row in made["spec"]["limits"] if row["type"] == scope)


def _quotas(flow: Flow) -> Iterator[tuple[str, Amounts]]:
    for made in flow.namespace:
        if made["kind"] == "ResourceQuota":
            yield made["metadata"]["name"], _amounts(made["spec"], "hard")


def _amounts(row: Mapping[str, Any], name: str) -> dict[str, float]:
    return {k: amount for k, v in row.get(name, {}).items() if (amount := quantity(v)) is not None}
