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
from functools import cache
from typing import Any

from concertmaster.api.conditions import Reason
from concertmaster.controller.changes.apply import Apply
from concertmaster.controller.changes.cluster_facts import FactReader
from concertmaster.controller.changes.context import WorkflowContext, by_target
from concertmaster.controller.changes.control_group import ControlGroup
from concertmaster.controller.changes.in_progress import InProgress
from concertmaster.controller.changes.kept_changes import KeptChanges
from concertmaster.controller.changes.policy_reader import PolicyReader
from concertmaster.controller.changes.proposals import Proposals
from concertmaster.controller.changes.pruning import delete_outdated, prune
from concertmaster.controller.changes.recovery import Recovery, Workflow
from concertmaster.controller.changes.rollback import Rollback
from concertmaster.controller.changes.verifier import Verifier
from concertmaster.controller.changes.writing.tally import Tally
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.discovery.subject import Subject
from concertmaster.controller.interfaces import Candidate, History, SourceReport
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.controller.workflow_change import WorkflowChangeView, ledger_entry
from concertmaster.core.changes.ledger import Ledger
from concertmaster.core.changes.phases.proposed import superseded
from concertmaster.core.changes.reconcile import FINISHED, IN_FLIGHT
from concertmaster.core.model.policy import PolicyRef
from concertmaster.history import HistoryError
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient
from concertmaster.kube.discover import scan
from concertmaster.kube.errors import KubeError, Stopped
from concertmaster.kube.events import EventRecorder
from concertmaster.kube.objects import CHANGES

log = logging.getLogger("concertmaster.changes")

CandidatesOf = Callable[[str], Sequence[Candidate] | None]
"""Recommendations that can be applied, by the profile's uid; None while this process has not analysed it."""


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
        except Stopped:
            raise
        except (KubeError, HistoryError) as error:
            self.problems.append(f"{what}: {error}")
        except Exception as error:
            log.exception("%s failed in an unexpected way", what)
            self.problems.append(f"{what} failed ({type(error).__name__}); the operator's log has the details")


@dataclass(slots=True)
class _Cycle:
    """One call of the stage: its input and its results."""

    snapshot: ClusterSnapshot
    subjects: Sequence[Subject]
    reports: Mapping[str, SourceReport]
    now: float
    heartbeat: Callable[[str], None]
    policies: PolicyReader
    early: bool = False  # only for changes in progress
    followed: Mapping[str, str] | None = None  # versions by uid as the early call left them; None: it could not read
    unrecovered: frozenset[Workflow] = frozenset()  # of changes deleted in progress
    outcome: ChangesOutcome = field(default_factory=ChangesOutcome)


