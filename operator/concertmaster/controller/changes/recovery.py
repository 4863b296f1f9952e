"""Changes whose objects were deleted while they were in progress: rolled back from the journal.

A deletion is not concluded from a list alone, nor is a profile's: each is read again, because what is forgotten here is
never rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from concertmaster.controller.changes.context import scope_of
from concertmaster.controller.changes.cycle import CycleContext
from concertmaster.controller.changes.policy_reader import PolicyReader
from concertmaster.controller.changes.rollback import NOT_TAKEN, write_back
from concertmaster.controller.changes.writing.journal import BegunChanges
from concertmaster.controller.changes.writing.tally import RollbackReason
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.phases.transition import ChangeEvent
from concertmaster.core.changes.reconcile import FINISHED, TargetState
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.policy import Bounds
from concertmaster.kube.apply import PatchOutcome
from concertmaster.kube.errors import NotFound
from concertmaster.kube.events import MAX_NOTE
from concertmaster.kube.objects import PROFILES

Workflow = tuple[str, str]  # namespace and name of its profile


class Recovery:
    """Compares the journal with the changes there are."""

    def __init__(self, writer: ChangeWriter, reads: Callable[[str], bool]) -> None:
        """``reads``: whether the changes of a namespace are among those listed, and this process's to look after."""
        self._writer = writer
        self._reads = reads
        self._unreadable: frozenset[str] = frozenset()  # changes, by uid, whose entries cannot be read

    def recover(
        self,
        begun: BegunChanges,
        listed: Sequence[WorkflowChangeView],
        cycle: CycleContext,
        guarded: Callable[[str], AbstractContextManager[None]],
    ) -> frozenset[Workflow]:
        """Roll back deleted changes and forget finished ones. Returns the workflows with a deleted change still to be
        rolled back: nothing may be changed on top of it."""
        present = {c.uid: c for c in listed}
        known = {(p.entry.namespace, p.entry.name): p for p in cycle.given.profiles}
        pending: set[Workflow] = set()
        with guarded("the journal"):
            self._report_unreadable(begun.unreadable, present)
        for uid, body in begun.entries.items():
            if uid in present:
                if present[uid].phase in FINISHED:
                    self._writer.noted(partial(self._writer.journal.drop, uid))
                continue
            change = WorkflowChangeView(body)
            if not self._reads(change.namespace):
                continue
            workflow = (change.namespace, change.profile)
            pending.add(workflow)
            with guarded(f"{change.ref}, deleted during its verification"):
                if self._recovered(body, known.get(workflow), cycle):
                    pending.discard(workflow)
        return frozenset(pending)

    def missing(
        self, journaled: Mapping[str, Mapping[str, Any]], listed: Iterable[WorkflowChangeView]
    ) -> frozenset[Workflow]:
        """The workflows of changes in progress that are not among those listed: one may have been deleted since the early
        stage of the cycle."""
        present = {c.uid for c in listed}
        gone = [WorkflowChangeView(body) for uid, body in journaled.items() if uid not in present]
        return frozenset((c.namespace, c.profile) for c in gone)

    def _report_unreadable(self, unreadable: frozenset[str], present: Mapping[str, WorkflowChangeView]) -> None:
        """Say once which entries cannot be read: nothing is written for their changes, and those that are there report it
        themselves, as any that the journal does not hold."""
        unreadable -= {uid for uid, change in present.items() if not self._reads(change.namespace)}
        for uid in sorted(unreadable - self._unreadable):
            name = present[uid].ref if uid in present else f"a WorkflowChange that was deleted (uid {uid})"
            text = f"the journal's entry of {name} cannot be read: what it changed is left as it is"
            self._writer.problems.append(text)
        for uid in [u for u in unreadable if u in present and present[u].phase in FINISHED]:
            self._writer.noted(partial(self._writer.journal.drop, uid))
        self._unreadable = unreadable
        self._writer.tally.unreadable = len(unreadable)

    def _recovered(self, body: Mapping[str, Any], profile: ResolvedProfile | None, cycle: CycleContext) -> bool:
        """Whether one change is done; otherwise the next cycle continues."""
        change = WorkflowChangeView(body)
        if self._writer.fresh(change) is not None or not self._known(change, profile, cycle.policies):
            return False
        policy = profile.policy if profile is not None else None
        ref = profile.parse().spec.workflow_ref if profile is not None and policy is not None else None
        of = scope_of(ref, change.namespace, cycle.given.snapshot.targets) if ref is not None else None
        if change.undecidable(of):
            return False
        noted = self._writer.noted(lambda: self._writer.journal.note_deleted(body, cycle.now))
        if (wrong := change.forged(of)) is not None:
            text = f"it was deleted during its verification, and the journal cannot roll it back: {wrong}"
            self._writer.problems.append(f"{change.ref}: {text}")
            self._writer.report(change, ChangeEvent("ChangeConflict", text))
        else:
            allows = policy is not None and policy.apply.allows_changes
            bounds = policy.apply.bounds if policy is not None and allows else None
            definition = profile.resolved.definition if profile is not None else None
            if not self._rolled_back(change, bounds, definition, cycle):
                return False
        # Without the note, the next cycle makes it up: until then its rule would not know that it must ask.
        return noted and self._writer.noted(lambda: self._writer.journal.drop(change.uid))

    def _known(self, change: WorkflowChangeView, profile: ResolvedProfile | None, policies: PolicyReader) -> bool:
        """Whether the policy that the cycle follows for the change's profile is in force, or that profile is gone."""
        if profile is not None:
            return policies.unchanged(profile)
        try:
            self._writer.client.get(PROFILES.path(change.namespace, change.profile))
        except NotFound:
            return True
        return False  # not seen by the watch yet

    def _rolled_back(
        self,
        change: WorkflowChangeView,
        bounds: Bounds | None,
        definition: WorkflowDefinition | None,
        cycle: CycleContext,
    ) -> bool:
        """Roll back the values that are still in place; False when it must be retried. ``bounds`` of the policy in force,
        None where none allows changes; ``definition``: the workflow's as it is now."""
        raw = self._writer.target.read(change)
        if raw is None or self._writer.target.state(change, raw) is not TargetState.AS_WRITTEN:
            return not self._writer.target.may_still_be_stored(change, raw)
        obstacle = "no policy allows changes now" if bounds is None else change.out_of_bounds(bounds)
        if obstacle is not None:
            text = f"it was deleted during its verification and is left as it is, because {obstacle}"
            self._writer.problems.append(f"{change.ref}: {text}. To roll the change back: {change.rollback_command()}")
            note = f"{text}. To roll it back: {change.rollback_command()}"
            if len(f"{change.name}: {note}".encode()) > MAX_NOTE:  # half a command is none
                note = f"{text}. The operator's log has the command that rolls it back"
            self._writer.report(change, ChangeEvent("ChangeOrphaned", note))
            return True
        result = write_back(self._writer, cycle, change, raw, definition)
        if result.outcome not in (PatchOutcome.DONE, PatchOutcome.GONE):
            note = f"{change.ref} was deleted and is not rolled back yet: {result.message}"
            (self._writer.tally.wait if result.outcome in NOT_TAKEN else self._writer.problems.append)(note)
            return False
        self._writer.tally.restored[RollbackReason.DELETED] += 1
        text = "it was deleted during its verification, so the change was rolled back"
        self._writer.report(change, ChangeEvent("ChangeRolledBack", text))
        return True
