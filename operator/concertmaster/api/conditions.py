"""Conditions in a status, and the rules by which they change (their types and reasons: ``core.model.conditions``).

``kubectl wait`` refuses a condition whose ``observedGeneration`` is behind, and people read ``lastTransitionTime`` as
"since when": it moves only when the status flips, not when the wording does. The lists are plain documents, because
they come from and go to a status; the time is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.core.model.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.core.times import format_time

__all__ = ["ConditionType", "ConditionUpdate", "Reason"]

MAX_MESSAGE = 1000  # characters; the schema's bound

ConditionDocument = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConditionTransition:
    """A condition that changed its status or reason; ``before`` (status) is None and ``because`` (reason before) empty for
    a new one. For Events."""

    type: str
    before: str | None
    after: str
    reason: str
    message: str
    because: str = ""


_STATUS = {True: "True", False: "False", None: "Unknown"}


def update(
    previous: Iterable[ConditionDocument], findings: Iterable[ConditionUpdate], *, generation: int | None, now: float
) -> list[dict[str, Any]]:
    """The list of conditions after ``findings``, ready for a status.

    Conditions without a finding stay as they are. ``lastTransitionTime`` is kept unless the status flips;
    ``generation`` is the generation of the spec the findings were computed from; ``now`` is unix seconds. The order is
    the one of ConditionType, then by name. Entries of ``previous`` without a type are dropped.
    """
    known = {str(entry["type"]): dict(entry) for entry in previous if entry.get("type")}
    for finding in findings:
        status = _STATUS[finding.status]
        before = known.get(finding.type, {})
        kept = before.get("lastTransitionTime") if before.get("status") == status else None
        entry = {
            "lastTransitionTime": kept or format_time(now),
            "message": one_line(finding.message),
            "reason": finding.reason.value,
            "status": status,
            "type": finding.type.value,
        }
        if generation is not None:
            entry["observedGeneration"] = generation
        known[finding.type] = dict(sorted(entry.items()))
    return [known[name] for name in sorted(known, key=_rank)]


def reported(
    previous: Iterable[ConditionDocument], findings: Iterable[ConditionUpdate], *, generation: int | None
) -> bool:
    """Whether ``previous`` say all of ``findings`` already, so that an update would change nothing."""
    known = {entry.get("type"): entry for entry in previous}
    for finding in findings:
        entry = known.get(finding.type)
        if (
            entry is None
            or entry.get("status") != _STATUS[finding.status]
            or entry.get("reason") != finding.reason
            or entry.get("observedGeneration") != generation
            or (entry.get("message") != finding.message and entry.get("message") != one_line(finding.message))
        ):
            return False
    return True


def find(conditions: Iterable[ConditionDocument], type_: ConditionType) -> ConditionDocument | None:
    """The condition of that type, or None."""
    return next((entry for entry in conditions if entry.get("type") == type_), None)


def holds(conditions: Iterable[ConditionDocument], type_: ConditionType) -> bool | None:
    """Whether the condition of that type is True or False; None when it is Unknown or absent."""
    entry = find(conditions, type_)
    return {"True": True, "False": False}.get(str(entry.get("status"))) if entry is not None else None


def transitions(
    previous: Iterable[ConditionDocument], current: Iterable[ConditionDocument]
) -> list[ConditionTransition]:
    """The conditions whose status or reason differs from before, in the order of ``current``."""
    known = {str(entry.get("type")): entry for entry in previous}
    changed = []
    for entry in current:
        before = known.get(str(entry["type"]))
        if before is None or (before.get("status"), before.get("reason")) != (entry["status"], entry["reason"]):
            status = str(before.get("status")) if before is not None else None
            because = str(before.get("reason") or "") if before is not None else ""
            changed.append(
                ConditionTransition(
                    str(entry["type"]),
                    status,
                    str(entry["status"]),
                    str(entry["reason"]),
                    str(entry["message"]),
                    because,
                )
            )
    return changed


def one_line(message: str) -> str:
    """``message`` on one line and within the schema's bound; a line break would tear ``kubectl describe`` apart."""
    flat = " ".join(message.split())
    return flat if len(flat) <= MAX_MESSAGE else flat[: MAX_MESSAGE - 1].rstrip() + "…"


def _rank(name: str) -> tuple[int, str]:
    order = list(ConditionType)
    return (order.index(ConditionType(name)), "") if name in order else (len(order), name)
