"""Transition of a change as plain data: its next status, the journal action, and the Event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from concertmaster.core.changes.reconcile import FINISHED
from concertmaster.core.model.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.core.model.enums import ChangePhase
from concertmaster.core.units import MINUTE

C = ConditionType

MAX_PAUSE = 15 * MINUTE
"""The most seconds between two attempts of a write that may be taken later: so soon it resumes after a freeze has ended."""


class JournalAction(StrEnum):
    """Journal action of a transition. If an optional one fails, the problem is reported and the transition proceeds."""

    NONE = "none"
    MUST_PUT_FIRST = "must put first"  # the change as it will be; if that fails, nothing is written
    PUT_FIRST = "put first"
    DROP = "drop"  # the change is finished
    KEEP = "keep"  # it is, and is monitored: noted before the status is written
    FORGET_PROPOSAL = "forget proposal"  # before the status is written


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """An Event about the profile of a change."""

    reason: str
    text: str
    warning: bool = True


@dataclass(frozen=True, slots=True)
class Transition:
    """The next status of a change: ``phase`` (None: unchanged), ``conditions`` and other ``fields``, with its journal action
    and Event."""

    phase: ChangePhase | None
    conditions: tuple[ConditionUpdate, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    journal: JournalAction = JournalAction.NONE
    event: ChangeEvent | None = None


def closing(step: Transition, *, waiting: bool, orphaned: bool) -> tuple[ConditionUpdate, ...]:
    """The conditions of ``step`` for a change that is ``waiting`` for a decision or its execution, or ``orphaned``: what
    ends it ends the question as well, and the need for a command, for the same reason."""
    if step.phase not in FINISHED:
        return step.conditions
    last, said = step.conditions[-1], {c.type for c in step.conditions}
    ends = [kind for kind, holds in ((C.APPROVED, waiting), (C.ORPHANED, orphaned)) if holds and kind not in said]
    return (*(replace(last, type=kind, status=False) for kind in ends), *step.conditions)


def conflict(text: str, *, applied: bool) -> Transition:
    """Another writer changed the target first: nothing more is written."""
    condition = ConditionUpdate(C.RESTORED if applied else C.APPLIED, False, Reason.CONFLICT, text)
    return Transition(
        ChangePhase.CONFLICT, (condition,), journal=JournalAction.DROP, event=ChangeEvent("ChangeConflict", text)
    )


def orphaned(reason: Reason, text: str, rollback_command: str, known: str | None) -> Transition:
    """Nothing more is written; ``rollback_command`` is for a person. Reported once: ``known`` is the reason it is
    already orphaned for, if it is. What keeps the operator from writing may be another thing by now: that is said anew,
    without an Event."""
    resumes = reason in (Reason.POLICY_GONE, Reason.PROFILE_GONE, Reason.INVALID_SPEC)
    if known == reason.value and not resumes:
        return Transition(None)
    # Once it resumes, to delete it rolls it back.
    keep = "" if resumes else " To keep it, delete this object."
    message = f"{text}; nothing more is written.{keep} To roll the change back: {rollback_command}"
    event = ChangeEvent("ChangeOrphaned", text) if known != reason.value else None
    return Transition(None, (ConditionUpdate(C.ORPHANED, True, reason, message),), event=event)


def resumed() -> Transition:
    """An orphaned change is managed again."""
    text = "what kept the operator from writing is gone; the change is managed again"
    return Transition(None, (ConditionUpdate(C.ORPHANED, False, Reason.ACTIVE, text),))
