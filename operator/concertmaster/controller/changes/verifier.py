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
from concertmaster.controller.workflow_change import FINISHED, Change
from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.before_after import Sides
from concertmaster.core.changes.before_after import split_runs as split_runs_at
from concertmaster.core.changes.verification import SOONEST, scheduled, verify
from concertmaster.core.lifecycle.states import step_of
from concertmaster.core.model import WorkflowDefinition

C = ConditionType
_MOST_RUNS = 400  # of one workflow for one proof


class Verifier:
    """Looks after changes in flight."""

    def __init__(self, hand: ChangeWriter, steps: Apply, ends: Rollback, history: History) -> None:
        self._hand = hand
        self._steps = steps
        self._ends = ends
        self._history = history

    def follow(self, desk: WorkflowContext, change: Change, allowed: bool) -> Change | None:
        """One change in flight. Nothing of its plan is used before its plan was looked at."""
        scope = desk.scope
        if change.undecidable(scope):
            return None  # the next cycle looks again
        if (wrong := change.forged(scope)) is not None:
            return self._ends.forged(change, wrong, desk.now)
        if change.phase == "Applied":
            if allowed:
                return self._steps.settle(change, desk.now)
            found = self._steps.settle(change, desk.now)
            return found if found is None or found.phase != "Verifying" else self._orphan(desk, found)
        if not allowed:
            return self._orphan(desk, change)
        if change.is_(C.ORPHANED):
            text = "a policy allows changes again; the proof goes on"
            found = self._hand.write(change, change.status, [says(C.ORPHANED, False, Reason.ACTIVE, text)], desk.now)
            change = found or change
        if change.condition(C.RESTORED).get("status") == "Unknown":
            return self._ends.restore(change, None, desk.now)
        if change.decision == "Reject":
            who = change.spec.get("decidedBy") or "somebody"
            return self._ends.restore(change, None, desk.now, f"rejected by {who}")
        return self._verify(desk, change)

    def _orphan(self, desk: WorkflowContext, change: Change) -> Change | None:
        why = "; ".join(desk.policy.notes) or "the policy in force only recommends"
        return self._hand.orphan(change, Reason.POLICY_GONE, why, desk.now)

    def _verify(self, desk: WorkflowContext, change: Change) -> Change | None:
        raw = desk.listed(change.task)
        if raw is None:
            if desk.certainly_gone(change.task):
                return self._hand.conflict(change, "the target was deleted", desk.now)
            return None
        target, definition = change.target, desk.definition
        if target is None or str(raw["metadata"].get("uid")) != target.uid:
            return self._hand.conflict(change, "the target was deleted and made anew", desk.now)
        if not jsonpatch.fits(raw, change.operations("inverse") or [{"op": "none", "path": "/"}]):
            text = (
                f"somebody else changed what this change had set; it is left as it is. Its undoing was: {change.undo()}"
            )
            return self._hand.conflict(change, text, desk.now)
        applied = change.applied
        if definition is None or applied is None:
            return None
        if change.fingerprint is None and definition.fingerprint is not None:
            marked = self.marked(change, definition.fingerprint)
            change = self._hand.write(marked, marked.status, [], desk.now) or change
        settings = scheduled(desk.policy.apply.verify, definition, desk.now)
        touched = self._touched(desk, change, definition)
        window = desk.policy.analysis.window_seconds + settings.max_age_seconds
        found = self.split_runs(desk, applied + 1.0, window, change)
        proof = verify(
            change.aim,
            found,
            settings,
            age=float("inf") if touched else desk.now - applied,
            steps=_changed(change, definition),
            lowers_memory=lowers_memory(target.kind, change.operations("patch") or ()),
            pricing=desk.policy.pricing,
            common=desk.others.common(desk.subject, found, applied) if len(found.after) >= SOONEST else None,
        )
        if touched:
            proof = replace(
                proof, reason=f"the workflow was changed otherwise meanwhile, which ends the proof: {proof.reason}"
            )
        return self._ends.proved(change, proof, desk.now)

    def split_runs(self, desk: WorkflowContext, applied: float, window: float, change: Change | None = None) -> Sides:
        """Runs before and after ``applied``, the moment of ``change`` or (None) of one that is only thought of."""
        definition = desk.definition
        if definition is None:
            return Sides((), ())
        until = desk.data_until or desk.now
        runs = self._history.runs(definition, limit=_MOST_RUNS, since=applied - window, as_of=until)
        others = [c for c in desk.changes if c.applied is not None and (change is None or c.uid != change.uid)]
        stayed = [c.applied for c in others if c.phase in FINISHED and c.restored is None and c.applied is not None]
        stayed = [t for t in stayed if t < applied]
        undone = [(c.applied, c.restored) for c in others if c.applied is not None and c.restored is not None]
        return split_runs_at(runs, applied=applied, since=max(stayed, default=None), now=until, without=undone)

    @staticmethod
    def marked(change: Change, fingerprint: str) -> Change:
        plan_ = dict(change.status.get("plan") or {})
        plan_["target"] = {**(plan_.get("target") or {}), "fingerprint": fingerprint}
        return Change({**change.raw, "status": {**change.status, "plan": plan_}})

    @staticmethod
    def _touched(desk: WorkflowContext, change: Change, definition: WorkflowDefinition) -> bool:
        """Whether the definition was changed since, by anybody but another change of ours. One that cannot be read whole
        just now tells nothing."""
        if None in (change.fingerprint, definition.fingerprint) or change.fingerprint == definition.fingerprint:
            return False
        since = change.applied or 0.0
        others = [t for c in desk.changes if c.uid != change.uid for t in (c.applied, c.restored) if t]
        return not any(t >= since for t in others)


def _changed(change: Change, definition: WorkflowDefinition) -> tuple[str, ...]:
    """The step it is about, and those that share its containers' fields (a template or Task run twice); none for a change
    of the whole workflow."""
    steps = definition.graph.steps
    step = definition.graph.step(step_of(change.recommendation, [s.name for s in steps]) or "")
    if step is None:
        return ()
    fields = {c.place for c in step.containers} - {None}
    return tuple(s.name for s in steps if s is step or any(c.place in fields for c in s.containers))
