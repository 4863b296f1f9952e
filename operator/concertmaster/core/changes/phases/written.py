"""Transitions of a change whose write has begun: settled, verified, rolled back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.changes.phases.transition import C, ChangeEvent, JournalAction, Transition, conflict
from concertmaster.core.changes.reconcile import TargetState
from concertmaster.core.changes.verification.verify import Verification
from concertmaster.core.model.conditions import ConditionUpdate, Reason
from concertmaster.core.model.enums import ChangePhase, Verdict
from concertmaster.core.model.fingerprints import stored_fingerprint

_INTENT = "about to be rolled back: "
_REFUSED = "; not yet, because the API server refuses it: "
_REASONS = {
    Verdict.IMPROVED: Reason.IMPROVED,
    Verdict.SAME: Reason.SAME,
    Verdict.WORSE: Reason.WORSE,
    Verdict.INCONCLUSIVE: Reason.INCONCLUSIVE,
}


def settled(
    target: TargetState, *, other_writers: Sequence[str], rollback_command: str, expected: str, unclear: bool = False
) -> Transition:
    """Outcome of a write that was begun, from the state of the target: applied, not applied, or overwritten.
    ``other_writers``: other owners of the object; ``expected``: the predicted effect; ``unclear``: the write may have been
    stored before somebody else's, so that it is not repeated where the target does not have it."""
    if target is TargetState.GONE:
        return conflict("the target was deleted", applied=False)
    if unclear and target in (TargetState.AS_BEFORE, TargetState.CHANGED):
        text = (
            "somebody else changed the target while this was written, so it may have been written and undone; it is left"
            " as it is"
        )
        return replace(
            conflict(text, applied=False), conditions=(ConditionUpdate(C.APPLIED, None, Reason.CONFLICT, text),)
        )
    if target is TargetState.AS_BEFORE:
        text = "it is not written yet; every check runs again before it is"
        waiting = ConditionUpdate(C.APPLIED, False, Reason.WAITING, text)
        return Transition(ChangePhase.PROPOSED, (waiting,), journal=JournalAction.DROP)
    if target is not TargetState.AS_WRITTEN:
        return conflict("somebody else changed the target before it was written", applied=False)
    fight = f"; {' and '.join(other_writers[:3])} may change it back" if other_writers else ""
    done = ConditionUpdate(
        C.APPLIED, True, Reason.APPLIED, f"written{fight}; to roll it back manually: {rollback_command}"
    )
    next_ = ConditionUpdate(C.VERIFIED, None, Reason.IN_PROGRESS, "runs after the change are being collected")
    event = ChangeEvent("ChangeApplied", expected, warning=False)
    return Transition(ChangePhase.VERIFYING, (done, next_), event=event)


def fingerprinted(before: Mapping[str, Any], fingerprint: str) -> Transition:
    """Records the fingerprint of the changed definition, to detect later edits by others; ``before``: the current status."""
    plan = before.get("plan") or {}
    target = {**(plan.get("target") or {}), "fingerprint": stored_fingerprint(fingerprint)}
    return Transition(None, fields={"plan": {**plan, "target": target}})


def verified(result: Verification, fields: Mapping[str, Any], before: Mapping[str, Any]) -> Transition:
    """Transition after a verification, other than a rollback. ``fields``: status fields with its results; ``before``: the
    current status."""
    if result.verdict is None:
        seen = {k: v for k, v in fields.items() if k != "measured"}
        said = [c.get("message") for c in before.get("conditions") or () if c.get("type") == C.VERIFIED]
        if seen == {k: before.get(k) for k in seen} and said == [result.reason]:
            return Transition(None)  # no new run: measured values differ only by rounding
        return Transition(None, (ConditionUpdate(C.VERIFIED, None, Reason.IN_PROGRESS, result.reason),), fields)
    stays = ConditionUpdate(C.RESTORED, False, Reason.KEPT, "the change stays")
    event = ChangeEvent("ChangeKept", result.reason, warning=False)
    return Transition(ChangePhase.COMPLETED, (_judged(result), stays), fields, JournalAction.KEEP, event)


def rolling_back(
    reason: str, result: Verification | None = None, fields: Mapping[str, Any] | None = None
) -> Transition:
    """Announces a rollback, because of ``result`` or for another ``reason``."""
    intent = ConditionUpdate(C.RESTORED, None, Reason.IN_PROGRESS, f"{_INTENT}{reason}")
    conditions = (intent,) if result is None else (_judged(result), intent)
    return Transition(None, conditions, fields or {}, JournalAction.PUT_FIRST)


def overturned(result: Verification, fields: Mapping[str, Any]) -> Transition:
    """Announces the rollback of a change that was kept: it is in progress again until the rollback is written."""
    return replace(rolling_back(result.reason, result, fields), phase=ChangePhase.VERIFYING)


def judged_and_left(orphan: Transition, result: Verification, fields: Mapping[str, Any]) -> Transition:
    """What a verification found out about a change that must not be rolled back: ``orphan``, with the verdict."""
    if orphan == Transition(None):  # said before
        return orphan
    return replace(orphan, conditions=(_judged(result), *orphan.conditions), fields=fields)


def replaced(before: Mapping[str, Any], manager: str) -> Transition:
    """Ends a kept change whose values somebody else (the field ``manager``; empty: unknown) has replaced since. ``before``:
    the current status. Its condition Restored is as new, so that it says since when."""
    by = f" ({manager})" if manager else ""
    text = f"somebody else{by} changed what this change had set after it was kept; it is left as it is"
    others = [c for c in before.get("conditions") or () if c.get("type") != C.RESTORED]
    return replace(conflict(text, applied=True), fields={"conditions": others})


def announced(message: str) -> str:
    """The reason of an announced rollback, from the message of its condition."""
    return message.removeprefix(_INTENT).partition(_REFUSED)[0]


def refused(why: str, text: str, rollback_command: str) -> Transition:
    """The API server does not take an announced rollback, for which ``why`` is the reason. It is tried again, later and
    later; ``rollback_command`` is for a person who may do more."""
    message = f"{_INTENT}{why}{_REFUSED}{text}. To roll the change back: {rollback_command}"
    return Transition(None, (ConditionUpdate(C.RESTORED, None, Reason.WRITE_FAILED, message),))


def rolled_back(target: TargetState) -> Transition | None:
    """Outcome of an announced rollback, from the state of the target; None: the inverse must be written first."""
    match target:
        case TargetState.AS_WRITTEN | TargetState.UNKNOWN:
            return None
        case TargetState.GONE | TargetState.REPLACED:
            return conflict("the target was deleted or recreated; there is nothing to roll back", applied=True)
        case TargetState.AS_BEFORE:
            return restored("the old values were back already")
        case TargetState.CHANGED:
            text = "somebody else changed the target since; it is left as it is"
            return conflict(f"{text}. The previous values are in status.plan.inverse", applied=True)


def restored(text: str) -> Transition:
    """The rollback is complete."""
    return Transition(
        ChangePhase.COMPLETED,
        (ConditionUpdate(C.RESTORED, True, Reason.ROLLED_BACK, text),),
        {"restored": True},
        JournalAction.DROP,
        ChangeEvent("ChangeRolledBack", text),
    )


def _judged(result: Verification) -> ConditionUpdate:
    verdict = result.verdict or Verdict.INCONCLUSIVE
    state = {Verdict.IMPROVED: True, Verdict.INCONCLUSIVE: None}.get(verdict, False)
    return ConditionUpdate(C.VERIFIED, state, _REASONS[verdict], result.reason)
