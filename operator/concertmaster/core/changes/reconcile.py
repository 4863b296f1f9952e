"""What happens next to a change, by phase: from the change and what is known of the world to one decision. Pure.

The controller observes, asks here, and carries the decision out; it decides nothing itself. A decision on the same
observation is the same, so a process that starts again goes on where the last one stopped.
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
    """What is done with a change in a cycle."""

    WAIT = "wait"  # nothing can be known now: the next cycle reads again
    SETTLE = "settle"  # find out what became of a write that was begun
    VERIFY = "verify"  # compare the runs after it with those before it
    ROLL_BACK = "roll back"  # write the inverse, saying so first
    CONTINUE_ROLL_BACK = "continue to roll back"  # the inverse was announced: write it
    ORPHAN = "orphan"  # nothing more is written; say how a person undoes it
    SETTLE_AND_ORPHAN = "settle, then orphan"
    CONFLICT = "conflict"  # somebody else took over: end it and leave the target as it is
    DISTRUST = "distrust"  # its status is not what was proposed: end it, write nothing on its word
    WITHDRAW = "withdraw"  # end a change that was not written


class TargetState(StrEnum):
    """What is known of the object a change was written to."""

    UNKNOWN = "unknown"
    GONE = "gone"
    REPLACED = "replaced"  # another object of the same name
    CHANGED = "changed"  # it holds neither what the change set nor what was there before
    AS_BEFORE = "as before"
    AS_WRITTEN = "as written"


def target_state(
    raw: Mapping[str, Any] | None, uid: str | None, patch: Sequence[Operation] | None, inverse: Sequence[Operation] | None
) -> TargetState:  # fmt: skip
    """What the object ``raw`` (None: there is none) holds of a change of the object ``uid``, by the tests in its own
    operations."""
    if raw is None:
        return TargetState.GONE
    if not uid or str((raw.get("metadata") or {}).get("uid") or "") != uid:
        return TargetState.REPLACED
    if inverse and fits(raw, inverse):
        return TargetState.AS_WRITTEN
    return TargetState.AS_BEFORE if patch and fits(raw, patch) else TargetState.CHANGED


@dataclass(frozen=True, slots=True)
class ChangeState:
    """A change as its object says. ``restoring``: its roll-back was announced and not finished."""

    phase: str
    decision: str | None = None
    decided_by: str | None = None
    orphaned: bool = False
    restoring: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """What is known beside the change. ``decidable``: whether what it may be for is at hand; ``forged``: why its plan
    cannot be the one that was proposed; ``allowed``: whether the policy in force changes anything, else ``why_not``;
    ``journaled``: whether the operator's own journal holds the change; ``out_of_bounds``: what its roll-back would write
    that the policy's bounds do not allow."""

    decidable: bool = True
    forged: str | None = None
    allowed: bool = True
    why_not: str = "the policy in force only recommends"
    journaled: bool = True
    out_of_bounds: str | None = None


@dataclass(frozen=True, slots=True)
class NextStep:
    """One decision, with the words that go into conditions. ``resume``: say first that a policy allows changes again;
    ``because``: the reason of an orphan."""

    step: Step
    reason: str = ""
    resume: bool = False
    because: Reason = Reason.POLICY_GONE


def in_flight(change: ChangeState, world: World) -> NextStep:
    """The next step of a change that was written, or was about to be. Nothing of its plan is used before it is known to
    be the plan that was proposed, and what is written back must stand in the journal and within the bounds; without a
    policy that allows changes nothing is written."""
    if not world.decidable:
        return NextStep(Step.WAIT)
    if world.forged is not None:
        return NextStep(Step.DISTRUST, world.forged)
    if change.phase == ChangePhase.APPLIED:
        return NextStep(Step.SETTLE) if world.allowed else NextStep(Step.SETTLE_AND_ORPHAN, world.why_not)
    if not world.allowed:
        return NextStep(Step.ORPHAN, world.why_not)
    if not world.journaled:
        text = "the operator's journal does not hold this change"
        return NextStep(Step.ORPHAN, text, because=Reason.NOT_IN_JOURNAL)
    rejected = change.decision == Decision.REJECT
    if (change.restoring or rejected) and world.out_of_bounds is not None:
        return NextStep(Step.ORPHAN, world.out_of_bounds, because=Reason.OUT_OF_BOUNDS)
    resume = change.orphaned and world.out_of_bounds is None
    if change.restoring:
        return NextStep(Step.CONTINUE_ROLL_BACK, resume=resume)
    if rejected:
        return NextStep(Step.ROLL_BACK, f"rejected by {change.decided_by or 'somebody'}", resume)
    return NextStep(Step.VERIFY, resume=resume)


def before_verification(target: TargetState, undo: str) -> NextStep:
    """Whether a change can still be verified, by what became of its target; ``undo`` is the command that undoes it."""
    match target:
        case TargetState.UNKNOWN:
            return NextStep(Step.WAIT)
        case TargetState.GONE:
            return NextStep(Step.CONFLICT, "the target was deleted")
        case TargetState.REPLACED:
            return NextStep(Step.CONFLICT, "the target was deleted and made anew")
        case TargetState.CHANGED | TargetState.AS_BEFORE:
            text = f"somebody else changed what this change had set; it is left as it is. Its undoing was: {undo}"
            return NextStep(Step.CONFLICT, text)
        case TargetState.AS_WRITTEN:
            return NextStep(Step.VERIFY)


def without_profile(phase: str, profile: str) -> NextStep:
    """The next step of a change whose profile does not exist."""
    text = f"WorkflowProfile {profile} does not exist"
    if phase in IN_FLIGHT:
        return NextStep(Step.ORPHAN, text)
    return NextStep(Step.WAIT) if phase in FINISHED else NextStep(Step.WITHDRAW, text)


def unwritten(world: World) -> NextStep:
    """The next step of a proposal while the policy in force allows no changes."""
    return NextStep(Step.WAIT) if world.allowed else NextStep(Step.WITHDRAW, f"{world.why_not}: the plan is withdrawn")
