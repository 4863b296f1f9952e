"""The stage of the cycle that changes things: plan, check, propose, apply, verify, roll back, prune.

Nothing happens here, not even a request, unless a policy in mode Approve or Auto governs a profile or a change is there
already. Each cycle derives the state of a change from its object, its target and the runs alone, so that a restarted
process continues where the last one stopped.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from concertmaster.api.conditions import Reason
from concertmaster.controller.changes.apply import Apply
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.control_group import ControlGroup
from concertmaster.controller.changes.cycle import Candidate, ClusterReach, CycleContext, CycleInput
from concertmaster.controller.changes.in_progress import InProgress
from concertmaster.controller.changes.kept_changes import KeptChanges
from concertmaster.controller.changes.listed_changes import ListedChanges
from concertmaster.controller.changes.proposals import Proposals
from concertmaster.controller.changes.pruning import delete_outdated, prune
from concertmaster.controller.changes.recovery import Recovery, Workflow
from concertmaster.controller.changes.rollback import Rollback
from concertmaster.controller.changes.verification.compared_runs import ComparedRuns
from concertmaster.controller.changes.verification.kept_start_times import KeptStartTimes
from concertmaster.controller.changes.verification.verifier import RevisionOf, Verifier
from concertmaster.controller.changes.writing.tally import Tally
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.phases.proposed import superseded
from concertmaster.core.changes.reconcile import FINISHED, IN_FLIGHT
from concertmaster.core.model.policy import PolicyRef
from concertmaster.history import HistoryError
from concertmaster.kube.discover import scan
from concertmaster.kube.errors import KubeError
from concertmaster.kube.events import EventRecorder
from concertmaster.kube.objects import CHANGES

log = logging.getLogger("concertmaster.changes")

CandidatesOf = Callable[[str], Sequence[Candidate] | None]
"""Recommendations that can be applied, by the profile's uid; None while this process has not analyzed it."""


@dataclass(slots=True)
class ChangesOutcome:
    """What the stage did in one cycle."""

    in_flight: Counter[PolicyRef] = field(default_factory=Counter)
    tally: Tally | None = None  # None: it could not read
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """A fault of one workflow becomes a problem and does not stop the others."""
        try:
            yield
        except (KubeError, HistoryError) as error:
            self.problems.append(f"{what}: {error}")
        except Exception as error:
            log.exception("%s failed in an unexpected way", what)
            self.problems.append(f"{what} failed ({type(error).__name__}); the operator's log has the details")


@dataclass(slots=True)
class _Call:
    """One call of the stage, and its results."""

    context: CycleContext
    early: bool = False  # only for changes in progress
    advanced: Mapping[str, str] | None = None  # versions by uid as the early call left them; None: it could not read
    unrecovered: frozenset[Workflow] = frozenset()  # of changes deleted in progress
    outcome: ChangesOutcome = field(default_factory=ChangesOutcome)


