"""How many pods a namespace's ResourceQuotas allow to run concurrently. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from concertmaster.core.changes.admission.model import LimitRange, ResourceQuota
from concertmaster.core.model import StepSpec
from concertmaster.core.model.amounts import RESOURCES, STORAGE, is_gpu, quantity
from concertmaster.core.reserved import reservation

_NAMES = {"count/pods": "pods"}
_KNOWN = (*RESOURCES, *(f"limits.{r}" for r in RESOURCES), "pods")
_FIELDS = {STORAGE: "storage"}  # field names of a container that differ from the resource name


def quota_of(raw: Mapping[str, Any]) -> ResourceQuota | None:
    """A ResourceQuota object; None for one that applies only to pods without requests."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    scopes = spec.get("scopes") or ()
    if "BestEffort" in scopes:
        return None
    scoped = bool(set(scopes) - {"NotBestEffort"} or spec.get("scopeSelector"))
    name = str((raw.get("metadata") or {}).get("name", ""))
    return ResourceQuota(name, _amounts(spec.get("hard")), _amounts(status.get("used")), scoped)


def queue_quota(queue: Mapping[str, Any], *, each: bool) -> ResourceQuota:
    """The most that one run, or ``each`` pod, may request in a ClusterQueue of Kueue that is otherwise empty: of a resource
    as much as the largest of its flavors has, and may borrow. Without a limit of what it borrows from its cohort, nothing is
    known."""
    spec = queue.get("spec") or {}
    borrows = bool(spec.get("cohortName") or spec.get("cohort"))
    hard: dict[str, float] = {}
    for group in spec.get("resourceGroups") or ():
        for row in (r for flavor in group.get("flavors") or () for r in flavor.get("resources") or ()):
            more = quantity(row.get("borrowingLimit")) if borrows else 0.0
            own = quantity(row.get("nominalQuota"))
            most = math.inf if own is None or more is None else own + more
            hard[str(row.get("name"))] = max(most, hard.get(str(row.get("name")), 0.0))
    known = {r: most for r, most in hard.items() if most < math.inf and (r in _KNOWN or is_gpu(r))}
    return ResourceQuota(str((queue.get("metadata") or {}).get("name", "")), known, kind="ClusterQueue", each=each)


class PodSizes(NamedTuple):
    """What pods of several steps demand, by quota resource name; of ``pods`` each is one. ``largest``: the most of each
    resource that any of them does. ``on_nodes``: of what nodes have, without those that demand no more of anything than
    another one, since what is largest in one step fits on other nodes than what is in another."""

    largest: Mapping[str, float]
    on_nodes: tuple[Mapping[str, float], ...]


def pods_within(quotas: Iterable[ResourceQuota], largest: Mapping[str, float]) -> tuple[int, str] | None:
    """The most concurrent pods that demand as much as the ``largest`` which fit into the quotas when nothing else runs, and
    the name of the binding quota; None when none binds."""
    fits = [
        (math.floor(hard / largest[resource] + 1e-9), quota.name)
        for quota in quotas
        for resource, hard in quota.hard.items()
        if largest.get(resource, 0.0) > 0
    ]
    return min(fits, default=None)


def pod_sizes(steps: Iterable[StepSpec], ranges: Sequence[LimitRange]) -> PodSizes:
    """What pods of the ``steps`` demand, with defaults from limit ``ranges``."""
    largest: dict[str, float] = {"pods": 1.0}
    sizes: list[dict[str, float]] = []
    for pod in (_pod(step, ranges) for step in steps):
        for resource, amount in pod.items():
            largest[resource] = max(largest.get(resource, 0.0), amount)
        size = {"pods": 1.0} | {resource: pod[resource] for resource in RESOURCES if pod.get(resource)}
        if not any(_within(size, other) for other in sizes):
            sizes = [*(other for other in sizes if not _within(other, size)), size]
    return PodSizes(largest, tuple(sizes))


def _within(size: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return all(amount <= other.get(resource, 0.0) for resource, amount in size.items())


def _pod(step: StepSpec, ranges: Sequence[LimitRange]) -> dict[str, float]:
    """Demand of a pod of the step, by quota resource name."""
    filling = [r for r in ranges if r.scope == "Container"]
    rows: dict[str, list[tuple[str, bool, float | None]]] = {}
    for resource in RESOURCES:
        name = _FIELDS.get(resource, resource)
        limit = next((r.default[resource] for r in filling if resource in r.default), None)
        request = next((r.default_request[resource] for r in filling if resource in r.default_request), limit)
        for container in step.containers:
            own, most = getattr(container, f"{name}_request"), getattr(container, f"{name}_limit")
            asked = next((v for v in (own, most, request) if v is not None), None)
            rows.setdefault(resource, []).append((container.name, container.init, asked))
            rows.setdefault(f"limits.{resource}", []).append((container.name, container.init, most or limit))
    for container in step.containers:
        if container.gpu_resource is not None:
            rows.setdefault(container.gpu_resource, []).append((container.name, container.init, container.gpu_request))
    native = frozenset(c.name for c in step.containers if c.native)
    sums = {key: reservation(amounts, native).total for key, amounts in rows.items()}
    pod = step.pod
    if pod is not None:
        level = {
            "cpu": pod.cpu_request,
            "memory": pod.memory_request,
            "limits.cpu": pod.cpu_limit,
            "limits.memory": pod.memory_limit,
        }
        sums |= {k: v for k, v in level.items() if v is not None}
    return sums


def _amounts(rows: Mapping[str, Any] | None) -> dict[str, float]:
    """Of two names for the same resource, the smaller amount counts."""
    amounts: dict[str, float] = {}
    for key, value in (rows or {}).items():
        name, amount = _NAMES.get(key, key.removeprefix("requests.")), quantity(value)
        if (name in _KNOWN or is_gpu(name)) and amount is not None:
            amounts[name] = min(amount, amounts.get(name, amount))
    return amounts
