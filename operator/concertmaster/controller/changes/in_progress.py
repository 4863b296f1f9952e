"""Changes in progress: settled, verified, rolled back, or left alone because somebody else took over."""

from __future__ import annotations

from contextlib import suppress

from concertmaster.api.conditions import Reason
from concertmaster.controller.changes.apply import Apply
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.rollback import Rollback
from concertmaster.controller.changes.verification.compared_change import ComparedChange
from concertmaster.controller.changes.verification.verifier import Verifier, never_read
from concertmaster.controller.changes.writing.status import verification_fields
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.phases import written
from concertmaster.core.changes.phases.proposed import superseded
from concertmaster.core.changes.phases.transition import conflict, resumed
from concertmaster.core.changes.reconcile import (
    ObservedState,
    Step,
    TargetState,
    before_verification,
    in_flight,
    without_profile,
)
from concertmaster.core.changes.verification.verify import Verification
from concertmaster.core.model.enums import ChangePhase
from concertmaster.kube.errors import Forbidden


class InProgress:
    """Takes the next step of each change that is written and has no verdict."""

    def __init__(self, writer: ChangeWriter, apply: Apply, rollback: Rollback, verifier: Verifier) -> None:
        self._writer = writer
        self._apply = apply
        self._rollback = rollback
        self._verifier = verifier
        self.waiting: set[str] = set()  # changes, by uid, whose runs' inputs are requested later in this cycle
        self._unknown: set[str] = set()  # changes, by uid, that were orphaned because the journal does not hold them

    def advance(
        self, context: WorkflowContext, change: WorkflowChangeView, *, early: bool = False
    ) -> WorkflowChangeView | None:
        """Apply the next step of one change in progress. ``early``: before the queries of users, which say what the newest
        runs were given."""
        self.waiting.discard(change.uid)
        scope, now = context.scope, context.now
        decidable = not change.undecidable(scope)
        observed = ObservedState(
            decidable,
            change.forged(scope) if decidable else None,
            context.policy.apply.allows_changes,
            context.why_not,
            self._writer.journaled(change),
            change.out_of_bounds(context.policy.apply.bounds),
        )
        decision = in_flight(change.state, observed)
        if observed.journaled:
            self._unknown.discard(change.uid)
        if decision.resume:
            change = self._writer.carry_out(change, resumed(), now) or change
        match decision.step:
            case Step.END_FORGED:
                return self._rollback.end_forged(change, decision.reason, now)
            case Step.SETTLE:
                return self._apply.settle(change, now)
            case Step.SETTLE_AND_ORPHAN:
                return self.orphan(change, Reason.POLICY_GONE, decision.reason, now)
            case Step.ORPHAN:
                if decision.because is Reason.NOT_IN_JOURNAL and self._of_another_operator(change):
                    return None
                state = context.target_state(change, self._writer.target)
                return self.orphan(change, decision.because, decision.reason, now, state)
            case Step.CONTINUE_ROLL_BACK:
                return self._rollback.restore(context, change, None)
            case Step.ROLL_BACK:
                return self._rollback.restore(context, change, written.rolling_back(decision.reason))
            case Step.VERIFY:
                return self._verify(context, change, observed.out_of_bounds, early)
        return None  # the next cycle reads again

    def _of_another_operator(self, change: WorkflowChangeView) -> bool:
        """Whether a change that the journal does not hold was resumed since this process orphaned it. Both would go on
        contradicting each other in its status."""
        if change.state.orphaned or change.uid not in self._unknown:
            self._unknown.add(change.uid)
            return False
        self._writer.problems.append(
            f"{change.ref} is managed by another operator, whose journal holds it: give each release namespaces of its own,"
            " or uninstall one"
        )
        return True

    def without_profile(self, change: WorkflowChangeView, invalid: str | None, now: float) -> WorkflowChangeView | None:
        """Leave a change that is not finished as it is, as its profile does not exist, or (``invalid``: why) cannot be
        read."""
        decision = without_profile(change.phase, change.profile, invalid)
        if decision.step is Step.WAIT:
            return change
        if decision.step is Step.WITHDRAW:
            return self._writer.carry_out(change, superseded(decision.reason, decision.because), now)
        if (wrong := change.forged()) is not None:
            return self._rollback.end_forged(change, wrong, now)
        state = TargetState.UNKNOWN
        if change.phase == ChangePhase.VERIFYING:
            with suppress(Forbidden):  # where the right to read went as well, it is an orphan all the same
                state = self._writer.target.state(change, self._writer.target.read(change))
        return self.orphan(change, decision.because, decision.reason, now, state)

    def orphan(
        self,
        change: WorkflowChangeView,
        because: Reason,
        why: str,
        now: float,
        state: TargetState = TargetState.UNKNOWN,
    ) -> WorkflowChangeView | None:
        """Leave a change as it is; one whose write was begun only where it was written. Where somebody undid or overwrote
        it, by the ``state`` of its target, it has ended."""
        found = before_verification(state)
        if found.step is Step.CONFLICT:
            return self._overwritten(change, found.reason, now)
        if change.phase == ChangePhase.APPLIED:
            settled = self._apply.settle(change, now)
            if settled is None or settled.phase != ChangePhase.VERIFYING:
                return settled
            change = settled
        return self._writer.carry_out(change, change.orphaned(because, why), now)

    def _verify(
        self, context: WorkflowContext, change: WorkflowChangeView, obstacle: str | None, early: bool
    ) -> WorkflowChangeView | None:
        decision = before_verification(context.target_state(change, self._writer.target))
        if decision.step is Step.CONFLICT:
            return self._overwritten(change, decision.reason, context.now)
        definition, applied = context.definition, change.applied
        if decision.step is not Step.VERIFY or applied is None:
            return None
        if definition is None:
            unread = never_read(context, applied)
            return self._conclude(context, change, unread, obstacle) if unread is not None else None
        if not context.read_since(applied):
            return None
        change = self._writer.fingerprinted(change, definition.fingerprint, context.now)
        compared = ComparedChange(context, change, definition, applied)
        if self._verifier.nothing_new(compared):
            return None
        result = self._verifier.verify(compared, early=early)
        if result is None:
            self.waiting.add(change.uid)
            return None
        after = self._conclude(context, change, result, obstacle)
        if after is None:  # its status does not say so yet
            self._verifier.forget(change)
        return after

    def _conclude(
        self, context: WorkflowContext, change: WorkflowChangeView, result: Verification, obstacle: str | None
    ) -> WorkflowChangeView | None:
        """Record a result, and what follows from it; ``obstacle``: why the change must not be rolled back."""
        fields = verification_fields(result, str((change.status.get("predicted") or {}).get("measure") or "Duration"))
        if result.restore and obstacle is not None:
            orphan = change.orphaned(Reason.OUT_OF_BOUNDS, f"{result.reason}; {obstacle}")
            return self._writer.carry_out(change, written.judged_and_left(orphan, result, fields), context.now)
        if result.restore:
            return self._rollback.restore(context, change, written.rolling_back(result.reason, result, fields))
        if result.verdict is not None:  # the list may be of an earlier cycle, before somebody's edit
            present = before_verification(self._writer.target.state(change, self._writer.target.read(change)))
            if present.step is Step.CONFLICT:
                return self._overwritten(change, present.reason, context.now)
        return self._writer.carry_out(change, written.verified(result, fields, change.status), context.now)

    def _overwritten(self, change: WorkflowChangeView, why: str, now: float) -> WorkflowChangeView | None:
        """End a change whose target somebody else has changed since."""
        return self._writer.carry_out(change, conflict(why, applied=change.applied is not None), now)
