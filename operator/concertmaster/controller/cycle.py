"""One cycle: read everything once, determine what is new, write only that.

Each stage isolates its faults: a source that is down, a kind that cannot be listed, a profile that cannot be parsed or an
analysis that fails is reported in the condition of the object it concerns, and the others go on. The cycle is plain
synchronous code in one thread.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from time import perf_counter
from typing import Any, TypeVar

from concertmaster.controller.changes.reconciler import Changes, ChangesOutcome
from concertmaster.controller.collection.collector import Collector, recent
from concertmaster.controller.discovery.policies import PolicyFacts, PolicyView, policy_status
from concertmaster.controller.discovery.subject import PolicyTally, Subject, facts_by_policy, reach, requests
from concertmaster.controller.discovery.write_access import write_access
from concertmaster.controller.health import Health
from concertmaster.controller.interfaces import History, Live, SourceReport, Sources
from concertmaster.controller.malloc import give_back
from concertmaster.controller.profiles.assessor import Assessor, CycleCounts
from concertmaster.controller.profiles.status_update import notes as transitions
from concertmaster.controller.registry import Entry, Registry, StatusView
from concertmaster.controller.reporting.cycle_log import CycleLog
from concertmaster.controller.reporting.notifier import Notifier
from concertmaster.controller.reporting.publisher import Publisher
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.controller.shards.shard import Shard
from concertmaster.controller.snapshot import ClusterSnapshot, SnapshotBuilder
from concertmaster.controller.watchdog import Watchdog
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.events import EventRecorder
from concertmaster.kube.writer import StatusUpdate, StatusWriter

log = logging.getLogger("concertmaster.cycle")

_BATCH = 50  # documents made before they are written: bounds memory and shows first recommendations early
_SETTLE_TRIES = 40
_SETTLE_PAUSE = 0.25  # seconds between checks of a registry that is still being filled
_T = TypeVar("_T")


class Cycle:
    """Everything one cycle needs. Calling it runs one; True means that it wants to run again at once."""

    def __init__(
        self,
        *,
        registry: Registry,
        watchdog: Watchdog,
        snapshots: SnapshotBuilder,
        sources: Sources,
        history: History,
        assessor: Assessor,
        writer: StatusWriter,
        events: EventRecorder,
        access: AccessChecker,
        health: Health,
        telemetry: Telemetry,
        interval: float,
        live: Live | None = None,
        changes: Changes | None = None,
        notifier: Notifier | None = None,
        shard: Shard | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._registry = registry
        self._watchdog = watchdog
        self._snapshots = snapshots
        self._collector = Collector(sources, live, health, interval=interval)
        self._history = history
        self._assessor = assessor
        self._access = access
        self._health = health
        self._telemetry = telemetry
        self._changes = changes
        self._notifier = notifier
        self._shard = shard
        self._clock = clock
        self._sleep = sleep
        self._tidied: float | None = None
        self._behind = False  # the watches are: nothing new is written
        self._publisher = Publisher(
            writer, events, registry, telemetry, health, written=self._written, transitions=transitions
        )

    def __call__(self) -> bool:
        """Run one cycle. Raises KindsLost; every other fault is reported and isolated."""
        begun = perf_counter()
        record, tally = CycleLog(), CycleCounts()
        now = self._clock()
        if self._shard is not None:
            self._shard.ownership.begin()
        if trouble := self._history.reopen():
            record.problem(trouble)
        with record.stage("watch", self._telemetry):
            complete = self._watch(record)
        if not complete:
            self._finish(record, tally, None, [], begun)
            return False
        with record.stage("discover", self._telemetry):
            snapshot = self._snapshots.build(discovering=True, heartbeat=lambda: self._health.heartbeat("discover"))
            subjects = self._assessor.subjects(snapshot)
        if self._notifier is not None:
            self._notifier.route(subjects, snapshot.namespaces)
        self._telemetry.learned(self._assessor.learned.ledger)
        record.problems += snapshot.notes
        with record.stage("collect", self._telemetry):
            self._collect(subjects, now, record)
        # Changes in progress are verified first, because other stages may take long.
        with record.stage("verify", self._telemetry):
            self._follow(snapshot, subjects, now, record)
        with record.stage("queries", self._telemetry):
            self._ask_users(record)
        with record.stage("analyze", self._telemetry):
            self._profiles(subjects, now, record, tally)
        with record.stage("changes", self._telemetry):
            changed = self._change(snapshot, subjects, now, record)
        with record.stage("policies", self._telemetry):
            self._policies(snapshot, subjects, changed, now, record)
        registered = self._registry.snapshot()
        self._publisher.keep_only(
            e.uid for kind in (registered.profiles, registered.policies, registered.cluster_policies) for e in kind
        )
        self._tidy(subjects, now, record)
        self._finish(record, tally, snapshot, subjects, begun)
        give_back()
        return self._assessor.again or self._collector.more

    # --- stages -------------------------------------------------------------------------------------------------------

    def _watch(self, record: CycleLog) -> bool:
        """Whether the registry holds all there is. Just after the start it is given time to fill."""
        for _ in range(_SETTLE_TRIES):
            self._health.heartbeat("watch")
            watched = self._watchdog.check()
            self._behind = watched.behind
            if watched.complete or watched.problems:
                break
            self._sleep(_SETTLE_PAUSE)
        for problem in watched.problems:
            record.problem(problem)
        if not watched.complete and not watched.problems:
            record.problem("the watches are behind the cluster; nothing is decided on half a picture")
        return watched.complete

    def _collect(self, subjects: Sequence[Subject], now: float, record: CycleLog) -> None:
        """Metrics sources first, then finished runs from the engines' own objects."""
        for report in self._collector.collect(requests(subjects, now, due=True), now).values():
            self._assessor.record_changes(report.changed)
        definitions = [s.resolved.definition for s in subjects if s.resolved.definition is not None]
        seen = self._collector.live_runs(definitions)
        if isinstance(seen, str):
            record.problem(seen)
            return
        self._assessor.record_live(seen)
        record.problems += seen.notes  # the metrics have what live objects lack: no failure of the cycle

    def _ask_users(self, record: CycleLog) -> None:
        """Run users' own queries, whose faults concern their authors alone; afterwards the reports of the sources are
        complete."""
        for report in self._collector.ask_users().values():
            self._show(report)
            if not report.ok:
                record.problem(report.message)
            self._assessor.record_changes(report.changed, report.answered)

    def _show(self, report: SourceReport) -> None:
        t = self._telemetry
        t.queries.labels(report.source).inc(report.queries)
        t.source_up.labels(report.source).set(1 if report.ok else 0)
        if report.data_until is not None:
            t.data_until.labels(report.source).set(report.data_until)
        for reason, count in report.unassigned.items():
            t.unassigned.labels(reason).set(count)

    def _profiles(self, subjects: Sequence[Subject], now: float, record: CycleLog, tally: CycleCounts) -> None:
        entries = {s.entry.uid: s.entry for s in subjects}
        updates = self._assessor.updates(subjects, self._collector.reports, now, tally, self._health.heartbeat)
        self._publisher.publish("profile", _batches(updates, _BATCH), entries, record)
        ready = Counter(entry.status.ready for entry in self._registry.snapshot().profiles)
        for state in ("True", "False", "Unknown"):
            self._telemetry.profiles.labels(state).set(ready[state])
        self._telemetry.analyzed.inc(tally.analyzed)
        self._telemetry.failures.labels("analyze").inc(tally.failed)
        record.failed = record.failed or tally.failed > 0

    def _follow(self, snapshot: ClusterSnapshot, subjects: Sequence[Subject], now: float, record: CycleLog) -> None:
        """Verify changes in progress."""
        if self._changes is not None:
            until, beat = self._collector.data_until, self._health.heartbeat
            for problem in self._changes.follow(snapshot, subjects, until, now, beat, behind=self._behind):
                record.problem(problem)

    def _change(
        self, snapshot: ClusterSnapshot, subjects: Sequence[Subject], now: float, record: CycleLog
    ) -> ChangesOutcome:
        """Make the changes that policies allow."""
        if self._changes is None:
            return ChangesOutcome()
        until, beat = self._collector.data_until, self._health.heartbeat
        outcome = self._changes(snapshot, subjects, until, now, beat, behind=self._behind)
        for problem in outcome.problems:
            record.problem(problem)
        if outcome.tally is not None:
            self._telemetry.changes.observe(outcome.tally)
        return outcome

    def _policies(
        self,
        snapshot: ClusterSnapshot,
        subjects: Sequence[Subject],
        changed: ChangesOutcome,
        now: float,
        record: CycleLog,
    ) -> None:
        tallies = facts_by_policy(subjects, self._collector.reports)
        updates: list[StatusUpdate] = []
        known: list[tuple[PolicyView, PolicyFacts]] = []
        for view in snapshot.policies.views:
            tally = tallies.get(view.ref)
            facts = (tally or PolicyTally()).facts(
                notes=self._notifier.problems(view, snapshot.namespaces) if self._notifier is not None else (),
                discovered=snapshot.discovered.get(view.ref, 0),
                in_flight=changed.in_flight.get(view.ref, 0),
                blocked=changed.blocked.get(view.ref, {}),
                obstacles=snapshot.obstacles.get(view.ref, ()),
            )
            known.append((view, facts))
        for view, facts in known if self._shard is None else self._shard.policies(known, record.problem):
            self._health.heartbeat("policies")
            status = policy_status(
                view,
                facts,
                sources=self._collector.names(),
                reports=self._collector.reports,
                write_access=lambda policy, known: write_access(self._access, policy, known),
                now=now,
            )
            if self._notifier is not None:
                self._notifier.digest(view, status, snapshot.namespaces)
            updates.append(StatusUpdate(view.entry.ref, status, view.entry.status.digest))
        self._publisher.publish("policy", [updates], {v.entry.uid: v.entry for v in snapshot.policies.views}, record)
        found = self._registry.snapshot()
        states = Counter(e.status.ready for e in (*found.policies, *found.cluster_policies))
        for state in ("True", "False", "Unknown"):
            self._telemetry.policies.labels(state).set(states[state])

    def _written(self, entry: Entry, status: Mapping[str, Any]) -> None:
        self._assessor.memory.published(entry, StatusView.of(status, entry.ref))

    def _tidy(self, subjects: Sequence[Subject], now: float, record: CycleLog) -> None:
        """Once an hour: forget workflows without a profile, and runs nobody's window reaches."""
        if recent(self._tidied, now, 3600.0):
            return
        try:
            self._history.tidy(reach(subjects), now)
            self._history.keep_analyses_of({s.entry.uid for s in subjects})
        except Exception as error:  # noqa: BLE001 - a full disk must not stop recommendations
            record.problem(f"tidying the history failed: {error}")
        self._tidied = now

    def _finish(
        self,
        record: CycleLog,
        tally: CycleCounts,
        snapshot: ClusterSnapshot | None,
        subjects: Sequence[Subject],
        begun: float,
    ) -> None:
        seconds = perf_counter() - begun
        t = self._telemetry
        t.cycle_seconds.observe(seconds)
        t.cycles.labels("failure" if record.failed else "success").inc()
        if not record.failed:
            t.last_success.set(self._clock())
        more = {"created": snapshot.created, "withdrawn": snapshot.withdrawn} if snapshot and snapshot.changed else {}
        record.log(
            seconds,
            profiles=len(subjects),
            policies=len(snapshot.policies.views) if snapshot else 0,
            targets=len(snapshot.targets) if snapshot else 0,
            analyzed=tally.analyzed,
            held=tally.held,
            queries=sum(r.queries for r in self._collector.reports.values()),
            **more,
        )


def _batches(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while batch := list(islice(items, size)):
        yield batch
