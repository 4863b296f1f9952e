"""Applies what the core decides about changes: the only place that writes WorkflowChanges and their journal.

Every write is recorded first, in the history and then in the WorkflowChange, because the process may end after any of
them. The outcome of an interrupted write is read from the object: it has the new values of the plan, the old ones, or
somebody else's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.changes.writing.journal import Journal, WriteKey
from concertmaster.controller.changes.writing.status import with_conditions
from concertmaster.controller.changes.writing.tally import Tally
from concertmaster.controller.changes.writing.target import TargetClient
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.phases.transition import MAX_PAUSE, ChangeEvent, JournalAction, Transition, closing
from concertmaster.core.changes.phases.written import fingerprinted
from concertmaster.core.changes.plan import Plan
from concertmaster.history import HistoryError
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError, NotFound, Rejected
from concertmaster.kube.events import EventType, Note
from concertmaster.kube.objects import ObjectRef

log = logging.getLogger("concertmaster.changes")


class ChangeWriter:
    """Carries transitions out, and collects what is reported. ``target`` reads and patches the objects changes are for."""

    def __init__(self, client: KubeClient, journal: Journal, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.client = client
        self.target = TargetClient(client, clock)
        self.journal = journal
        self.problems: list[str] = []
        self.tally = Tally()
        self._events: list[tuple[WorkflowChangeView, ChangeEvent]] = []

    def begin(self) -> None:
        """Begin the counts of a new cycle."""
        self.tally = Tally()

    def drain_problems(self) -> list[str]:
        """The problems since the last call."""
        problems, self.problems = self.problems, []
        return problems

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
                "target": str(self.target.ref(change) or ""),
                "phase": step.phase.value,
                "because": [c.message for c in step.conditions],
            }
            log.info("change", extra={"fields": fields})
        if step.event is not None:
            self.report(after, step.event)
        if step.journal in (JournalAction.DROP, JournalAction.KEEP):
            self.noted(lambda: self.journal.drop(change.uid))
        return after

    def fingerprinted(self, change: WorkflowChangeView, fingerprint: str | None, now: float) -> WorkflowChangeView:
        """The change with the ``fingerprint`` of the changed definition (None: unknown), where none of this edition is
        recorded."""
        if change.fingerprint is not None or fingerprint is None:
            return change
        return self.carry_out(change, fingerprinted(change.status, fingerprint), now) or change

    def _write(self, change: WorkflowChangeView, status: Mapping[str, Any]) -> WorkflowChangeView | None:
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": change.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": change.version},
            *([{"op": "test", "path": "/status/phase", "value": change.phase}] if change.phase else []),
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            return WorkflowChangeView(self.client.patch(f"{change.ref.path}/status", operations, kind="json"))
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

    def why_refused(self, change: WorkflowChangeView, now: float) -> str:
        """Why the last one was refused; empty where that is not known. Raises HistoryError."""
        return self.journal.why_refused(_key(change), now)

    def note_refused(self, change: WorkflowChangeView, now: float, first: float, most: float, why: str) -> None:
        """Begin the pause after a write that the server did not take, for the reason ``why``."""
        self.noted(partial(self.journal.note_refused, _key(change), now, first, most, why))

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
