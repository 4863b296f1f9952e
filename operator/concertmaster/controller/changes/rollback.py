"""How a change that stands ends: kept by its proof, taken back, or made good after its object was deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.controller.changes.status import says, with_conditions, with_proof
from concertmaster.controller.changes.tally import RollbackReason
from concertmaster.controller.changes.writer import ChangeWriter, WriteState
from concertmaster.controller.workflow_change import Scope, WorkflowChangeView
from concertmaster.core.changes.verification import Proof
from concertmaster.core.model.enums import Verdict
from concertmaster.kube.apply import PatchOutcome
from concertmaster.kube.events import EventType

C = ConditionType
_INTENT = "about to be taken back: "
_REASONS = {
    Verdict.IMPROVED: Reason.IMPROVED,
    Verdict.SAME: Reason.SAME,
    Verdict.WORSE: Reason.WORSE,
    Verdict.INCONCLUSIVE: Reason.INCONCLUSIVE,
}


class Rollback:
    """Writes verdicts and takes changes back, saying so first."""

    def __init__(self, writer: ChangeWriter) -> None:
        self._writer = writer

    def proved(self, change: WorkflowChangeView, proof: Proof, now: float) -> WorkflowChangeView | None:
        """Write where the proof stands; a verdict that lets the change stand ends it."""
        measure = str((change.status.get("predicted") or {}).get("measure") or "Duration")
        status = with_proof(change.status, proof, measure)
        if proof.verdict is None:
            same = {k: v for k, v in status.items() if k != "measured"}
            if same == {k: v for k, v in change.status.items() if k != "measured"}:
                return change  # no new run: what was measured moves only by rounding
            finding = says(C.VERIFIED, None, Reason.IN_PROGRESS, proof.reason)
            return self._writer.write(change, status, [finding], now)
        if proof.restore:
            return self.restore(WorkflowChangeView({**change.raw, "status": status}), proof, now)
        findings = [_judged(proof), says(C.RESTORED, False, Reason.KEPT, "the change stays")]
        found = self._writer.write(change, {**status, "phase": "Completed"}, findings, now)
        if found is not None:
            self._judged(change, proof.verdict, now)
            self._writer.note(found, EventType.NORMAL, "ChangeKept", f"{change.name}: {proof.reason}")
            self._writer.noted(lambda: self._writer.journal.drop(change.uid))
        return found

    def restore(
        self, change: WorkflowChangeView, proof: Proof | None, now: float, why: str = ""
    ) -> WorkflowChangeView | None:
        """Take a change back, saying so first. ``proof`` or ``why`` is the ground; neither: go on with one begun."""
        begun: WorkflowChangeView | None = change
        if proof is not None or why:
            reason = proof.reason if proof is not None else why
            intent = says(C.RESTORED, None, Reason.IN_PROGRESS, f"{_INTENT}{reason}")
            findings = [intent] if proof is None else [_judged(proof), intent]
            body = {**change.raw, "status": with_conditions(change.status, findings, None, now)}
            self._writer.noted(lambda: self._writer.journal.put(body, now))
            begun = self._writer.write(change, change.status, findings, now)
            if begun is not None and proof is not None and proof.verdict is not None:
                self._judged(change, proof.verdict, now)
        if begun is None:
            return None
        return self._take_back(begun, now)

    def forged(self, change: WorkflowChangeView, wrong: str, now: float) -> WorkflowChangeView | None:
        """End a change in flight whose status is not what was proposed. Nothing is written on its word."""
        text = f"{wrong}; the target is left as it is. {self._undo_of(change)}"
        return self._writer.conflict(change, text, now)

    def _undo_of(self, change: WorkflowChangeView) -> str:
        """How a person takes it back: from the journal, where that still has the plan that was proposed. What stands
        there was for the profile's workflow when it was written, whatever that is now."""
        bodies: dict[str, dict[str, Any]] = {}
        self._writer.noted(lambda: bodies.update(self._writer.journal.in_flight()))
        kept = WorkflowChangeView(bodies.get(change.uid) or {})
        if kept.digest != change.digest or kept.forged() is not None:
            return "What it was before is in the object's own history"
        return f"To take the change back, as the journal has it: {kept.undo()}"

    def recover(self, body: Mapping[str, Any], *, of: Scope | None, allowed: bool, now: float) -> None:
        """Make good for a change whose object was deleted while it was in flight. ``of``: what it may be for."""
        change = WorkflowChangeView(body)
        if change.undecidable(of):
            return  # the next cycle looks again
        noted = self._writer.noted(lambda: self._writer.journal.note_deleted(body, now))
        if (wrong := change.forged(of)) is not None:
            text = f"{change.name} was deleted while it was being proven, and the journal cannot take it back: {wrong}"
            self._writer.problems.append(f"{change.ref}: {text}")
            self._writer.note(change, EventType.WARNING, "ChangeConflict", text)
        elif not self._recovered(change, allowed):
            return
        if noted:  # or the next cycle notes it
            self._writer.noted(lambda: self._writer.journal.drop(change.uid))

    def _recovered(self, change: WorkflowChangeView, allowed: bool) -> bool:
        """Take back what still stands; False when that must be tried again."""
        raw, ref = self._writer.target(change), self._writer.target_ref(change)
        if raw is None or ref is None or self._writer.stands(change, raw) is not WriteState.NEW:
            return True
        if not allowed:
            text = f"{change.ref} was deleted and its policy is gone; to undo it: {change.undo()}"
            self._writer.problems.append(text)
            return True
        result = self._writer.take_back(ref, raw, change.operations("inverse") or [])
        if result.outcome not in (PatchOutcome.DONE, PatchOutcome.GONE):
            text = f"{change.ref} was deleted and is not taken back yet: {result.message}"
            self._writer.problems.append(text)
            return False
        self._writer.tally.restored[RollbackReason.DELETED] += 1
        text = f"{change.name} was deleted while it was being proven, so the change was taken back"
        self._writer.note(change, EventType.WARNING, "ChangeTakenBack", text)
        return True

    def _judged(self, change: WorkflowChangeView, verdict: Verdict, now: float) -> None:
        self._writer.tally.verdict(verdict, None if change.applied is None else now - change.applied)

    def _take_back(self, change: WorkflowChangeView, now: float) -> WorkflowChangeView | None:
        raw, ref = self._writer.target(change), self._writer.target_ref(change)
        target = change.target
        if raw is None or ref is None or target is None or str(raw["metadata"].get("uid") or "") != target.uid:
            text = "the target was deleted or made anew; there is nothing to take back"
            return self._writer.conflict(change, text, now)
        found = self._writer.stands(change, raw)
        if found is WriteState.OLD:
            return self._restored(change, "the old values were back already", now)
        if found is WriteState.OTHER:
            text = (
                f"somebody else changed the target since; it is left as it is. To take the change back: {change.undo()}"
            )
            return self._writer.conflict(change, text, now)
        result = self._writer.take_back(ref, raw, change.operations("inverse") or [])
        if result.outcome is PatchOutcome.DONE:
            return self._restored(change, f"taken back: {_ground(change)}", now)
        if result.outcome is PatchOutcome.GONE:
            return self._writer.conflict(change, "the target was deleted; there is nothing to take back", now)
        self._writer.problems.append(f"{change.ref} is not taken back yet: {result.message}")
        return change

    def _restored(self, change: WorkflowChangeView, text: str, now: float) -> WorkflowChangeView | None:
        status = {**change.status, "phase": "Completed", "restored": True}
        found = self._writer.write(change, status, [says(C.RESTORED, True, Reason.TAKEN_BACK, text)], now)
        if found is not None:
            self._writer.tally.restored[
                RollbackReason.PROOF if change.verdict is not None else RollbackReason.REJECTED
            ] += 1
            self._writer.note(found, EventType.WARNING, "ChangeTakenBack", f"{change.name}: {text}")
            self._writer.noted(lambda: self._writer.journal.drop(change.uid))
        return found


def _judged(proof: Proof) -> ConditionUpdate:
    verdict = proof.verdict or Verdict.INCONCLUSIVE
    state = {Verdict.IMPROVED: True, Verdict.INCONCLUSIVE: None}.get(verdict, False)
    return says(C.VERIFIED, state, _REASONS[verdict], proof.reason)


def _ground(change: WorkflowChangeView) -> str:
    return str(change.condition(C.RESTORED).get("message") or "").removeprefix(_INTENT)