class Changes:
    """The stage. Calling it runs one cycle's worth; it raises Stopped only."""

    def __init__(
        self,
        reach: ClusterReach,
        writer: ChangeWriter,
        apply: Apply,
        history: HistoryProvider,
        events: EventRecorder,
        candidates: CandidatesOf,
        revision: RevisionOf = lambda _: None,
    ) -> None:
        self._reach = reach
        self._writer = writer
        self._history = history
        rollback, runs, times = Rollback(writer), ComparedRuns(history), KeptStartTimes(writer)
        self._in_progress = InProgress(writer, apply, rollback, Verifier(runs, times, revision))
        self._kept = KeptChanges(writer, runs, rollback, times)
        self._proposals = Proposals(reach.client, writer, apply, runs)
        self._recovery = Recovery(writer, reach.reads)
        self._events = events
        self._candidates = candidates
        self._advanced: dict[str, str] | None = None  # by the early call of this cycle: see ``_Call.advanced``

    def advance(self, given: CycleInput) -> list[str]:
        """Early in a cycle: what is in progress alone, so that neither an analysis nor a user's query delays a rollback.
        Returns the problems."""
        self._advanced = None
        return self._run(_Call(CycleContext.of(given, self._reach), early=True)).problems

    def __call__(self, given: CycleInput) -> ChangesOutcome:
        """Process every change and every policy that allows changes. What ``advance`` left in progress is skipped unless
        somebody wrote it since."""
        call = _Call(CycleContext.of(given, self._reach), advanced=self._advanced)
        self._advanced = None
        return self._run(call)

    def _run(self, call: _Call) -> ChangesOutcome:
        with call.outcome.guarded("the changes"):
            self._reconcile(call)
        call.outcome.problems += self._writer.drain_problems()
        return call.outcome

    def _reconcile(self, call: _Call) -> None:
        given = call.context.given
        try:
            begun = self._writer.journal.in_flight()
        except HistoryError as error:
            call.outcome.problems.append(f"nothing is changed while the journal cannot be read: {error}")
            return
        proposing = not call.early and any(map(_may_change, given.profiles))
        if not proposing and not given.snapshot.objects.changes and not begun.entries:
            call.outcome.tally = Tally()
            return
        listed = self._list(call.outcome)
        if listed is None:
            return
        if call.early:
            self._advanced = {}
        if call.advanced is None:
            self._writer.begin()
            call.unrecovered = self._recovery.recover(begun, listed, call.context, call.outcome.guarded)
        else:
            call.unrecovered = self._recovery.missing(begun.entries, listed)
        call.outcome.tally = self._writer.tally
        if not call.early:
            with call.outcome.guarded("the changes that were kept"):
                self._kept.begin(listed, self._reach.reads)
        unread = [p for p in given.profiles if p.policy is None]
        invalid = {(p.entry.namespace, p.entry.name): p.resolved.finding.message for p in unread}
        for orphans in self._reconcile_workflows(call, listed):
            self._writer.tally.count_in_progress(orphans)
            for change in orphans:
                with call.outcome.guarded(str(change.ref)):
                    self._without_profile(change, invalid.get((change.namespace, change.profile)), given.now)
        refs = {(p.entry.namespace, p.entry.name): p.entry.ref for p in given.profiles}
        for note in self._writer.events(refs):
            self._events.post(note)

    def _reconcile_workflows(
        self, call: _Call, listed: Sequence[WorkflowChangeView]
    ) -> Iterable[list[WorkflowChangeView]]:
        """Each workflow with changes, or whose policy allows some. Returns those without a profile to read, if not early."""
        given, all_changes = call.context.given, ListedChanges(listed)
        by_profile: dict[tuple[str, str], list[WorkflowChangeView]] = {}
        for change in [c for c in listed if self._reach.owns(c.namespace)]:
            by_profile.setdefault((change.namespace, change.profile), []).append(change)
        control = ControlGroup(given.profiles, listed, self._history, given.reports, given.now, given.heartbeat)
        for profile in given.profiles:
            if profile.policy is None:
                continue
            mine = by_profile.pop((profile.entry.namespace, profile.entry.name), [])
            if not (any(c.phase in IN_FLIGHT for c in mine) if call.early else mine or _may_change(profile)):
                continue
            given.heartbeat("changes")
            collected = profile.entry.namespace not in control.unread
            context = WorkflowContext(
                call.context, profile, profile.policy, mine, all_changes, control.of(profile), collected
            )
            self._advance(context, call)
            if not call.early:
                with call.outcome.guarded(f"changes of {context.workflow} that were kept"):
                    if (profile.entry.namespace, profile.entry.name) not in call.unrecovered:
                        self._kept.note_replaced(context)
                    self._kept.check(context)
                with call.outcome.guarded(f"changes of {context.workflow}"):
                    self._reconcile_proposals(context, call.unrecovered)
            if (source := profile.policy.source) is not None:
                call.outcome.in_flight[source] += sum(c.phase in IN_FLIGHT for c in context.changes)
            if not call.early:
                self._writer.tally.count_in_progress(context.changes)
        return () if call.early else by_profile.values()

    # --- around the workflows

    def _list(self, outcome: ChangesOutcome) -> list[WorkflowChangeView] | None:
        """All WorkflowChange objects; None when they cannot be read, because nothing is decided on a partial list."""
        changes: list[WorkflowChangeView] = []

        def visit(obj: dict[str, Any]) -> None:
            if not (obj.get("metadata") or {}).get("deletionTimestamp"):
                changes.append(WorkflowChangeView(obj))

        seen = scan(self._reach.client, CHANGES, self._reach.namespaces, visit)
        if not seen.complete:
            outcome.problems.append(f"nothing is changed: {seen.problems[0].message}")
            return None
        return changes

    def _without_profile(self, change: WorkflowChangeView, invalid: str | None, now: float) -> None:
        """A change whose profile does not exist, or (``invalid``: why) cannot be read."""
        if change.phase not in FINISHED:
            self._in_progress.without_profile(change, invalid, now)
        elif invalid is None:
            delete_outdated(self._writer, change, now)

    # --- one workflow

    def _advance(self, context: WorkflowContext, call: _Call) -> None:
        """One step of each change in progress, except those that are as the early call left them. A fault of one must not
        delay the rollback of another."""
        known = call.advanced or {}
        for change in [c for c in context.changes if c.phase in IN_FLIGHT and known.get(c.uid) != c.version]:
            with call.outcome.guarded(str(change.ref)):
                after = self._in_progress.advance(context, change, early=call.early)
                context.put(after)
                if self._advanced is not None and change.uid not in self._in_progress.waiting:
                    self._advanced[change.uid] = (after or change).version

    def _reconcile_proposals(self, context: WorkflowContext, unrecovered: frozenset[Workflow]) -> None:
        proposed = [c for c in context.changes if c.phase not in IN_FLIGHT | FINISHED]
        if not context.policy.apply.allows_changes:
            step = superseded(f"{context.why_not}: the plan is withdrawn", Reason.POLICY_GONE)
            for change in proposed:
                context.put(self._writer.carry_out(change, step, context.now))
        else:
            entry = context.profile.entry
            candidates = self._candidates(entry.uid)
            waits = (entry.namespace, entry.name) in unrecovered or entry.uid in context.snapshot.held
            if candidates is not None and context.listed() is not None and not waits:
                self._proposals.reconcile(context, proposed, candidates)
        prune(self._writer, context)


def _may_change(profile: ResolvedProfile) -> bool:
    return profile.policy is not None and profile.policy.apply.allows_changes
