"""Next step of a change by phase: from the change and the observed state to one decision. Pure.

The controller observes, asks this module, and executes the decision; it decides nothing itself. Equal observations give
equal decisions, so a restarted process continues where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from concertmaster.core.changes.json_patch import Operation, fits
from concertmaster.core.model.conditions import Reason
from concertmaster.core.model.enums import ChangePhase, Decision

IN_FLIGHT = frozenset({ChangePhase.APPLIED, ChangePhase.VERIFYING})
FINISHED = frozenset({ChangePhase.COMPLETED, ChangePhase.CONFLICT, ChangePhase.FAILED, ChangePhase.SUPERSEDED})


class Step(StrEnum):
    """What to do with a change in a cycle."""

    WAIT = "wait"  # not decidable now: the next cycle reads again
    SETTLE = "settle"  # determine the outcome of a write that was begun
    VERIFY = "verify"  # compare the runs after it with those before it
    ROLL_BACK = "roll back"  # announce, then write the inverse
    CONTINUE_ROLL_BACK = "continue to roll back"  # already announced: write the inverse
    ORPHAN = "orphan"  # write nothing more; report how to roll back by hand
    SETTLE_AND_ORPHAN = "settle, then orphan"
    CONFLICT = "conflict"  # another writer took over: end the change and leave the target unchanged
    END_FORGED = "end forged"  # its status is not what was proposed: end it and write nothing based on it
    WITHDRAW = "withdraw"  # end a change that was not written
    RELEASE = "release"  # monitor a kept change no longer


class TargetState(StrEnum):
    """State of the object a change was written to."""

    UNKNOWN = "unknown"
    GONE = "gone"
    REPLACED = "replaced"  # another object of the same name
    CHANGED = "changed"  # it holds neither the values of the change nor those before it
    AS_BEFORE = "as before"
    AS_WRITTEN = "as written"


def target_state(
    raw: Mapping[str, Any] | None, uid: str | None, patch: Sequence[Operation] | None, inverse: Sequence[Operation] | None
) -> TargetState:  # fmt: skip
    """State of the object ``raw`` (None: does not exist) relative to a change of the object ``uid``, by the tests in its
    operations. One that is being deleted will not come back, however long a finalizer keeps it."""
    meta = (raw or {}).get("metadata") or {}
    if raw is None or meta.get("deletionTimestamp"):
        return TargetState.GONE
    if not uid or str(meta.get("uid") or "") != uid:
        return TargetState.REPLACED
    if inverse and fits(raw, inverse):
        return TargetState.AS_WRITTEN
    return TargetState.AS_BEFORE if patch and fits(raw, patch) else TargetState.CHANGED


@dataclass(frozen=True, slots=True)
class ChangeState:
    """A change according to its API object. ``restoring``: a rollback was announced and is not finished."""

    phase: str
    decision: str | None = None
    decided_by: str | None = None
    orphaned: bool = False
    restoring: bool = False


@dataclass(frozen=True, slots=True)
class ObservedState:
    """Observations besides the change. ``decidable``: whether all data for a decision are available; ``forged``: why its
    plan cannot be the proposed one; ``allowed``: whether the effective policy applies changes, else ``why_not``;
    ``journaled``: whether the operator's own journal holds the change; ``out_of_bounds``: values of its rollback that the
    policy's bounds do not allow."""

    decidable: bool = True
    forged: str | None = None
    allowed: bool = True
    why_not: str = "no policy in force selects it"
    journaled: bool = True
    out_of_bounds: str | None = None


@dataclass(frozen=True, slots=True)
class NextStep:
    """One decision, with the text for conditions. ``resume``: first report that a policy allows changes again; ``because``:
    the reason of an orphan."""

    step: Step
    reason: str = ""
    resume: bool = False
    because: Reason = Reason.POLICY_GONE


def in_flight(change: ChangeState, observed: ObservedState) -> NextStep:
    """The next step of a change that was written or about to be. Its plan is not used before it is verified to be the
    proposed one, and a rollback must be in the journal and within the bounds; nothing is written without a policy that
    allows changes."""
    if not observed.decidable:
        return NextStep(Step.WAIT)
    if observed.forged is not None:
        return NextStep(Step.END_FORGED, observed.forged)
    if change.phase == ChangePhase.APPLIED:
        return NextStep(Step.SETTLE) if observed.allowed else NextStep(Step.SETTLE_AND_ORPHAN, observed.why_not)
    if not observed.allowed:
        return NextStep(Step.ORPHAN, observed.why_not)
    if not observed.journaled:
        text = "the operator's journal does not hold this change"
        return NextStep(Step.ORPHAN, text, because=Reason.NOT_IN_JOURNAL)
    rejected = change.decision == Decision.REJECT
    if (change.restoring or rejected) and observed.out_of_bounds is not None:
        return NextStep(Step.ORPHAN, observed.out_of_bounds, because=Reason.OUT_OF_BOUNDS)
    resume = change.orphaned and observed.out_of_bounds is None
    if change.restoring:
        return NextStep(Step.CONTINUE_ROLL_BACK, resume=resume)
    if rejected:
        return NextStep(Step.ROLL_BACK, f"rejected by {change.decided_by or 'somebody'}", resume)
    return NextStep(Step.VERIFY, resume=resume)


def before_verification(target: TargetState) -> NextStep:
    """Whether a change can still be verified, by the state of its target. Of one that was changed since, no command is
    named: what rolls a change back tests first that the target still has its values."""
    match target:
        case TargetState.UNKNOWN:
            return NextStep(Step.WAIT)
        case TargetState.GONE:
            return NextStep(Step.CONFLICT, "the target was deleted")
        case TargetState.REPLACED:
            return NextStep(Step.CONFLICT, "the target was deleted and made anew")
        case TargetState.AS_BEFORE:
            text = "somebody else undid the change: the target has its previous values and is left as it is"
            return NextStep(Step.CONFLICT, text)
        case TargetState.CHANGED:
            text = "somebody else changed what this change had set; it is left as it is"
            return NextStep(Step.CONFLICT, f"{text}. The previous values are in status.plan.inverse")
        case TargetState.AS_WRITTEN:
            return NextStep(Step.VERIFY)


def after_verdict(observed: ObservedState, target: TargetState, *, changed: bool) -> NextStep:
    """The next step of a change that was kept: whether later runs still tell something of it. ``changed``: the workflow was
    changed otherwise since, by anybody."""
    if not observed.decidable or target is TargetState.UNKNOWN:
        return NextStep(Step.WAIT)
    if changed or observed.forged is not None or not observed.journaled or target is not TargetState.AS_WRITTEN:
        return NextStep(Step.RELEASE)
    return NextStep(Step.VERIFY)


def without_profile(phase: str, profile: str, invalid: str | None = None) -> NextStep:
    """The next step of a change whose profile does not exist, or (``invalid``: why) cannot be read. A proposal waits for one
    that will be read again."""
    gone, because = f"WorkflowProfile {profile} does not exist", Reason.PROFILE_GONE
    if invalid is not None:
        gone, because = f"WorkflowProfile {profile} cannot be read: {invalid}", Reason.INVALID_SPEC
    if phase in IN_FLIGHT:
        step = Step.SETTLE_AND_ORPHAN if phase == ChangePhase.APPLIED else Step.ORPHAN
        return NextStep(step, gone, because=because)
    if phase in FINISHED or invalid is not None:
        return NextStep(Step.WAIT)
    return NextStep(Step.WITHDRAW, gone, because=because)
