"""Changes that were written: settled, proven, taken back, or left alone because somebody else took over."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.api.conditions import ConditionType, Reason
from concertmaster.controller.changes.apply import Apply
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.replan import lowers_memory
from concertmaster.controller.changes.rollback import Rollback
from concertmaster.controller.changes.status import says
from concertmaster.controller.changes.writer import ChangeWriter
from concertmaster.controller.interfaces import History
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.before_after import Sides
from concertmaster.core.changes.before_after import split_runs as split_runs_at
from concertmaster.core.changes.reconcile import FINISHED, Step, TargetState, World, before_verification, in_flight
from concertmaster.core.changes.verification import SOONEST, scheduled, verify
from concertmaster.core.lifecycle.states import step_of
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.enums import ChangePhase

C = ConditionType
_MOST_RUNS = 400  # of one workflow for one proof


class Verifier:
    """Looks after changes in flight."""

    def __init__(self, writer: ChangeWriter, apply: Apply, rollback: Rollback, history: History) -> None:
        self._writer = writer
        self._apply = apply
        self._rollback = rollback
        self._history = history

    def follow(self, context: WorkflowContext, change: WorkflowChangeView, allowed: bool) -> WorkflowChangeView | None:
        """Carry out the next step of one change in flight."""
        scope = context.scope
        decidable = not change.undecidable(scope)
        world = World(decidable, change.forged(scope) if decidable else None, allowed, context.why_not)
        decision = in_flight(change.state, world)
        if decision.resume:
            text = "a policy allows changes again; the proof goes on"
            change = (
                self._writer.write(change, change.status, [says(C.ORPHANED, False, Reason.ACTIVE, text)], context.now)
                or change
            )
        match decision.step:
            case Step.DISTRUST:
                return self._rollback.forged(change, decision.reason, context.now)
            case Step.SETTLE:
                return self._apply.settle(change, context.now)
            case Step.SETTLE_AND_ORPHAN:
                settled = self._apply.settle(change, context.now)
                written = settled is not None and settled.phase == ChangePhase.VERIFYING
                return self._orphan(context, settled, decision.reason) if settled is not None and written else settled
            case Step.ORPHAN:
                return self._orphan(context, change, decision.reason)
            case Step.CONTINUE_ROLL_BACK | Step.ROLL_BACK:
                return self._rollback.restore(change, None, context.now, decision.reason)
            case Step.VERIFY:
                return self._verify(context, change)
        return None  # the next cycle reads again

    def _orphan(self, context: WorkflowContext, change: WorkflowChangeView, why: str) -> WorkflowChangeView | None:
        return self._writer.orphan(change, Reason.POLICY_GONE, why, context.now)

    @staticmethod
    def _target_state(context: WorkflowContext, change: WorkflowChangeView) -> TargetState:
        raw, target = context.listed(change.task), change.target
        if raw is None:
            return TargetState.GONE if context.certainly_gone(change.task) else TargetState.UNKNOWN
        if target is None or str(raw["metadata"].get("uid")) != target.uid:
            return TargetState.REPLACED
        unfit = [{"op": "none", "path": "/"}]
        held = jsonpatch.fits(raw, change.operations("inverse") or unfit)
        return TargetState.AS_WRITTEN if held else TargetState.CHANGED

    def _verify(self, context: WorkflowContext, change: WorkflowChangeView) -> WorkflowChangeView | None:
        decision = before_verification(self._target_state(context, change), change.undo())
        if decision.step is Step.CONFLICT:
            return self._writer.conflict(change, decision.reason, context.now)
        target, definition = change.target, context.definition
        if decision.step is not Step.VERIFY or target is None:
            return None
        applied = change.applied
        if definition is None or applied is None:
            return None
        if change.fingerprint is None and definition.fingerprint is not None:
            marked = self.marked(change, definition.fingerprint)
            change = self._writer.write(marked, marked.status, [], context.now) or change
        settings = scheduled(context.policy.apply.verify, definition, context.now)
        touched = self._touched(context, change, definition)
        window = context.policy.analysis.window_seconds + settings.max_age_seconds
        found = self.split_runs(context, applied + 1.0, window, change)
        proof = verify(
            change.aim,
            found,
            settings,
            age=float("inf") if touched else context.now - applied,
            steps=_changed(change, definition),
            lowers_memory=lowers_memory(target.kind, change.operations("patch") or ()),
            pricing=context.policy.pricing,
            common=context.control_group.common(context.subject, found, applied)
            if len(found.after) >= SOONEST
            else None,
        )
        if touched:
            proof = replace(
                proof, reason=f"the workflow was changed otherwise meanwhile, which ends the proof: {proof.reason}"
            )
        return self._rollback.proved(change, proof, context.now)

    def split_runs(
        self, context: WorkflowContext, applied: float, window: float, change: WorkflowChangeView | None = None
    ) -> Sides:
        """Runs before and after ``applied``, the moment of ``change`` or (None) of one that is only thought of."""
        definition = context.definition
        if definition is None:
            return Sides((), ())
        until = context.data_until or context.now
        runs = self._history.runs(definition, limit=_MOST_RUNS, since=applied - window, as_of=until)
        control_group = [
            c for c in context.changes if c.applied is not None and (change is None or c.uid != change.uid)
        ]
        stayed = [
            c.applied for c in control_group if c.phase in FINISHED and c.restored is None and c.applied is not None
        ]
        stayed = [t for t in stayed if t < applied]
        undone = [(c.applied, c.restored) for c in control_group if c.applied is not None and c.restored is not None]
        return split_runs_at(runs, applied=applied, since=max(stayed, default=None), now=until, without=undone)

    @staticmethod
    def marked(change: WorkflowChangeView, fingerprint: str) -> WorkflowChangeView:
        plan_ = dict(change.status.get("plan") or {})
        plan_["target"] = {**(plan_.get("target") or {}), "fingerprint": fingerprint}
        return WorkflowChangeView({**change.raw, "status": {**change.status, "plan": plan_}})

    @staticmethod
    def _touched(context: WorkflowContext, change: WorkflowChangeView, definition: WorkflowDefinition) -> bool:
        """Whether the definition was changed since, by anybody but another change of ours. One that cannot be read whole
        just now tells nothing."""
        if None in (change.fingerprint, definition.fingerprint) or change.fingerprint == definition.fingerprint:
            return False
        since = change.applied or 0.0
        control_group = [t for c in context.changes if c.uid != change.uid for t in (c.applied, c.restored) if t]
        return not any(t >= since for t in control_group)


def _changed(change: WorkflowChangeView, definition: WorkflowDefinition) -> tuple[str, ...]:
    """The step it is about, and those that share its containers' fields (a template or Task run twice); none for a change
    of the whole workflow."""
    steps = definition.graph.steps
    step = definition.graph.step(step_of(change.recommendation, [s.name for s in steps]) or "")
    if step is None:
        return ()
    fields = {c.place for c in step.containers} - {None}
    return tuple(s.name for s in steps if s is step or any(c.place in fields for c in s.containers))
