"""What happens next to a change: one decision for every combination of what its object says and what is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.changes.reconcile import (
    FINISHED,
    IN_FLIGHT,
    ChangeState,
    Step,
    TargetState,
    World,
    before_verification,
    in_flight,
    unwritten,
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
WORLDS = st.builds(World, decidable=st.booleans(), forged=st.sampled_from([None, "no plan"]), allowed=st.booleans())


@pytest.mark.parametrize(
    ("change", "world", "step"),
    [
        (ChangeState("Verifying"), World(decidable=False, forged="x"), Step.WAIT),
        (ChangeState("Verifying"), World(forged="the plan is not the one of spec.planDigest"), Step.DISTRUST),
        (ChangeState("Applied"), World(), Step.SETTLE),
        (ChangeState("Applied"), World(allowed=False), Step.SETTLE_AND_ORPHAN),
        (ChangeState("Verifying"), World(allowed=False), Step.ORPHAN),
        (ChangeState("Verifying", restoring=True), World(allowed=False), Step.ORPHAN),
        (ChangeState("Verifying", restoring=True), World(), Step.CONTINUE_ROLL_BACK),
        (ChangeState("Verifying", decision="Reject"), World(), Step.ROLL_BACK),
        (ChangeState("Verifying", decision="Approve"), World(), Step.VERIFY),
        (ChangeState("Verifying", orphaned=True), World(), Step.VERIFY),
    ],
)
def test_a_change_in_flight(change: ChangeState, world: World, step: Step) -> None:
    assert in_flight(change, world).step is step


def test_an_orphan_is_taken_up_again_once_a_policy_allows_it() -> None:
    assert in_flight(ChangeState("Verifying", orphaned=True), World()).resume
    assert not in_flight(ChangeState("Verifying", orphaned=True), World(allowed=False)).resume
    assert not in_flight(ChangeState("Verifying"), World()).resume


def test_who_rejected_a_change_is_named() -> None:
    assert in_flight(ChangeState("Verifying", "Reject", "ana"), World()).reason == "rejected by ana"
    assert in_flight(ChangeState("Verifying", "Reject"), World()).reason == "rejected by somebody"


@given(CHANGES, WORLDS)
def test_nothing_is_written_without_a_trusted_plan_and_a_policy(change: ChangeState, world: World) -> None:
    decision = in_flight(change, world)
    if decision.step in WRITES or decision.resume:
        assert world.decidable and world.forged is None and world.allowed
        assert change.phase == ChangePhase.VERIFYING


@given(CHANGES, WORLDS)
def test_a_roll_back_needs_a_rejection_or_one_that_was_announced(change: ChangeState, world: World) -> None:
    if in_flight(change, world).step in WRITES:
        assert change.restoring or change.decision == Decision.REJECT


@given(CHANGES, WORLDS)
def test_the_same_observation_gives_the_same_decision(change: ChangeState, world: World) -> None:
    assert in_flight(change, world) == in_flight(change, world)


@pytest.mark.parametrize("target", TargetState)
def test_only_a_target_that_holds_the_change_is_verified(target: TargetState) -> None:
    decision = before_verification(target, "kubectl patch ...")
    assert (decision.step is Step.VERIFY) == (target is TargetState.AS_WRITTEN)
    assert (decision.step is Step.WAIT) == (target is TargetState.UNKNOWN)
    assert bool(decision.reason) == (decision.step is Step.CONFLICT)
    assert ("kubectl patch ..." in decision.reason) == (target in (TargetState.CHANGED, TargetState.AS_BEFORE))


@pytest.mark.parametrize("phase", ["", *ChangePhase])
def test_a_change_without_its_profile(phase: str) -> None:
    expected = Step.ORPHAN if phase in IN_FLIGHT else Step.WAIT if phase in FINISHED else Step.WITHDRAW
    assert without_profile(phase, "etl").step is expected


def test_a_proposal_is_withdrawn_with_the_policy_that_asked_for_it() -> None:
    assert unwritten(World()).step is Step.WAIT
    decision = unwritten(World(allowed=False, why_not="the policy is suspended"))
    assert (decision.step, decision.reason) == (Step.WITHDRAW, "the policy is suspended: the plan is withdrawn")
