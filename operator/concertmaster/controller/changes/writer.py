"""All writes of changes: the WorkflowChange, its journal and its target, and the Events about it.

``apply`` writes changes with it, ``rollback`` rolls them back. Whatever can be the
last act of a process is written down before it is done (history, then the WorkflowChange), and what an interrupted write
became is read from the object itself: it holds the plan's new values, or the old ones, or somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.controller.changes.journal import Journal
from concertmaster.controller.changes.status import says, with_conditions
from concertmaster.controller.changes.tally import Tally
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.json_patch import Operation
from concertmaster.core.changes.operations import version_test
from concertmaster.core.changes.plan import Plan
from concertmaster.history import HistoryError
from concertmaster.kube.apply import PatchOutcome, WriteResult, patch_object
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError, NotFound, Stopped
from concertmaster.kube.events import EventType, Note
from concertmaster.kube.objects import ObjectRef, target_resource

C = ConditionType


class WriteState(Enum):
    """What a target holds of a plan."""

    NEW = "the plan's values"
    OLD = "the values from before"
    OTHER = "somebody else's"


class ChangeWriter:
    """Reads targets, writes changes, and collects what is to be told."""

    def __init__(self, client: KubeClient, journal: Journal) -> None:
        self.client = client
        self.journal = journal
        self.notes: list[
            tuple[WorkflowChangeView, EventType, str, str]
        ] = []  # (change, severity, reason, text) for Events
        self.problems: list[str] = []
        self.tally = Tally()

    def begin(self) -> Tally:
        """The counts of a new cycle."""
        self.tally = Tally()
        return self.tally

    def drain_problems(self) -> list[str]:
        """What went wrong since the last call."""
        problems, self.problems = self.problems, []
        return problems

    # --- the target

    def target(self, change_or_plan: WorkflowChangeView | Plan) -> dict[str, Any] | None:
        """The target as the API server has it now; None when it is gone. Raises KubeError."""
        ref = self.target_ref(change_or_plan)
        if ref is None:
            return None
        try:
            raw = self.client.get(ref.path)
        except NotFound:
            return None
        raw.setdefault("apiVersion", ref.resource.api_version)
        raw.setdefault("kind", ref.resource.kind)
        return raw

    @staticmethod
    def target_ref(found: WorkflowChangeView | Plan) -> ObjectRef | None:
        """The object a change or plan is for; None for a kind that is not known."""
        target = found.target
        resource = target_resource(target.api_version, target.kind) if target is not None else None
        if target is None or resource is None:
            return None
        return ObjectRef(resource, target.namespace if resource.namespaced else None, target.name, target.uid)

    @staticmethod
    def stands(change: WorkflowChangeView, raw: Mapping[str, Any]) -> WriteState:
        """What ``raw``, the present object of the target's name, holds of the change's plan."""
        target = change.target
        if target is not None and str((raw.get("metadata") or {}).get("uid") or "") == target.uid:
            for which, found in (("inverse", WriteState.NEW), ("patch", WriteState.OLD)):
                operations = change.operations(which)
                if operations and jsonpatch.fits(raw, operations):
                    return found
        return WriteState.OTHER

    def take_back(self, ref: ObjectRef, raw: Mapping[str, Any], inverse: Sequence[Operation]) -> WriteResult:
        """Write the inverse on the version of the target that was looked at, tried first."""
        operations = [version_test(str(raw["metadata"]["resourceVersion"])), *inverse]
        tried = patch_object(self.client, ref, operations, dry_run=True)
        return patch_object(self.client, ref, operations) if tried.outcome is PatchOutcome.TRIED else tried

    # --- the WorkflowChange

    def write(
        self, change: WorkflowChangeView, status: Mapping[str, Any], findings: list[ConditionUpdate], now: float
    ) -> WorkflowChangeView | None:
        """Replace the status; None (and a problem) when the server does not take it."""
        generation = (change.raw.get("metadata") or {}).get("generation")
        document = with_conditions(status, findings, generation, now)
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": change.uid},
            {"op": "add", "path": "/status", "value": document},
        ]
        try:
            return WorkflowChangeView(self.client.patch(f"{change.ref.path}/status", operations, kind="json"))
        except Stopped:
            raise
        except NotFound:
            return None  # deleted: the journal knows what to do
        except KubeError as error:
            self.problems.append(f"{change.ref}: its status cannot be written: {error}")
            return None

    def conflict(self, change: WorkflowChangeView, text: str, now: float) -> WorkflowChangeView | None:
        """Somebody else was faster: nothing more is written."""
        kind = C.APPLIED if change.applied is None else C.RESTORED
        found = self.write(
            change, {**change.status, "phase": "Conflict"}, [says(kind, False, Reason.CONFLICT, text)], now
        )
        if found is not None:
            self.tally.conflicts += 1
            self.note(found, EventType.WARNING, "ChangeConflict", f"{change.name}: {text}")
            self.noted(lambda: self.journal.drop(change.uid))
        return found

    def end(
        self, change: WorkflowChangeView, phase: str, finding: ConditionUpdate, now: float
    ) -> WorkflowChangeView | None:
        """End a change that was not written."""
        if phase != "Failed":  # a forged object must not make the operator forget the plan it imitates
            self.noted(lambda: self.journal.forget_made(change.digest))
        found = self.write(change, {**change.status, "phase": phase}, [finding], now)
        if found is not None:
            self.tally.failed += phase == "Failed"
            self.tally.conflicts += phase == "Conflict"
        return found

    def orphan(self, change: WorkflowChangeView, reason: Reason, text: str, now: float) -> WorkflowChangeView | None:
        """Say that nothing more is written, and how to undo; once."""
        message = f"{text}; nothing more is written. To take the change back: {change.undo()}"
        if change.is_(C.ORPHANED) and change.condition(C.ORPHANED).get("reason") == reason.value:
            return change
        found = self.write(change, change.status, [says(C.ORPHANED, True, reason, message)], now)
        if found is not None:
            self.note(found, EventType.WARNING, "ChangeOrphaned", f"{change.name}: {text}")
        return found

    def hold(self, change: WorkflowChangeView, gates: list[str], text: str, now: float) -> WorkflowChangeView | None:
        """Say which gates hold a decided change back; again only when others do."""
        message = f"waits for {', '.join(gates)}: {text}"
        before = str(change.condition(C.APPLIED).get("message") or "").partition(":")[0]
        if before == message.partition(":")[0]:
            return change
        return self.write(change, change.status, [says(C.APPLIED, False, Reason.GATE_CLOSED, message)], now)

    # --- the journal, where the work must go on without it

    def noted(self, work: Callable[[], None]) -> bool:
        """Write the journal where that is not what the next step rests on: a full or read-only disk is a problem to
        tell, and must not keep harm from being taken back. Whether it was written."""
        try:
            work()
        except HistoryError as error:
            self.problems.append(f"the journal cannot be written: {error}")
            return False
        return True

    # --- Events

    def note(self, change: WorkflowChangeView, severity: EventType, reason: str, text: str) -> None:
        """Remember something to tell in an Event."""
        self.notes.append((change, severity, reason, text))

    def events(self, profiles: Mapping[tuple[str, str], ObjectRef]) -> list[Note]:
        """The Events about profiles, by namespace and name; the list is empty afterwards."""
        found = [
            Note(profiles[c.namespace, c.profile], severity, reason, text, action="Change")
            for c, severity, reason, text in self.notes
            if (c.namespace, c.profile) in profiles
        ]
        self.notes.clear()
        return found
