"""What happens next to a change: one decision for every combination of what its object says and what is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.changes.reconcile import (
    FINISHED,
    IN_FLIGHT,
    ChangeState,
    ObservedState,
    Step,
    TargetState,
    before_verification,
    in_flight,
    without_profile,
)
from concertmaster.core.model.enums import ChangePhase, Decision

WRITES = {Step.ROLL_BACK, Step.CONTINUE_ROLL_BACK}
CHANGES = st.builds(
    ChangeState,
    phase=st.sampled_from(sorted(IN_FLIGHT)),
    decision=st.sampled_from([None, *Decision]),
    decided_by=st.sampled_from([None, "ana@example.com"]),
    orphaned=st.booleans(),
    restoring=st.booleans(),
)
STATES = st.builds(
    ObservedState, decidable=st.booleans(), forged=st.sampled_from([None, "no plan"]), allowed=st.booleans()
)


@pytest.mark.parametrize(
    ("change", "observed", "step"),
    [
        (ChangeState("Verifying"), ObservedState(decidable=False, forged="x"), Step.WAIT),
        (ChangeState("Verifying"), ObservedState(forged="the plan is not the one of spec.planDigest"), Step.DISTRUST),
        (ChangeState("Applied"), ObservedState(), Step.SETTLE),
        (ChangeState("Applied"), ObservedState(allowed=False), Step.SETTLE_AND_ORPHAN),
        (ChangeState("Verifying"), ObservedState(allowed=False), Step.ORPHAN),
        (ChangeState("Verifying", restoring=True), ObservedState(allowed=False), Step.ORPHAN),
        (ChangeState("Verifying", restoring=True), ObservedState(), Step.CONTINUE_ROLL_BACK),
        (ChangeState("Verifying", decision="Reject"), ObservedState(), Step.ROLL_BACK),
        (ChangeState("Verifying", decision="Approve"), ObservedState(), Step.VERIFY),
        (ChangeState("Verifying", orphaned=True), ObservedState(), Step.VERIFY),
    ],
)
def test_a_change_in_flight(change: ChangeState, observed: ObservedState, step: Step) -> None:
    assert in_flight(change, observed).step is step


def test_an_orphan_is_taken_up_again_once_a_policy_allows_it() -> None:
    assert in_flight(ChangeState("Verifying", orphaned=True), ObservedState()).resume
    assert not in_flight(ChangeState("Verifying", orphaned=True), ObservedState(allowed=False)).resume
    assert not in_flight(ChangeState("Verifying"), ObservedState()).resume


def test_who_rejected_a_change_is_named() -> None:
    assert in_flight(ChangeState("Verifying", "Reject", "ana"), ObservedState()).reason == "rejected by ana"
    assert in_flight(ChangeState("Verifying", "Reject"), ObservedState()).reason == "rejected by somebody"


@given(CHANGES, STATES)
def test_nothing_is_written_without_a_trusted_plan_and_a_policy(change: ChangeState, observed: ObservedState) -> None:
    decision = in_flight(change, observed)
    if decision.step in WRITES or decision.resume:
        assert observed.decidable and observed.forged is None and observed.allowed
        assert change.phase == ChangePhase.VERIFYING


@given(CHANGES, STATES)
def test_a_roll_back_needs_a_rejection_or_one_that_was_announced(change: ChangeState, observed: ObservedState) -> None:
    if in_flight(change, observed).step in WRITES:
        assert change.restoring or change.decision == Decision.REJECT


@given(CHANGES, STATES)
def test_the_same_observation_gives_the_same_decision(change: ChangeState, observed: ObservedState) -> None:
    assert in_flight(change, observed) == in_flight(change, observed)


@pytest.mark.parametrize("target", TargetState)
def test_only_a_target_that_holds_the_change_is_verified(target: TargetState) -> None:
    decision = before_verification(target)
    assert (decision.step is Step.VERIFY) == (target is TargetState.AS_WRITTEN)
    assert (decision.step is Step.WAIT) == (target is TargetState.UNKNOWN)
    assert bool(decision.reason) == (decision.step is Step.CONFLICT)
    assert ("status.plan.inverse" in decision.reason) == (target is TargetState.CHANGED)


@pytest.mark.parametrize("phase", ["", *ChangePhase])
def test_a_change_without_its_profile(phase: str) -> None:
    expected = Step.ORPHAN if phase in IN_FLIGHT else Step.WAIT if phase in FINISHED else Step.WITHDRAW
    if phase == ChangePhase.APPLIED:
        expected = Step.SETTLE_AND_ORPHAN  # whether it was written is not known yet
    assert without_profile(phase, "etl").step is expected
    unread = without_profile(phase, "etl", "spec.graph: ...")
    assert unread.step is (expected if phase in IN_FLIGHT else Step.WAIT), "what is proposed may still be made"
