"""How many pods a namespace's ResourceQuotas let run at a time. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from concertmaster.core.changes.admission.limits import ResourceQuota
from concertmaster.core.model import StepSpec
from concertmaster.core.model.amounts import quantity

_NAMES = {"requests.cpu": "cpu", "requests.memory": "memory", "count/pods": "pods"}
_KNOWN = ("cpu", "memory", "limits.cpu", "limits.memory", "pods")


def quota_of(raw: Mapping[str, Any]) -> ResourceQuota | None:
    """A ResourceQuota object as what counts here; None for one that holds only pods without requests."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    if "BestEffort" in (spec.get("scopes") or ()):
        return None
    name = str((raw.get("metadata") or {}).get("name", ""))
    return ResourceQuota(name, _amounts(spec.get("hard")), _amounts(status.get("used")))


def pods_within(quotas: Iterable[ResourceQuota], steps: Iterable[StepSpec]) -> tuple[int, str] | None:
    """The most pods of any of the ``steps`` that fit into the quotas at a time when nothing else runs, with the name of the
    quota that binds; None when none does. The largest pod counts."""
    largest: dict[str, float] = {"pods": 1.0}
    for step in steps:
        for resource, amount in _pod(step).items():
            largest[resource] = max(largest.get(resource, 0.0), amount)
    fits = [
        (math.floor(hard / largest[resource] + 1e-9), quota.name)
        for quota in quotas
        for resource, hard in quota.hard.items()
        if largest.get(resource, 0.0) > 0
    ]
    return min(fits, default=None)


def _pod(step: StepSpec) -> dict[str, float]:
    rows = [c for c in step.containers if not c.init]
    sums = {
        "cpu": sum(c.cpu_request or c.cpu_limit or 0.0 for c in rows),
        "memory": sum(c.memory_request or c.memory_limit or 0.0 for c in rows),
        "limits.cpu": sum(c.cpu_limit or 0.0 for c in rows),
        "limits.memory": sum(c.memory_limit or 0.0 for c in rows),
    }
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
    """Where two names mean the same, the smaller amount counts."""
    amounts: dict[str, float] = {}
    for key, value in (rows or {}).items():
        name, amount = _NAMES.get(key, key), quantity(value)
        if name in _KNOWN and amount is not None:
            amounts[name] = min(amount, amounts.get(name, amount))
    return amounts
