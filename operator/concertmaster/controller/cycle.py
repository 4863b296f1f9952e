"""One cycle: read everything once, determine what is new, write only that.

Each stage isolates its faults: a source that is down, a kind that cannot be listed, a profile that cannot be parsed or an
analysis that fails is reported in the condition of the object it concerns, and the others continue. The cycle is plain
synchronous code in one thread.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from time import perf_counter
from typing import TypeVar

from concertmaster.controller.changes.cycle import CycleInput
from concertmaster.controller.changes.reconciler import Changes, ChangesOutcome
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collector import Collector
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile, reach, requests, retained
from concertmaster.controller.health import Health
from concertmaster.controller.malloc import FreeMemory
from concertmaster.controller.object_cache import ObjectCache
from concertmaster.controller.policy_statuses import PolicyStatuses
from concertmaster.controller.profiles.reconciler import ProfileReconciler
from concertmaster.controller.reporting.cycle_log import CycleLog
from concertmaster.controller.reporting.publisher import FAULTS, Publisher
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.controller.shards.assignment import CLUSTER
from concertmaster.controller.shards.shard import Shard
from concertmaster.controller.snapshot import ClusterSnapshot, NamespacesUnread, SnapshotBuilder
from concertmaster.controller.watches.watchdog import Watchdog
from concertmaster.core.times import recent
from concertmaster.core.units import HOUR
from concertmaster.kube.writer import WriteOutcome

_BATCH = 50  # documents made before they are written: bounds memory and shows first recommendations early
_ANALYSES = 300.0  # seconds of them in a cycle while the past is being read
_MIN_PAST_SECONDS = 30.0  # seconds, also where somebody waits: every cycle reads the present first, which takes as long
_T = TypeVar("_T")


@dataclass(slots=True)
class Cycle:
    """One cycle. Calling it runs one; True means that it wants to run again at once. First the stages in their order, of
    which ``publisher`` writes for several; ``awaited``: whether somebody has changed what the next cycle begins with."""

    watchdog: Watchdog
    snapshots: SnapshotBuilder
    collector: Collector
    profile_reconciler: ProfileReconciler
    publisher: Publisher
    policies: PolicyStatuses
    cache: ObjectCache
    history: HistoryProvider
    health: Health
    telemetry: Telemetry
    changes: Changes | None = None
    shard: Shard | None = None
    clock: Callable[[], float] = time.time
    awaited: Callable[[], bool] = lambda: False
    _tidied: float | None = None
    _free_memory: FreeMemory = field(default_factory=FreeMemory)
    _behind: bool = False  # the watches are: nothing new is written

    def __call__(self) -> bool:
        """Run one cycle. Raises KindsLost; every other fault is reported and isolated."""
        record, now = CycleLog(), self.clock()
        if self.shard is not None:
            self.shard.ownership.begin()
        if problem := self.history.reopen():
            record.problem(problem)
        with record.stage("watch", self.telemetry):
            complete = self._watch(record)
        if not complete:
            self._finish(record)
            return False
        with record.stage("discover", self.telemetry):
            snapshot = self._discover(record)
            profiles = self.profile_reconciler.profiles(snapshot) if snapshot is not None else []
        if snapshot is None:
            self._finish(record)
            return False
        self.policies.route(profiles, snapshot)
        self.telemetry.record_ledger(self.profile_reconciler.past_changes.ledger)
        record.note(*snapshot.notes)
        with record.stage("collect", self.telemetry):
            self._collect(profiles, now, record)
        # Changes in progress are verified first, because other stages may take long.
        with record.stage("verify", self.telemetry):
            self._verify(snapshot, profiles, now, record)
        with record.stage("queries", self.telemetry):
            self._run_user_queries(record)
        with record.stage("analyze", self.telemetry):
            self._analyze(profiles, now, record)
        with record.stage("changes", self.telemetry):
            changed = self._change(snapshot, profiles, now, record)
        with record.stage("policies", self.telemetry):
            self._publish_policies(snapshot, profiles, changed, now, record)
        registered = self.cache.snapshot()
        self.publisher.keep_only(
            e.uid for kind in (registered.profiles, registered.policies, registered.cluster_policies) for e in kind
        )
        self._tidy(profiles, now, record)
        self._finish(record, snapshot, profiles)
        self._free_memory(record.analyzed, len(profiles))
        return self.collector.more or snapshot.more or (self.profile_reconciler.again and not _in_vain(record.writes))

    # --- stages -------------------------------------------------------------------------------------------------------

    def _watch(self, record: CycleLog) -> bool:
        """Whether the cache holds all there is."""
        watched = self.watchdog.wait()
        self._behind = watched.behind
        for problem in watched.problems:
            record.problem(problem)
        if not watched.complete and not watched.problems:
            record.problem("the watches are behind the cluster; nothing is decided until they have caught up")
        return watched.complete

    def _discover(self, record: CycleLog) -> ClusterSnapshot | None:
        """The state of the cluster; None when too little of it can be read to decide anything."""
        try:
            return self.snapshots.build(lambda: self.health.heartbeat("discover"))
        except NamespacesUnread as error:
            record.problem(str(error))
            return None

    def _collect(self, profiles: Sequence[ResolvedProfile], now: float, record: CycleLog) -> None:
        """Metrics sources first, then finished runs from the engines' own objects and archives."""
        for report in self.collector.collect(requests(profiles, now), now).values():
            self.profile_reconciler.record_changes(report.changed)
        definitions = [p.resolved.definition for p in profiles if p.resolved.definition is not None]
        seen = self.collector.live_runs(definitions)
        if seen.problem:
            record.problem(seen.problem)
        else:
            self.profile_reconciler.record_live(seen)
            record.note(*seen.notes)  # the metrics have what live objects lack
        archived = self.collector.archived_runs(definitions, reach(profiles), now)
        self.profile_reconciler.record_changes(archived.changed)
        record.note(*archived.notes)  # the metrics have what archives lack

    def _run_user_queries(self, record: CycleLog) -> None:
        """Run users' own queries, whose faults affect their authors alone. Afterwards the reports of the sources are
        complete."""
        reports = self.collector.run_user_queries()
        self.telemetry.sources.observe(reports)
        for report in reports.values():
            if not report.ok:
                record.problem(report.message)
            self.profile_reconciler.record_changes(report.changed, report.answered)

    def _analyze(self, profiles: Sequence[ResolvedProfile], now: float, record: CycleLog) -> None:
        entries = {p.entry.uid: p.entry for p in profiles}
        updates = self.profile_reconciler.updates(profiles, self.collector.reports, now, record, self.health.heartbeat)
        self.publisher.publish("profile", self._between(_batches(updates, _BATCH), now), entries, record)
        ready = Counter(entry.status.ready for entry in self.cache.snapshot().profiles)
        for state in ("True", "False", "Unknown"):
            self.telemetry.profiles.labels(state).set(ready[state])
        record.note(*self.profile_reconciler.shares.notes)
        self.telemetry.analyzed.inc(record.analyzed)
        self.telemetry.failures.labels("analyze").inc(record.analyses_failed)
        record.failed = record.failed or record.analyses_failed > 0

    def _between(self, batches: Iterator[list[_T]], now: float) -> Iterator[list[_T]]:
        """Yield the ``batches``, storing between them what the sources have answered meanwhile. While the past is being
        read, more and more workflows become ready for analysis: the next cycle continues with them, so that nothing else
        waits for the last."""
        begun = perf_counter()
        for batch in batches:
            yield batch
            self.collector.store_read_ahead(now)
            if self.collector.more and perf_counter() - begun > (_MIN_PAST_SECONDS if self.awaited() else _ANALYSES):
                return

    def _verify(
        self, snapshot: ClusterSnapshot, profiles: Sequence[ResolvedProfile], now: float, record: CycleLog
    ) -> None:
        """Verify changes in progress."""
        if self.changes is not None:
            for problem in self.changes.advance(self._changes_input(snapshot, profiles, now)):
                record.problem(problem)

    def _change(
        self, snapshot: ClusterSnapshot, profiles: Sequence[ResolvedProfile], now: float, record: CycleLog
    ) -> ChangesOutcome:
        """Make the changes that policies allow."""
        if self.changes is None:
            return ChangesOutcome()
        outcome = self.changes(self._changes_input(snapshot, profiles, now))
        for problem in outcome.problems:
            record.problem(problem)
        if outcome.tally is not None:
            record.note(*outcome.tally.notes)  # on what namespaces do not let it write
            self.telemetry.changes.observe(outcome.tally)
        return outcome

    def _changes_input(self, snapshot: ClusterSnapshot, profiles: Sequence[ResolvedProfile], now: float) -> CycleInput:
        reports, beat = self.collector.reports, self.health.heartbeat
        return CycleInput(snapshot, profiles, reports, now, beat, self._behind)

    def _publish_policies(
        self,
        snapshot: ClusterSnapshot,
        profiles: Sequence[ResolvedProfile],
        changed: ChangesOutcome,
        now: float,
        record: CycleLog,
    ) -> None:
        written = {e.uid: e for e in self.cache.snapshot().profiles}  # with the statuses of this cycle
        profiles = [replace(p, entry=written.get(p.entry.uid, p.entry)) for p in profiles]
        updates = self.policies.updates(snapshot, profiles, self.collector, changed, now, record.problem)
        entries, shares = {v.entry.uid: v.entry for v in snapshot.policies.views}, self.profile_reconciler.shares
        ordered = shares.in_order(updates, lambda update: entries[update.ref.uid])
        due = [u for u in ordered if u.digest == u.known_digest or not shares.defer_status(entries[u.ref.uid])]
        self.publisher.publish("policy", [due], entries, record)
        registered = self.cache.snapshot()
        mine = self.shard is None or self.shard.ownership.owns(CLUSTER)  # every shard knows them, and one counts them
        states = Counter(e.status.ready for e in (*registered.policies, *(registered.cluster_policies if mine else ())))
        for state in ("True", "False", "Unknown"):
            self.telemetry.policies.labels(state).set(states[state])

    def _tidy(self, profiles: Sequence[ResolvedProfile], now: float, record: CycleLog) -> None:
        """Once an hour: forget workflows without a profile, and runs nobody's window reaches. An hour later while the past
        is read: the first analysis of a workflow counts by day the runs that are more than are kept."""
        reading = self.collector.more or self.profile_reconciler.again
        if self._tidied is None and reading:
            self._tidied = now - HOUR
        if recent(self._tidied, now, 2 * HOUR if reading else HOUR):
            return
        try:
            self.history.tidy(retained(profiles, self.cache.snapshot().changes, now), now)
            self.history.keep_analyses_of({p.entry.uid for p in profiles})
        except Exception as error:  # noqa: BLE001 - a full disk must not stop recommendations
            record.problem(f"tidying the history failed: {error}")
        self._tidied = now

    def _finish(
        self,
        record: CycleLog,
        snapshot: ClusterSnapshot | None = None,
        profiles: Sequence[ResolvedProfile] = (),
    ) -> None:
        seconds, t = record.elapsed, self.telemetry
        t.cycle_seconds.observe(seconds)
        t.cycles.labels("failure" if record.failed else "success").inc()
        if not record.failed:
            t.last_success.set(self.clock())
        more = {"created": snapshot.created, "withdrawn": snapshot.withdrawn} if snapshot and snapshot.changed else {}
        record.log(
            seconds,
            profiles=len(profiles),
            policies=len(snapshot.policies.views) if snapshot else 0,
            targets=len(snapshot.targets) if snapshot else 0,
            queries=sum(r.queries for r in self.collector.reports.values()) if snapshot else 0,
            **more,
        )


def _in_vain(writes: Mapping[str, int]) -> bool:
    """Whether statuses were sent and none was stored: at once, the next cycle would fare no better."""
    return any(writes[outcome] for outcome in FAULTS) and not writes[WriteOutcome.WRITTEN]


def _batches(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while batch := list(islice(items, size)):
        yield batch
