"""Why conditions of policies, profiles and changes are not True: one cause for all objects that name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concertmaster.core.changes.reconcile import IN_FLIGHT
from concertmaster.kube.objects import CHANGES, Resource


@dataclass(slots=True)
class Cause:
    """One reason why conditions are not True, with the objects that name it."""

    type: str
    status: str
    reason: str
    message: str
    names: list[str] = field(default_factory=list)

    @property
    def prevents(self) -> bool:
        """Whether there can be no recommendations up to date: nothing is read. A query of a user's own is not needed."""
        return (self.type, self.status) == ("MetricsAvailable", "False") and self.reason != "QueryInvalid"


def _not_true(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The conditions of a policy or profile that are not True; a missed objective is no defect."""
    conditions = (raw.get("status") or {}).get("conditions") or []
    return [c for c in conditions if c.get("status") != "True" and c.get("type") != "ObjectivesMet"]


def is_outdated(raw: Mapping[str, Any]) -> bool:
    """Whether a condition says why a profile is not brought up to date."""
    return any(c.get("type") != "Ready" or c.get("reason") in ("Stale", "AnalysisFailed") for c in _not_true(raw))


def add_conditions(resource: Resource, raw: Mapping[str, Any], causes: dict[tuple[str, str], Cause]) -> bool:
    """Add the conditions of one object that are not True; whether it has conditions at all. Ready often repeats what
    another condition says, with its reason or as Stale, and does not count then."""
    conditions = (raw.get("status") or {}).get("conditions") or []
    not_true = _not_true(raw)
    others = [c for c in not_true if c.get("type") != "Ready"]
    repeated = {"Stale", *(c.get("reason") for c in others)} if others else set()
    for condition in not_true:
        if condition.get("type") != "Ready" or condition.get("reason") not in repeated:
            _add(resource, raw, condition, causes)
    return bool(conditions)


def add_orphaned(raw: Mapping[str, Any], causes: dict[tuple[str, str], Cause]) -> None:
    """Add a change that the operator has applied and does not roll back by itself any more."""
    status = raw.get("status") or {}
    if status.get("phase") in IN_FLIGHT:
        for condition in status.get("conditions") or []:
            if (condition.get("type"), condition.get("status")) == ("Orphaned", "True"):
                _add(CHANGES, raw, condition, causes)


def _add(
    resource: Resource, raw: Mapping[str, Any], condition: Mapping[str, Any], causes: dict[tuple[str, str], Cause]
) -> None:
    kind, reason = str(condition.get("type")), str(condition.get("reason"))
    known = causes.setdefault(
        (kind, reason), Cause(kind, str(condition.get("status")), reason, str(condition.get("message", "")))
    )
    known.names.append(name_of(resource, raw))


def name_of(resource: Resource, raw: Mapping[str, Any]) -> str:
    """Kind, namespace and name of an object."""
    meta = raw.get("metadata") or {}
    place = f"{meta['namespace']}/" if meta.get("namespace") else ""
    return f"{resource.kind} {place}{meta.get('name')}"


def objects(names: Sequence[str]) -> str:
    """Few objects by name, more by the first of them and a count."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
