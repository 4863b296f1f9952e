"""The steps forward of one change: proposed, written, found again after an interruption, waiting for runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.controller.changes.replan import written
from concertmaster.controller.changes.status import new_object, object_name, plan_status, says, with_conditions
from concertmaster.controller.changes.writer import ChangeWriter, WriteState
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.checks_cluster import owners
from concertmaster.core.changes.plan import Plan
from concertmaster.kube.apply import PatchOutcome, WriteResult, patch_object
from concertmaster.kube.client import FIELD_MANAGER
from concertmaster.kube.errors import Conflict, KubeError, Stopped
from concertmaster.kube.events import EventType
from concertmaster.kube.objects import CHANGES
from concertmaster.report.recommendation_log import clip

C = ConditionType
_REPEATABLE = frozenset({"Conflict", "Superseded", "Failed"})
_ATTEMPTS = 9
_MINUTE = 60.0


def _question(change: WorkflowChangeView, plan: Plan, caution: str | None) -> ConditionUpdate:
    """What a person is asked."""
    text = f"{plan.says()}; {caution}" if caution else plan.says()
    how = f"; to approve it: kubectl concertmaster approve -n {change.namespace} {change.name}"
    return says(C.APPROVED, None, Reason.WAITING, f"{clip(text, conditions.MAX_MESSAGE - len(how))}{how}")


class Apply:
    """Proposes and applies. ``per_minute`` is the most writes of users' objects per namespace and minute."""

    def __init__(self, writer: ChangeWriter, *, per_minute: int = 6) -> None:
        self._writer = writer
        self._per_minute = per_minute
        self._writes: dict[str, deque[float]] = {}

    def writes_left(self, namespace: str, now: float) -> int:
        """How many objects of the namespace may still be written in this minute."""
        seen = self._writes.setdefault(namespace, deque())
        while seen and now - seen[0] >= _MINUTE:
            seen.popleft()
        return self._per_minute - len(seen)

    def propose(
        self, plan: Plan, known: Iterable[WorkflowChangeView], now: float, caution: str | None = None
    ) -> WorkflowChangeView | None:
        """Create the object of a plan; ``caution`` says what a person should know who decides. None when the same plan
        was finished before, or the server does not take it."""
        taken = {c.name: c for c in known}
        attempt = 1
        while (name := object_name(plan, attempt)) in taken:
            if taken[name].phase not in _REPEATABLE or attempt >= _ATTEMPTS:
                return None
            attempt += 1
        self._writer.journal.note_made(plan.digest, now)
        try:
            raw = self._writer.client.create(CHANGES.path(plan.namespace), new_object(plan, name))
        except Stopped:
            raise
        except Conflict:
            return None  # made since the list was read: the next cycle sees it
        except KubeError as error:
            self._writer.problems.append(f"WorkflowChange {plan.namespace}/{name} cannot be created: {error}")
            return None
        return self.adopt(WorkflowChangeView(raw), plan, now, caution)

    def adopt(
        self, change: WorkflowChangeView, plan: Plan, now: float, caution: str | None = None
    ) -> WorkflowChangeView | None:
        """Write the plan into the status of an object that has none yet."""
        status = {**plan_status(plan), "phase": "Proposed"}
        found = self._writer.write(change, status, [_question(change, plan, caution)], now)
        self._writer.tally.proposed += found is not None
        return found

    def ask_again(
        self, change: WorkflowChangeView, plan: Plan, now: float, caution: str | None
    ) -> WorkflowChangeView | None:
        """Tell whoever decides what has come to light since the proposal was made, unless that is told already."""
        question = _question(change, plan, caution)
        if change.condition(C.APPROVED).get("message") == question.message:
            return change
        return self._writer.write(change, change.status, [question], now)

    def apply(
        self, change: WorkflowChangeView, plan: Plan, raw: Mapping[str, Any], now: float
    ) -> WorkflowChangeView | None:
        """Write a plan that passed every gate, on the version of the target that was judged."""
        ref = self._writer.target_ref(plan)
        if ref is None:
            return None
        operations = plan.operations(str(raw["metadata"]["resourceVersion"]))
        tried = patch_object(self._writer.client, ref, operations, dry_run=True)
        if tried.outcome is not PatchOutcome.TRIED:
            return self._unwritten(change, tried, now)
        automatic = change.decision is None
        who = change.spec.get("decidedBy") or "somebody"
        approved = (
            says(C.APPROVED, True, Reason.AUTOMATIC, "the policy's mode is Auto")
            if automatic
            else says(C.APPROVED, True, Reason.APPROVED, f"approved by {who}")
        )
        intent = says(C.APPLIED, None, Reason.IN_PROGRESS, f"about to be written: {plan.says()}")
        status = {**change.status, "phase": "Applied"}
        self._writer.journal.put({**change.raw, "status": with_conditions(status, [approved, intent], None, now)}, now)
        begun = self._writer.write(change, status, [approved, intent], now)
        if begun is None:
            self._writer.noted(lambda: self._writer.journal.drop(change.uid))
            return None
        self._writes.setdefault(plan.namespace, deque()).append(now)
        wrote = patch_object(self._writer.client, ref, operations)
        if wrote.outcome is PatchOutcome.DONE:
            return self._verifying(begun, raw, now)
        if wrote.outcome is PatchOutcome.UNCERTAIN:
            return begun  # the next cycle looks what became of it
        return self.settle(begun, now, wrote)

    def settle(
        self, change: WorkflowChangeView, now: float, wrote: WriteResult | None = None
    ) -> WorkflowChangeView | None:
        """Find out what a write became that was begun: done, not done, or overtaken by somebody else."""
        raw = self._writer.target(change)
        if raw is None:
            return self._writer.conflict(change, "the target was deleted", now)
        found = self._writer.stands(change, raw)
        if found is WriteState.NEW:
            return self._verifying(change, raw, now)
        if found is WriteState.OTHER:
            return self._writer.conflict(change, "somebody else changed the target before it was written", now)
        if wrote is not None and wrote.outcome is not PatchOutcome.CHANGED:
            self._writer.noted(lambda: self._writer.journal.drop(change.uid))
            return self._unwritten(change, wrote, now)
        status = {**change.status, "phase": "Proposed"}
        text = "it was not written yet; every gate is asked again before it is"
        again = self._writer.write(change, status, [says(C.APPLIED, False, Reason.WAITING, text)], now)
        self._writer.noted(lambda: self._writer.journal.drop(change.uid))
        return again

    def _verifying(self, change: WorkflowChangeView, raw: Mapping[str, Any], now: float) -> WorkflowChangeView | None:
        """It stands: wait for runs. Who else owns the object ``raw`` may change it back, which is said."""
        rivals = owners(raw, list(written(change.operations("patch") or ())), FIELD_MANAGER)
        fight = f"; {' and '.join(rivals[:3])} may change it back" if rivals else ""
        status = {**change.status, "phase": "Verifying"}
        findings = [
            says(C.APPLIED, True, Reason.APPLIED, f"written{fight}; to take it back by hand: {change.undo()}"),
            says(C.VERIFIED, None, Reason.IN_PROGRESS, "runs after the change are being collected"),
        ]
        found = self._writer.write(change, status, findings, now)
        if found is not None:
            self._writer.noted(lambda: self._writer.journal.put(found.raw, now))  # it has the plan already
            self._writer.tally.applied += 1
            expected = (found.status.get("predicted") or {}).get("text") or "written"
            self._writer.note(found, EventType.NORMAL, "ChangeApplied", f"{found.name}: {expected}")
        return found

    def _unwritten(self, change: WorkflowChangeView, result: WriteResult, now: float) -> WorkflowChangeView | None:
        """The server did not take it: final when it never will."""
        if result.outcome is PatchOutcome.GONE:
            return self._writer.conflict(change, "the target was deleted", now)
        if result.outcome is PatchOutcome.REFUSED:
            return self._writer.end(change, "Failed", says(C.APPLIED, False, Reason.WRITE_FAILED, result.message), now)
        if result.outcome is PatchOutcome.FORBIDDEN:
            status = {**change.status, "phase": "Proposed"}
            return self._writer.write(change, status, [says(C.APPLIED, False, Reason.DENIED, result.message)], now)
        return change  # a moving target, or no answer: the next cycle tries again