class Changes:
    """The stage. Calling it runs one cycle's worth; it raises Stopped only."""

    def __init__(
        self,
        client: KubeClient,
        writer: ChangeWriter,
        apply: Apply,
        history: History,
        access: AccessChecker,
        events: EventRecorder,
        candidates: CandidatesOf,
        *,
        namespaces: Sequence[str] = (),
        owns: Callable[[str], bool] = lambda _: True,
        secure: bool | None = None,
    ) -> None:
        self._client = client
        self._writer = writer
        self._history = history
        rollback, verifier = Rollback(writer), Verifier(history, writer)
        self._in_progress = InProgress(writer, apply, rollback, verifier)
        self._kept = KeptChanges(writer, verifier, rollback)
        self._proposals = Proposals(client, writer, apply, verifier)
        self._recovery = Recovery(writer, self._reads)
        self._access = access
        self._events = events
        self._candidates = candidates
        self._namespaces = tuple(namespaces)
        self._owns = owns
        self._secure = secure
        self._left: dict[str, str] | None = None  # by the early call of this cycle: see ``_Cycle.followed``

    def follow(
        self, snapshot: ClusterSnapshot, subjects: Sequence[Subject], reports: Mapping[str, SourceReport], now: float,
        heartbeat: Callable[[str], None] = lambda _: None, *, behind: bool = False,
    ) -> list[str]:  # fmt: skip
        """Early in a cycle: what is in progress alone, so that neither an analysis nor a user's query delays a rollback.
        The arguments are those of ``__call__``. Returns the problems."""
        self._left = None
        policies = PolicyReader(self._client, self._access, snapshot, behind, self._namespaces)
        cycle = _Cycle(snapshot, subjects, reports, now, heartbeat, policies, early=True)
        with cycle.outcome.guarded("the changes"):
            self._reconcile(cycle)
        return cycle.outcome.problems + self._writer.drain_problems()

    def __call__(
        self, snapshot: ClusterSnapshot, subjects: Sequence[Subject], reports: Mapping[str, SourceReport], now: float,
        heartbeat: Callable[[str], None] = lambda _: None, *, behind: bool = False,
    ) -> ChangesOutcome:  # fmt: skip
        """Process every change and every policy that allows changes. ``reports`` by metrics source; ``behind``: the
        watches lag behind the cluster, so nothing new is written. What ``follow`` left in progress is skipped unless
        somebody wrote it since."""
        policies = PolicyReader(self._client, self._access, snapshot, behind, self._namespaces)
        cycle = _Cycle(snapshot, subjects, reports, now, heartbeat, policies, followed=self._left)
        self._left = None
        with cycle.outcome.guarded("the changes"):
            self._reconcile(cycle)
        cycle.outcome.problems += self._writer.drain_problems()
        return cycle.outcome

    def _reconcile(self, cycle: _Cycle) -> None:
        try:
            begun = self._writer.journal.in_flight()
        except HistoryError as error:
            cycle.outcome.problems.append(f"nothing is changed while the journal cannot be read: {error}")
            return
        proposing = not cycle.early and any(map(_may_change, cycle.subjects))
        if not proposing and not cycle.snapshot.snapshot.changes and not begun.entries:
            cycle.outcome.tally = Tally()
            return
        listed = self._list(cycle.outcome)
        if listed is None:
            return
        if cycle.early:
            self._left = {}
        if cycle.followed is None:
            self._writer.begin()
            cycle.unrecovered = self._recovery.recover(
                begun, listed, cycle.subjects, cycle.snapshot.targets, cycle.policies, cycle.now,
                cycle.outcome.guarded,
            )  # fmt: skip
        else:
            cycle.unrecovered = self._recovery.missing(begun.entries, listed)
        cycle.outcome.tally = self._writer.tally
        if not cycle.early:
            with cycle.outcome.guarded("the changes that were kept"):
                self._kept.begin(listed, self._reads)
        unread = [s for s in cycle.subjects if s.policy is None]
        invalid = {(s.entry.namespace, s.entry.name): s.resolved.finding.message for s in unread}
        for orphans in self._workflows(cycle, listed):
            self._writer.tally.count_in_progress(orphans)
            for change in orphans:
                with cycle.outcome.guarded(str(change.ref)):
                    self._without_profile(change, invalid.get((change.namespace, change.profile)), cycle.now)
        refs = {(s.entry.namespace, s.entry.name): s.entry.ref for s in cycle.subjects}
        for note in self._writer.events(refs):
            self._events.post(note)

    def _workflows(self, cycle: _Cycle, listed: Sequence[WorkflowChangeView]) -> Iterable[list[WorkflowChangeView]]:
        """Each workflow with changes, or whose policy allows some. Returns those without a profile to read, if not early."""
        by_profile: dict[tuple[str, str], list[WorkflowChangeView]] = {}
        for change in [c for c in listed if self._owns(c.namespace)]:
            by_profile.setdefault((change.namespace, change.profile), []).append(change)
        in_flight, places = {c.uid: c for c in listed if c.phase in IN_FLIGHT}, cache(lambda: by_target(listed))
        ledger = Ledger(line for c in listed if (line := ledger_entry(c)) is not None)
        facts = FactReader(self._client, self._access, self._secure, cycle.snapshot.namespaces)
        control = ControlGroup(cycle.subjects, listed, self._history, cycle.reports, cycle.now, cycle.heartbeat)
        for subject in cycle.subjects:
            if subject.policy is None:
                continue
            mine = by_profile.pop((subject.entry.namespace, subject.entry.name), [])
            if not (any(c.phase in IN_FLIGHT for c in mine) if cycle.early else mine or _may_change(subject)):
                continue
            cycle.heartbeat("changes")
            context = WorkflowContext(
                subject, subject.policy, mine, ledger, cycle.snapshot, facts, control.of(subject), cycle.policies, cycle.now,
                cycle.reports.get(subject.source), subject.entry.namespace not in control.unread, in_flight, places,
            )  # fmt: skip
            self._follow(context, cycle)
            if not cycle.early:
                with cycle.outcome.guarded(f"changes of {context.workflow} that were kept"):
                    self._kept.follow(context)
                with cycle.outcome.guarded(f"changes of {context.workflow}"):
                    self._workflow(context, cycle.unrecovered)
            if (source := subject.policy.source) is not None:
                cycle.outcome.in_flight[source] += sum(c.phase in IN_FLIGHT for c in context.changes)
            if not cycle.early:
                self._writer.tally.count_in_progress(context.changes)
        return () if cycle.early else by_profile.values()

    # --- around the workflows

    def _reads(self, namespace: str) -> bool:
        """Whether the changes of a namespace are listed, and this process's to look after."""
        return self._owns(namespace) and (not self._namespaces or namespace in self._namespaces)

    def _list(self, outcome: ChangesOutcome) -> list[WorkflowChangeView] | None:
        """All WorkflowChange objects; None when they cannot be read, because nothing is decided on a partial list."""
        changes: list[WorkflowChangeView] = []

        def visit(obj: dict[str, Any]) -> None:
            if not (obj.get("metadata") or {}).get("deletionTimestamp"):
                changes.append(WorkflowChangeView(obj))

        seen = scan(self._client, CHANGES, self._namespaces, visit)
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

    def _follow(self, context: WorkflowContext, cycle: _Cycle) -> None:
        """One step of each change in progress, except those that are as the early call left them. A fault of one must not
        delay the rollback of another."""
        allowed, known = context.policy.apply.allows_changes, cycle.followed or {}
        for change in [c for c in context.changes if c.phase in IN_FLIGHT and known.get(c.uid) != c.version]:
            with cycle.outcome.guarded(str(change.ref)):
                after = self._in_progress.follow(context, change, allowed, early=cycle.early)
                context.put(after)
                if self._left is not None and change.uid not in self._in_progress.waiting:
                    self._left[change.uid] = (after or change).version

    def _workflow(self, context: WorkflowContext, unrecovered: frozenset[Workflow]) -> None:
        proposed = [c for c in context.changes if c.phase not in IN_FLIGHT | FINISHED]
        if not context.policy.apply.allows_changes:
            step = superseded(f"{context.why_not}: the plan is withdrawn", Reason.POLICY_GONE)
            for change in proposed:
                context.put(self._writer.carry_out(change, step, context.now))
        else:
            entry = context.subject.entry
            candidates = self._candidates(entry.uid)
            waits = (entry.namespace, entry.name) in unrecovered or entry.uid in context.snapshot.held
            if candidates is not None and context.listed() is not None and not waits:
                self._proposals.reconcile(context, proposed, candidates)
        prune(self._writer, context)


def _may_change(subject: Subject) -> bool:
    return subject.policy is not None and subject.policy.apply.allows_changes
