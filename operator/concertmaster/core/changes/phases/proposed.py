"""Transitions of a change that is not written yet: proposed, held, ended, or about to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.core.changes.checks import blocking, needs_decision
from concertmaster.core.changes.fields import Refused
from concertmaster.core.changes.phases.transition import MAX_PAUSE, C, ChangeEvent, JournalAction, Transition
from concertmaster.core.changes.reconcile import ChangeState
from concertmaster.core.changes.situation import CheckResult
from concertmaster.core.model.conditions import ConditionUpdate, Reason
from concertmaster.core.model.enums import ChangePhase, Decision
from concertmaster.core.text import duration

ASKS = "; to approve it: "
"""Said by a proposal before the command that approves it."""
_MOVED_ON = (
    "the recommendation has changed, or what apply.bounds allow of it: another change is proposed if one is still"
    " recommended"
)


def _ended(phase: ChangePhase, reason: Reason, text: str) -> Transition:
    """Ends a proposal. A forged (failed) one leaves the journal alone, which holds the plan it imitates."""
    journal = JournalAction.NONE if phase is ChangePhase.FAILED else JournalAction.FORGET_PROPOSAL
    return Transition(phase, (ConditionUpdate(C.APPROVED, False, reason, text),), journal=journal)


def asked(question: str, plan: Mapping[str, Any] | None = None, *, announce: bool = False) -> Transition:
    """Requests a decision; ``plan``: the plan, for an object that does not have one yet. ``announce``: also by an Event."""
    condition = ConditionUpdate(C.APPROVED, None, Reason.WAITING, question)
    event = ChangeEvent("ApprovalRequired", question, warning=False) if announce else None
    return Transition(ChangePhase.PROPOSED if plan else None, (condition,), plan or {}, event=event)


def superseded(text: str, reason: Reason = Reason.SUPERSEDED) -> Transition:
    """Ends a proposal that is no longer recommended, or is replaced by a newer one."""
    return _ended(ChangePhase.SUPERSEDED, reason, text)


def forged(text: str) -> Transition:
    """Ends a change object that does not match what the operator proposed."""
    return _ended(ChangePhase.FAILED, Reason.REJECTED, text)


def before_planning(change: ChangeState, wrong: str | None) -> Transition | None:
    """Ends a proposal regardless of its plan: on rejection, or when its plan cannot be the proposed one (``wrong``)."""
    if change.decision == Decision.REJECT:
        return _ended(ChangePhase.COMPLETED, Reason.REJECTED, f"rejected by {change.decided_by or 'somebody'}")
    return forged(wrong) if wrong is not None else None


def replanned(error: Refused | None = None) -> Transition:
    """Transition of a proposal that the current recommendation no longer yields on the current object."""
    if error is None or not error.changed:
        return superseded(_MOVED_ON if error is None else str(error))
    condition = ConditionUpdate(C.APPLIED, False, Reason.CONFLICT, str(error))
    return Transition(ChangePhase.CONFLICT, (condition,), journal=JournalAction.FORGET_PROPOSAL)


def checked(
    results: Sequence[CheckResult], *, approved: bool, undecided: bool, news: str, question: str
) -> Transition | None:
    """Transition of a confirmed plan from its check results; None: it may be written. ``news``: what has not been reported
    to the approver yet (``undecided``: no decision was processed so far), ``question``: the request for a decision."""
    if not approved and needs_decision(results):
        return asked(question) if news else Transition(None)
    if approved and news and undecided:
        return superseded(f"it was approved before this was known: {news}; a new proposal asks again")
    blocked_by = blocking(results, proposing=False)
    return hold(blocked_by) if blocked_by else None


def hold(blocked_by: Sequence[CheckResult]) -> Transition:
    """Reports the checks that block a decided change."""
    message = f"waits for {', '.join(r.check for r in blocked_by)}: {blocked_by[0].message}"
    return Transition(None, (ConditionUpdate(C.APPLIED, False, Reason.CHECK_BLOCKED, message),))


def writing(says: str, approved_by: str | None, plan: Mapping[str, Any]) -> Transition:
    """A plan that passed every check and is about to be written. ``approved_by`` None: approved by the policy; ``plan``:
    that of the status, with the version of the target that the write is for."""
    approved = ConditionUpdate(C.APPROVED, True, Reason.AUTOMATIC, "the policy's mode is Auto")
    if approved_by is not None:
        approved = ConditionUpdate(C.APPROVED, True, Reason.APPROVED, f"approved by {approved_by}")
    intent = ConditionUpdate(C.APPLIED, None, Reason.IN_PROGRESS, f"about to be written: {says}")
    return Transition(ChangePhase.APPLIED, (approved, intent), {"plan": plan}, JournalAction.MUST_PUT_FIRST)


def refused(text: str) -> Transition:
    """The API server rejects the patch permanently."""
    condition = ConditionUpdate(C.APPLIED, False, Reason.WRITE_FAILED, text)
    return Transition(ChangePhase.FAILED, (condition,), journal=JournalAction.DROP)


def denied(text: str) -> Transition:
    """The operator is currently not allowed to write the target. It is tried again, later and later."""
    message = f"{text}; it is tried again at least every {duration(MAX_PAUSE)}"
    condition = ConditionUpdate(C.APPLIED, False, Reason.DENIED, message)
    return Transition(ChangePhase.PROPOSED, (condition,), journal=JournalAction.DROP)
