"""A change in each phase: status, journal and event as one piece of data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.changes.fields import Refused
from concertmaster.core.changes.phases import proposed, written
from concertmaster.core.changes.phases.transition import JournalAction, Transition, conflict, orphaned
from concertmaster.core.changes.reconcile import FINISHED, ChangeState, TargetState, target_state
from concertmaster.core.changes.situation import CheckResult
from concertmaster.core.changes.verification.verify import Verification
from concertmaster.core.model.conditions import ConditionType, Reason
from concertmaster.core.model.enums import ChangePhase, Verdict

UNDO = "kubectl patch ..."
WAITS = CheckResult(False, "it waits for a decision", True, "mode")
CLOSED = CheckResult(False, "the next window opens at 3", True, "window")
OPEN = CheckResult(True, "", check="mode")


def test_a_rejection_comes_before_everything_and_a_forgery_before_its_plan() -> None:
    rejected = proposed.before_planning(ChangeState("Proposed", "Reject", "ana"), "forged")
    assert rejected is not None
    assert (rejected.phase, rejected.conditions[0].message) == (ChangePhase.COMPLETED, "rejected by ana")
    forged = proposed.before_planning(ChangeState("Proposed", "Approve"), "forged")
    assert forged is not None
    assert (forged.phase, forged.journal) == (ChangePhase.FAILED, JournalAction.NONE)
    assert proposed.before_planning(ChangeState("Proposed", "Approve"), None) is None


@pytest.mark.parametrize(
    ("error", "phase"),
    [
        (None, ChangePhase.SUPERSEDED),
        (Refused("the bounds leave nothing"), ChangePhase.SUPERSEDED),
        (Refused("it is 3 now", changed=True), ChangePhase.CONFLICT),
    ],
)
def test_a_plan_that_is_not_given_again(error: Refused | None, phase: ChangePhase) -> None:
    step = proposed.replanned(error)
    assert (step.phase, step.journal) == (phase, JournalAction.FORGET_PROPOSAL)


@pytest.mark.parametrize(
    ("results", "approved", "news", "phase", "message"),
    [
        ((WAITS,), False, "", None, None),
        ((WAITS,), False, "b runs it too", None, "approve?"),
        ((OPEN, CLOSED), True, "", None, "waits for window: the next window opens at 3"),
        ((OPEN,), True, "b runs it too", ChangePhase.SUPERSEDED, "it was approved before this was known"),
    ],
)
def test_a_plan_that_may_not_be_written(
    results: tuple[CheckResult, ...], approved: bool, news: str, phase: ChangePhase | None, message: str | None
) -> None:
    step = proposed.checked(results, approved=approved, undecided=True, news=news, question="approve?")
    assert step is not None
    assert step.phase == phase
    assert bool(step.conditions) == (message is not None)
    assert message is None or step.conditions[0].message.startswith(message)


def test_a_plan_that_passes_every_check_is_written_and_a_held_one_says_why() -> None:
    assert proposed.checked((OPEN,), approved=True, undecided=False, news="", question="approve?") is None
    (said,) = proposed.hold([CLOSED, replace(CLOSED, check="owner")]).conditions
    assert (said.status, said.message) == (False, f"waits for {CLOSED.check}, owner: {CLOSED.message}")


def test_nothing_is_written_that_the_journal_does_not_hold_first() -> None:
    assert proposed.writing("CPU from 2 to 1", None, {}).journal is JournalAction.MUST_PUT_FIRST
    assert written.rolling_back("slower").journal is JournalAction.PUT_FIRST


def test_whatever_finishes_a_written_change_takes_it_out_of_the_journal() -> None:
    kept = written.verified(Verification(Verdict.IMPROVED, False, "faster", 30, 9), {}, {})
    ends = [kept, written.restored("taken back"), conflict("deleted", applied=True), proposed.refused("denied")]
    for step in ends:
        assert step.phase in FINISHED
        assert step.journal is (JournalAction.KEEP if step is kept else JournalAction.DROP)


@pytest.mark.parametrize(
    ("target", "phase"),
    [
        (TargetState.AS_WRITTEN, ChangePhase.VERIFYING),
        (TargetState.AS_BEFORE, ChangePhase.PROPOSED),
        (TargetState.CHANGED, ChangePhase.CONFLICT),
        (TargetState.REPLACED, ChangePhase.CONFLICT),
        (TargetState.GONE, ChangePhase.CONFLICT),
    ],
)
def test_what_became_of_a_write_is_read_from_the_target(target: TargetState, phase: ChangePhase) -> None:
    step = written.settled(target, other_writers=("Helm release x",), rollback_command=UNDO, expected="less")
    assert step.phase is phase
    assert (UNDO in step.conditions[0].message) == (target is TargetState.AS_WRITTEN)


@pytest.mark.parametrize("target", TargetState)
def test_only_a_target_that_holds_the_change_gets_the_inverse(target: TargetState) -> None:
    step = written.rolled_back(target)
    assert (step is None) == (target in (TargetState.AS_WRITTEN, TargetState.UNKNOWN))
    if step is not None:
        assert (step.phase is ChangePhase.COMPLETED) == (target is TargetState.AS_BEFORE)


def test_a_verification_without_a_new_run_writes_nothing() -> None:
    result = Verification(None, False, "2 of 5 runs", 30, 2)
    fields = {"verifiedRuns": 2, "measured": {"likely": "1"}}
    before = {
        "verifiedRuns": 2,
        "measured": {"likely": "2"},
        "conditions": [{"type": "Verified", "message": result.reason}],
    }
    assert written.verified(result, fields, before) == Transition(None)
    assert written.verified(result, fields, {**before, "verifiedRuns": 1}).fields == fields
    left_out = replace(result, reason="2 of 5 runs; 1 more with another image")
    assert written.verified(left_out, fields, before).conditions[0].message == left_out.reason


def test_an_orphan_is_said_once_for_each_reason() -> None:
    step = orphaned(Reason.POLICY_GONE, "the policy is suspended", UNDO, None)
    assert step.conditions[0].type is ConditionType.ORPHANED
    assert UNDO in step.conditions[0].message
    (again,) = orphaned(Reason.POLICY_GONE, "no policy selects it", UNDO, "PolicyGone").conditions
    assert again.message.startswith("no policy selects it; ")
    assert orphaned(Reason.POLICY_GONE, "no policy selects it", UNDO, "PolicyGone").event is None
    assert orphaned(Reason.NOT_IN_JOURNAL, "other words", UNDO, "NotInJournal") == Transition(None)
    assert orphaned(Reason.PROFILE_GONE, "no profile", UNDO, "PolicyGone").conditions


def test_the_tests_in_its_own_operations_say_what_a_target_holds() -> None:
    patch = [{"op": "test", "path": "/cpu", "value": "2"}, {"op": "replace", "path": "/cpu", "value": "1"}]
    inverse = [{"op": "test", "path": "/cpu", "value": "1"}, {"op": "replace", "path": "/cpu", "value": "2"}]
    for raw, state in (
        (None, TargetState.GONE),
        ({"metadata": {"uid": "other"}, "cpu": "1"}, TargetState.REPLACED),
        ({"metadata": {"uid": "u"}, "cpu": "1"}, TargetState.AS_WRITTEN),
        ({"metadata": {"uid": "u"}, "cpu": "2"}, TargetState.AS_BEFORE),
        ({"metadata": {"uid": "u"}, "cpu": "3"}, TargetState.CHANGED),
    ):
        assert target_state(raw, "u", patch, inverse) is state
    assert target_state({"metadata": {}}, "", patch, inverse) is TargetState.REPLACED


def test_what_is_no_longer_recommended_is_not_said_to_be_replaced() -> None:
    """The change of another workflow may have made it: of the same Task, say."""
    (condition,) = proposed.replanned().conditions
    assert condition.message.startswith("the recommendation has changed, or what apply.bounds allow of it: another")
