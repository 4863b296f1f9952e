"""What happens next to a change: one decision for every combination of what its object says and what is known."""

from __future__ import annotations

from itertools import product

import pytest

from concertmaster.core.changes.json_patch import apply
from concertmaster.core.changes.reconcile import (
    FINISHED,
    IN_FLIGHT,
    ChangeState,
    ObservedState,
    Step,
    TargetState,
    after_verdict,
    before_verification,
    in_flight,
    target_state,
    without_profile,
)
from concertmaster.core.model.enums import ChangePhase, Decision
from tests.support.core.change_samples import planned, template

WRITES = {Step.ROLL_BACK, Step.CONTINUE_ROLL_BACK}
BOTH = (False, True)
CHANGES = [
    ChangeState(phase, decision, "ana@example.com", orphaned=orphaned, restoring=restoring)
    for phase, decision, orphaned, restoring in product(sorted(IN_FLIGHT), [None, *Decision], BOTH, BOTH)
]
STATES = [
    ObservedState(
        decidable, "no plan" if forged else None, allowed, journaled=journaled, out_of_bounds="cpu 2" if out else None
    )
    for decidable, forged, allowed, journaled, out in product(BOTH, repeat=5)
]


@pytest.mark.parametrize(
    ("change", "observed", "step"),
    [
        (ChangeState("Verifying"), ObservedState(decidable=False, forged="x"), Step.WAIT),
        (ChangeState("Verifying"), ObservedState(forged="the plan is not the one of spec.planDigest"), Step.END_FORGED),
        (ChangeState("Applied"), ObservedState(), Step.SETTLE),
        (ChangeState("Applied"), ObservedState(allowed=False), Step.SETTLE_AND_ORPHAN),
        (ChangeState("Verifying"), ObservedState(allowed=False), Step.ORPHAN),
        (ChangeState("Verifying", restoring=True), ObservedState(allowed=False), Step.ORPHAN),
        (ChangeState("Verifying"), ObservedState(journaled=False), Step.ORPHAN),
        (ChangeState("Verifying", restoring=True), ObservedState(out_of_bounds="cpu 2"), Step.ORPHAN),
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


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_is_written_has_a_reason_a_trusted_plan_and_a_policy_that_allows_it(change: ChangeState) -> None:
    asked = change.restoring or change.decision == Decision.REJECT
    for observed in STATES:
        trusted = observed.decidable and observed.forged is None and observed.journaled and observed.allowed
        may = trusted and observed.out_of_bounds is None and change.phase == ChangePhase.VERIFYING
        decision = in_flight(change, observed)
        assert (decision.step in WRITES) == (may and asked)
        assert decision.resume == (may and change.orphaned)
        assert (decision.step is Step.VERIFY) == (trusted and change.phase == ChangePhase.VERIFYING and not asked)


@pytest.mark.parametrize("target", TargetState)
@pytest.mark.parametrize("changed", BOTH)
def test_a_kept_change_is_released_only_by_what_is_known(target: TargetState, changed: bool) -> None:
    for observed in STATES:
        trusted = observed.forged is None and observed.journaled
        holds = trusted and not changed and target is TargetState.AS_WRITTEN
        known = observed.decidable and target is not TargetState.UNKNOWN
        expected = Step.WAIT if not known else Step.VERIFY if holds else Step.RELEASE
        assert after_verdict(observed, target, changed=changed).step is expected


def test_the_state_of_a_target_is_read_from_its_fields_and_its_identity() -> None:
    plan, raw = planned(), template()
    written, other = apply(raw, plan.patch), template(resources={"requests": {"cpu": "3"}})
    made_anew = {**written, "metadata": {**written["metadata"], "uid": "u-2"}}
    for present, state in (
        (None, TargetState.GONE),
        (made_anew, TargetState.REPLACED),
        (written, TargetState.AS_WRITTEN),
        (raw, TargetState.AS_BEFORE),
        (other, TargetState.CHANGED),
    ):
        assert target_state(present, plan.target.uid, plan.patch, plan.inverse) is state
    assert target_state(written, None, plan.patch, plan.inverse) is TargetState.REPLACED
    assert target_state(written, plan.target.uid, None, None) is TargetState.CHANGED


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
    assert phase not in IN_FLIGHT or unread.reason == "WorkflowProfile etl cannot be read: spec.graph: ..."
    assert unread.step is (expected if phase in IN_FLIGHT else Step.WAIT), "what is proposed may still be made"
