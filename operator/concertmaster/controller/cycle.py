"""One cycle: read everything once, determine what is new, write only that.

Each stage isolates its faults: a source that is down, a kind that cannot be listed, a profile that cannot be parsed or an
analysis that fails is reported in the condition of the object it concerns, and the others continue. The cycle is plain
synchronous code in one thread.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Stages:
    """The collaborators of a cycle, in the order of its stages; ``publisher`` writes for several of them."""

    watchdog: Watchdog
    snapshots: SnapshotBuilder
    collector: Collector
    profile_reconciler: ProfileReconciler
    publisher: Publisher
    policies: PolicyStatuses
    changes: Changes | None = None


class Cycle:
    """One cycle. Calling it runs one; True means that it wants to run again at once."""

    def __init__(
        self,
        stages: Stages,
        cache: ObjectCache,
        history: HistoryProvider,
        health: Health,
        telemetry: Telemetry,
        *,
        shard: Shard | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._watchdog = stages.watchdog
        self._snapshots = stages.snapshots
        self._collector = stages.collector
        self._profile_reconciler = stages.profile_reconciler
        self._changes = stages.changes
        self._policies = stages.policies
        self._publisher = stages.publisher
        self._cache = cache
        self._history = history
        self._health = health
        self._telemetry = telemetry
        self._shard = shard
        self._clock = clock
        self.awaited: Callable[[], bool] = lambda: False  # whether somebody has changed what the next cycle begins with
        self._tidied: float | None = None
        self._free_memory = FreeMemory()
        self._behind = False  # the watches are: nothing new is written

    def __call__(self) -> bool:
        """Run one cycle. Raises KindsLost; every other fault is reported and isolated."""
        record, now = CycleLog(), self._clock()
        if self._shard is not None:
            self._shard.ownership.begin()
        if problem := self._history.reopen():
            record.problem(problem)
        with record.stage("watch", self._telemetry):
            complete = self._watch(record)
        if not complete:
            self._finish(record)
            return False
        with record.stage("discover", self._telemetry):
            snapshot = self._discover(record)
            profiles = self._profile_reconciler.profiles(snapshot) if snapshot is not None else []
        if snapshot is None:
            self._finish(record)
            return False
        self._policies.route(profiles, snapshot)
        self._telemetry.record_ledger(self._profile_reconciler.past_changes.ledger)
        record.note(*snapshot.notes)
        with record.stage("collect", self._telemetry):
            self._collect(profiles, now, record)
        # Changes in progress are verified first, because other stages may take long.
        with record.stage("verify", self._telemetry):
            self._follow(snapshot, profiles, now, record)
        with record.stage("queries", self._telemetry):
            self._ask_users(record)
        with record.stage("analyze", self._telemetry):
            self._analyze(profiles, now, record)
        with record.stage("changes", self._telemetry):
            changed = self._change(snapshot, profiles, now, record)
        with record.stage("policies", self._telemetry):
            self._publish_policies(snapshot, profiles, changed, now, record)
        registered = self._cache.snapshot()
        self._publisher.keep_only(
            e.uid for kind in (registered.profiles, registered.policies, registered.cluster_policies) for e in kind
        )
        self._tidy(profiles, now, record)
        self._finish(record, snapshot, profiles)
        self._free_memory(record.analyzed, len(profiles))
        return self._collector.more or snapshot.more or (self._profile_reconciler.again and not _in_vain(record.writes))

    # --- stages -------------------------------------------------------------------------------------------------------

    def _watch(self, record: CycleLog) -> bool:
        """Whether the cache holds all there is."""
        watched = self._watchdog.wait()
        self._behind = watched.behind
        for problem in watched.problems:
            record.problem(problem)
        if not watched.complete and not watched.problems:
            record.problem("the watches are behind the cluster; nothing is decided until they have caught up")
        return watched.complete

    def _discover(self, record: CycleLog) -> ClusterSnapshot | None:
        """The state of the cluster; None when too little of it can be read to decide anything."""
        try:
            return self._snapshots.build(lambda: self._health.heartbeat("discover"))
        except NamespacesUnread as error:
            record.problem(str(error))
            return None

    def _collect(self, profiles: Sequence[ResolvedProfile], now: float, record: CycleLog) -> None:
        """Metrics sources first, then finished runs from the engines' own objects and archives."""
        for report in self._collector.collect(requests(profiles, now, due=True), now).values():
            self._profile_reconciler.record_changes(report.changed)
        definitions = [p.resolved.definition for p in profiles if p.resolved.definition is not None]
        seen = self._collector.live_runs(definitions)
        if seen.problem:
            record.problem(seen.problem)
        else:
            self._profile_reconciler.record_live(seen)
            record.note(*seen.notes)  # the metrics have what live objects lack
        archived = self._collector.archived_runs(definitions, reach(profiles), now)
        self._profile_reconciler.record_changes(archived.changed)
        record.note(*archived.notes)  # the metrics have what archives lack

    def _ask_users(self, record: CycleLog) -> None:
        """Run users' own queries, whose faults affect their authors alone. Afterwards the reports of the sources are
        complete."""
        reports = self._collector.ask_users()
        self._telemetry.sources.observe(reports)
        for report in reports.values():
            if not report.ok:
                record.problem(report.message)
            self._profile_reconciler.record_changes(report.changed, report.answered)

    def _analyze(self, profiles: Sequence[ResolvedProfile], now: float, record: CycleLog) -> None:
        entries = {p.entry.uid: p.entry for p in profiles}
        updates = self._profile_reconciler.updates(
            profiles, self._collector.reports, now, record, self._health.heartbeat
        )
        self._publisher.publish("profile", self._between(_batches(updates, _BATCH), now), entries, record)
        ready = Counter(entry.status.ready for entry in self._cache.snapshot().profiles)
        for state in ("True", "False", "Unknown"):
            self._telemetry.profiles.labels(state).set(ready[state])
        record.note(*self._profile_reconciler.shares.notes)
        self._telemetry.analyzed.inc(record.analyzed)
        self._telemetry.failures.labels("analyze").inc(record.analyses_failed)
        record.failed = record.failed or record.analyses_failed > 0

    def _between(self, batches: Iterator[list[_T]], now: float) -> Iterator[list[_T]]:
        """Yield the ``batches``, storing between them what the sources have answered meanwhile. While the past is being
        read, more and more workflows become ready for analysis: the next cycle continues with them, so that nothing else
        waits for the last."""
        begun = perf_counter()
        for batch in batches:
            yield batch
            self._collector.go_on(now)
            if self._collector.more and perf_counter() - begun > (_MIN_PAST_SECONDS if self.awaited() else _ANALYSES):
                return

    def _follow(
        self, snapshot: ClusterSnapshot, profiles: Sequence[ResolvedProfile], now: float, record: CycleLog
    ) -> None:
        """Verify changes in progress."""
        if self._changes is not None:
            for problem in self._changes.follow(self._changes_input(snapshot, profiles, now)):
                record.problem(problem)

    def _change(
        self, snapshot: ClusterSnapshot, profiles: Sequence[ResolvedProfile], now: float, record: CycleLog
    ) -> ChangesOutcome:
        """Make the changes that policies allow."""
        if self._changes is None:
            return ChangesOutcome()
        outcome = self._changes(self._changes_input(snapshot, profiles, now))
        for problem in outcome.problems:
            record.problem(problem)
        if outcome.tally is not None:
            record.note(*outcome.tally.notes)  # on what namespaces do not let it write
            self._telemetry.changes.observe(outcome.tally)
        return outcome

    def _changes_input(self, snapshot: ClusterSnapshot, profiles: Sequence[ResolvedProfile], now: float) -> CycleInput:
        reports, beat = self._collector.reports, self._health.heartbeat
        return CycleInput(snapshot, profiles, reports, now, beat, self._behind)

    def _publish_policies(
        self,
        snapshot: ClusterSnapshot,
        profiles: Sequence[ResolvedProfile],
        changed: ChangesOutcome,
        now: float,
        record: CycleLog,
    ) -> None:
        updates = self._policies.updates(snapshot, profiles, self._collector, changed, now, record.problem)
        entries, shares = {v.entry.uid: v.entry for v in snapshot.policies.views}, self._profile_reconciler.shares
        ordered = shares.in_order(updates, lambda update: entries[update.ref.uid])
        due = [u for u in ordered if u.digest == u.known_digest or not shares.defer_status(entries[u.ref.uid])]
        self._publisher.publish("policy", [due], entries, record)
        registered = self._cache.snapshot()
        mine = self._shard is None or self._shard.ownership.owns(CLUSTER)  # every shard knows them, and one counts them
        states = Counter(e.status.ready for e in (*registered.policies, *(registered.cluster_policies if mine else ())))
        for state in ("True", "False", "Unknown"):
            self._telemetry.policies.labels(state).set(states[state])

    def _tidy(self, profiles: Sequence[ResolvedProfile], now: float, record: CycleLog) -> None:
        """Once an hour: forget workflows without a profile, and runs nobody's window reaches. An hour later while the past
        is read: the first analysis of a workflow counts by day the runs that are more than are kept."""
        reading = self._collector.more or self._profile_reconciler.again
        if self._tidied is None and reading:
            self._tidied = now - HOUR
        if recent(self._tidied, now, 2 * HOUR if reading else HOUR):
            return
        try:
            self._history.tidy(retained(profiles, self._cache.snapshot().changes, now), now)
            self._history.keep_analyses_of({p.entry.uid for p in profiles})
        except Exception as error:  # noqa: BLE001 - a full disk must not stop recommendations
            record.problem(f"tidying the history failed: {error}")
        self._tidied = now

    def _finish(
        self,
        record: CycleLog,
        snapshot: ClusterSnapshot | None = None,
        profiles: Sequence[ResolvedProfile] = (),
    ) -> None:
        seconds, t = record.elapsed, self._telemetry
        t.cycle_seconds.observe(seconds)
        t.cycles.labels("failure" if record.failed else "success").inc()
        if not record.failed:
            t.last_success.set(self._clock())
        more = {"created": snapshot.created, "withdrawn": snapshot.withdrawn} if snapshot and snapshot.changed else {}
        record.log(
            seconds,
            profiles=len(profiles),
            policies=len(snapshot.policies.views) if snapshot else 0,
            targets=len(snapshot.targets) if snapshot else 0,
            queries=sum(r.queries for r in self._collector.reports.values()),
            **more,
        )


def _in_vain(writes: Mapping[str, int]) -> bool:
    """Whether statuses were sent and none was stored: at once, the next cycle would fare no better."""
    return any(writes[outcome] for outcome in FAULTS) and not writes[WriteOutcome.WRITTEN]


def _batches(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while batch := list(islice(items, size)):
        yield batch
