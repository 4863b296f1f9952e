"""Applies what the core decides about changes: the only place that writes them, their journal and their targets.

Every write is recorded first, in the history and then in the WorkflowChange, because the process may end after any of
them. The outcome of an interrupted write is read from the object: it has the new values of the plan, the old ones, or
somebody else's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.changes.journal import Journal, WriteKey
from concertmaster.controller.changes.status import with_conditions
from concertmaster.controller.changes.tally import Tally
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.json_patch import Operation
from concertmaster.core.changes.operations import version_test
from concertmaster.core.changes.phases.transition import MAX_PAUSE, ChangeEvent, JournalAction, Transition, closing
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.reconcile import TargetState, target_state
from concertmaster.core.text import duration
from concertmaster.core.units import MINUTE
from concertmaster.history import HistoryError
from concertmaster.kube.apply import PatchOutcome, WriteResult, patch_object
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError, NotFound, Rejected, Stopped
from concertmaster.kube.events import EventType, Note
from concertmaster.kube.objects import ObjectRef, target_resource

log = logging.getLogger("concertmaster.changes")

LANDING = 90.0
"""Seconds after which a write without an answer is not stored any more: the API server gives a request 60 seconds (its
``--request-timeout``); the rest is for the way to it."""


class ChangeWriter:
    """Reads targets, carries transitions out, and collects what is reported."""

    def __init__(self, client: KubeClient, journal: Journal, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.client = client
        self.journal = journal
        self.problems: list[str] = []
        self.tally = Tally()
        self._events: list[tuple[WorkflowChangeView, ChangeEvent]] = []
        self._clock = clock
        self._unanswered: dict[str, float] = {}  # by uid of the change: when the target was first seen as before

    def begin(self) -> None:
        """Begin the counts of a new cycle."""
        self.tally = Tally()

    def drain_problems(self) -> list[str]:
        """The problems since the last call."""
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
    def target_ref(change_or_plan: WorkflowChangeView | Plan) -> ObjectRef | None:
        """The object a change or plan is for; None for a kind that is not known."""
        target = change_or_plan.target
        resource = target_resource(target.api_version, target.kind) if target is not None else None
        if target is None or resource is None:
            return None
        return ObjectRef(resource, target.namespace if resource.namespaced else None, target.name, target.uid)

    @staticmethod
    def target_state(change: WorkflowChangeView, raw: Mapping[str, Any] | None) -> TargetState:
        """What ``raw``, the present object of the target's name, holds of the change's plan."""
        target = change.target
        uid = target.uid if target is not None else None
        return target_state(raw, uid, change.operations("patch"), change.operations("inverse"))

    def patch(self, change_or_plan: WorkflowChangeView | Plan, operations: Sequence[Operation]) -> WriteResult:
        """Write a target. Raises Stopped only."""
        ref = self.target_ref(change_or_plan)
        return WriteResult(PatchOutcome.GONE) if ref is None else patch_object(self.client, ref, operations)

    def try_patch(self, change_or_plan: WorkflowChangeView | Plan, operations: Sequence[Operation]) -> WriteResult:
        """The API server's answer to ``patch`` as a dry run."""
        ref = self.target_ref(change_or_plan)
        return (
            WriteResult(PatchOutcome.GONE) if ref is None else patch_object(self.client, ref, operations, dry_run=True)
        )

    def may_land(self, change: WorkflowChangeView, raw: Mapping[str, Any] | None) -> bool:
        """Whether a write of the plan that was begun and never answered, perhaps by an earlier process, may still be stored
        in ``raw``, the target as it is before it. The write tests the target's version, so that it fails on another one."""
        target, version = change.target, ((raw or {}).get("metadata") or {}).get("resourceVersion")
        as_before = self.target_state(change, raw) is TargetState.AS_BEFORE
        if as_before and target is not None and target.resource_version == version:
            since = self._unanswered.setdefault(change.uid, self._clock())
            if self._clock() - since < LANDING:
                return True
        self._unanswered.pop(change.uid, None)
        return False

    @staticmethod
    def may_be_undone(change: WorkflowChangeView, raw: Mapping[str, Any] | None) -> bool:
        """Whether a write that was begun and never answered may have been stored and overwritten since: that makes two
        generations of ``raw``, an edit that kept it from being stored makes one."""
        before = ((change.status.get("plan") or {}).get("target") or {}).get("generation")
        present = ((raw or {}).get("metadata") or {}).get("generation")
        return isinstance(before, int) and isinstance(present, int) and present >= before + 2

    def write_inverse(
        self,
        change: WorkflowChangeView,
        raw: Mapping[str, Any],
        now: float,
        may_write: Callable[[], bool] = lambda: True,
    ) -> WriteResult:
        """Roll the target back from the version ``raw`` that was judged, tried first. ``may_write`` is asked when nothing
        but the write itself is left. After a refusal it is not tried for a while."""
        if self.paused(change, now):
            text = f"the API server refused it; it is tried again at least every {duration(MAX_PAUSE)}"
            return WriteResult(PatchOutcome.UNCERTAIN, text)
        result = self._inverse(change, raw, may_write)
        if result.outcome in (PatchOutcome.FORBIDDEN, PatchOutcome.REFUSED):
            self.note_refused(change, now, MINUTE, MAX_PAUSE)
        elif result.outcome is PatchOutcome.DONE:
            self.forget_refused(change, now)
        return result

    def _inverse(
        self, change: WorkflowChangeView, raw: Mapping[str, Any], may_write: Callable[[], bool]
    ) -> WriteResult:
        operations = [version_test(str(raw["metadata"]["resourceVersion"])), *(change.operations("inverse") or [])]
        tried = self.try_patch(change, operations)
        if tried.outcome is not PatchOutcome.TRIED:
            return tried
        if not may_write():
            return WriteResult(PatchOutcome.CHANGED, "the policy in force was changed meanwhile")
        return self.patch(change, operations)

    # --- the WorkflowChange

    def as_read(self, change: WorkflowChangeView) -> bool:
        """Whether the API server has the change as the cycle read it: decision, phase and plan. Raises KubeError."""
        fresh = self.fresh(change)
        if fresh is None or (fresh.spec, fresh.phase) != (change.spec, change.phase):
            return False
        return bool(fresh.status.get("plan") == change.status.get("plan"))

    def fresh(self, change: WorkflowChangeView) -> WorkflowChangeView | None:
        """The change as the API server has it now; None when it was deleted or recreated. One that is being deleted will
        not come back, however long a finalizer keeps it."""
        try:
            fresh = WorkflowChangeView(self.client.get(change.ref.path))
        except NotFound:
            return None
        return None if fresh.uid != change.uid or fresh.raw["metadata"].get("deletionTimestamp") else fresh

    def carry_out(self, change: WorkflowChangeView, step: Transition, now: float) -> WorkflowChangeView | None:
        """Apply ``step`` to the change, with the journal around it. None (and a problem) when the server does not accept
        it; HistoryError when what must be stored first cannot be."""
        if step == Transition(None):
            return change
        generation = (change.raw.get("metadata") or {}).get("generation")
        phase = {"phase": step.phase.value} if step.phase is not None else {}
        waiting = change.condition(ConditionType.APPROVED).get("status") == "Unknown"
        conditions = closing(step, waiting=waiting, orphaned=change.state.orphaned)
        status = with_conditions({**change.status, **step.fields, **phase}, conditions, generation, now)
        if status == change.status and (step.journal, step.event) == (JournalAction.NONE, None):
            return change
        keep = partial(self.journal.put, {**change.raw, "status": status}, now)
        match step.journal:
            case JournalAction.MUST_PUT_FIRST:
                keep()
            case JournalAction.PUT_FIRST:
                self.noted(keep)
            case JournalAction.KEEP:
                self.noted(partial(self.journal.keep, change.raw, now))
            case JournalAction.FORGET_PROPOSAL:
                self.noted(lambda: self.journal.forget_proposed(change.digest))
        after = self._write(change, status)
        if after is None:
            begun = step.journal is JournalAction.MUST_PUT_FIRST
            if begun and self.as_read(change):  # else another process carries it out
                self.noted(lambda: self.journal.drop(change.uid))
            return None
        self.tally.record(change, after, now)
        if step.phase is not None and step.phase != change.phase:
            fields = {
                "change": f"{change.namespace}/{change.name}",
                "recommendation": change.recommendation,
                "target": str(self.target_ref(change) or ""),
                "phase": step.phase.value,
                "because": [c.message for c in step.conditions],
            }
            log.info("change", extra={"fields": fields})
        if step.event is not None:
            self.report(after, step.event)
        if step.journal in (JournalAction.DROP, JournalAction.KEEP):
            self.noted(lambda: self.journal.drop(change.uid))
        return after

    def _write(self, change: WorkflowChangeView, status: Mapping[str, Any]) -> WorkflowChangeView | None:
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": change.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": change.version},
            *([{"op": "test", "path": "/status/phase", "value": change.phase}] if change.phase else []),
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            return WorkflowChangeView(self.client.patch(f"{change.ref.path}/status", operations, kind="json"))
        except Stopped:
            raise
        except NotFound:
            return None  # deleted: it is recovered from the journal
        except Rejected as error:
            fresh = self.fresh(change)
            # Written by somebody else since: read anew in the next cycle.
            if fresh is not None and fresh.version == change.version:
                self.problems.append(f"{change.ref}: its status cannot be written: {error}")
            return None
        except KubeError as error:
            self.problems.append(f"{change.ref}: its status cannot be written: {error}")
            return None

    def delete(self, change: WorkflowChangeView) -> bool:
        """Delete a finished change. False where the journal still has it, which would take it for one that was deleted in
        progress, and roll it back. Raises KubeError."""
        if not self.noted(partial(self.journal.drop, change.uid)):
            return False
        with suppress(NotFound):
            self.client.delete(change.ref.path, uid=change.uid)
        return True

    # --- the journal, where the work must continue without it

    def journaled(self, change: WorkflowChangeView) -> bool:
        """Whether the journal holds this very change: without it the status alone is not trusted for a rollback."""
        return self.journal.holds(change.uid, change.digest)

    def noted(self, work: Callable[[], None]) -> bool:
        """Write the journal where that is not what the next step rests on: a full or read-only disk is a problem to
        report, and must not keep harm from being rolled back. Whether it was written."""
        try:
            work()
        except HistoryError as error:
            self.problems.append(f"the journal cannot be written: {error}")
            return False
        return True

    # --- writes that the API server does not take

    def paused(self, plan: Plan | WorkflowChangeView, now: float, most: float = MAX_PAUSE) -> bool:
        """Whether no write of the recommendation is tried again yet (see ``Journal.paused``). Raises HistoryError."""
        return self.journal.paused(_key(plan), now, most)

    def note_refused(self, change: WorkflowChangeView, now: float, first: float, most: float) -> None:
        """Begin the pause after a write that the server did not take."""
        self.noted(partial(self.journal.note_refused, _key(change), now, first, most))

    def forget_refused(self, change: WorkflowChangeView, now: float) -> None:
        """The server took it: a later refusal is a first one."""
        self.noted(partial(self.journal.forget_refused, _key(change), now))

    # --- Events

    def report(self, change: WorkflowChangeView, event: ChangeEvent) -> None:
        """Remember an Event to post."""
        self._events.append((change, event))

    def events(self, profiles: Mapping[tuple[str, str], ObjectRef]) -> list[Note]:
        """The Events about profiles, by namespace and name; the list is empty afterwards."""
        notes = []
        for change, event in self._events:
            ref = profiles.get((change.namespace, change.profile))
            if ref is not None:
                severity = EventType.WARNING if event.warning else EventType.NORMAL
                notes.append(Note(ref, severity, event.reason, f"{change.name}: {event.text}", action="Change"))
        self._events.clear()
        return notes


def _key(plan: Plan | WorkflowChangeView) -> WriteKey:
    return plan.namespace, plan.profile, plan.recommendation
