"""The parts of the operator, put together: one cycle with everything it needs."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from concertmaster.archive import ArchiveError
from concertmaster.archive import configured as configured_archives
from concertmaster.controller.archive.archived_runs import ArchivedRuns
from concertmaster.controller.archive.formats import ARGO, TEKTON
from concertmaster.controller.changes.apply import Apply
from concertmaster.controller.changes.cycle import ClusterReach
from concertmaster.controller.changes.reconciler import Changes
from concertmaster.controller.changes.writing.journal import Journal
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.collection import watermarks
from concertmaster.controller.collection.gaps import Outages
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.sources import MetricsSources
from concertmaster.controller.collector import Collector
from concertmaster.controller.cycle import Cycle
from concertmaster.controller.discovery.config_maps import ArgoController, ConfigMaps
from concertmaster.controller.discovery.labelled import LabelledWorkflows
from concertmaster.controller.discovery.pod_index import PodIndex
from concertmaster.controller.discovery.time_shares import TimeShares
from concertmaster.controller.health import Health
from concertmaster.controller.live.live_runs import LiveRuns
from concertmaster.controller.live.run_kinds import RunKinds, ServedRunKind
from concertmaster.controller.live.run_watch import RunWatch, WatchPlan
from concertmaster.controller.loop import Worker
from concertmaster.controller.object_cache import ObjectCache, everything
from concertmaster.controller.policy_statuses import PolicyStatuses
from concertmaster.controller.prerequisites import Prerequisites
from concertmaster.controller.profiles.analysis.analyzer import analyze_profile
from concertmaster.controller.profiles.outputs import Outputs
from concertmaster.controller.profiles.reconciler import ProfileReconciler
from concertmaster.controller.profiles.status_events import status_events
from concertmaster.controller.reporting.details import Details
from concertmaster.controller.reporting.notifier import Notifier
from concertmaster.controller.reporting.publisher import Publisher
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.controller.shards.shard import Shard
from concertmaster.controller.snapshot import SnapshotBuilder
from concertmaster.controller.watches.kopf_operator import watch_runs
from concertmaster.controller.watches.watchdog import Watchdog
from concertmaster.history import configured as configured_history
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Stopped
from concertmaster.kube.events import EventRecorder
from concertmaster.kube.objects import PODS
from concertmaster.kube.writer import StatusWriter
from concertmaster.notify.sender import Sender
from concertmaster.prometheus.reader.process import Readers
from concertmaster.settings import Settings

log = logging.getLogger("concertmaster.live")


@dataclass(frozen=True, slots=True)
class LabelWatch:
    """A watch of pods with one label."""

    runs: RunWatch
    watch: WatchPlan

    def keep(self) -> None:
        """Begin it, and again where it has ended."""
        self.runs.follow(self.watch)

    def stop(self, timeout: float) -> bool:
        """End it."""
        return self.runs.stop(timeout)


async def _nothing() -> bool:
    """Nothing waits to be read."""
    return False


@dataclass(frozen=True, slots=True)
class Assembly:
    """What the process has before its first cycle."""

    settings: Settings
    client: KubeClient
    access: AccessChecker
    prerequisites: Prerequisites
    cache: ObjectCache
    health: Health
    telemetry: Telemetry
    details: Details
    shard: Shard | None = None  # None: the operator is not sharded
    deletes: Callable[[str], bool] = everything  # whether what the history has of a namespace may be deleted

    def build(self, worker: Worker, stop: threading.Event) -> tuple[Cycle, Sequence[RunWatch | PodIndex]]:
        """Build the cycle and the watches beside it, in the thread that will run them."""
        s = self.settings
        owners, interval = s.template_owners(), float(s.interval.seconds)
        owns = self.shard.ownership.owns if self.shard is not None else everything
        most = s.limits.history_per_namespace
        history = HistoryProvider(
            s.history_path,
            configured_history(s),
            owns=self.deletes,
            most=most,
            pause=lambda seconds: self._wait(stop, seconds),
        )
        self.details.history = history
        shards = self.shard.count if self.shard is not None else None
        pods = self._pods() if s.live else None
        sources = MetricsSources(s, history, stop=stop, shards=shards, readers=Readers(), pods=pods)
        live, runs = self._live(history, worker) if s.live else (None, None)
        labelled = LabelledWorkflows(sources, interval=interval, pods=pods)
        outputs = Outputs(history, self.details, self.telemetry.workflows)
        shares = TimeShares(seconds_per_write=1.0 / s.limits.status_writes_per_second)
        profile_reconciler = ProfileReconciler(sources, history, analyze_profile, outputs, shares)
        notifier = self._notifier(history)
        instance = os.environ.get("POD_NAME") or socket.gethostname()
        events = EventRecorder(self.client, instance=instance, on_note=notifier.note)
        writer = ChangeWriter(self.client, Journal(lambda: history.store))
        namespace = s.argo_namespace if live else None
        argo = ArgoController(self.client, self.access, namespace).defaults if namespace else lambda: None
        cycle = Cycle(
            Watchdog(self.client, self.cache, self.prerequisites.kinds, s.namespaces, self.health),
            SnapshotBuilder(self.client, self.cache, s.namespaces, owners, labelled=labelled, owns=owns, argo=argo),
            Collector(
                sources,
                live,
                self.health,
                Outages(lambda: history.store, interval),
                interval=interval,
                archives=self._archives(history),
                config_maps=ConfigMaps(self.client, self.access, s.argo_namespace),
            ),
            profile_reconciler,
            Publisher(
                StatusWriter(self.client, per_second=s.limits.status_writes_per_second, stop=stop),
                events,
                self.cache,
                self.telemetry,
                self.health,
                written=profile_reconciler.last.published,
                transitions=status_events,
            ),
            PolicyStatuses(self.access, self.health, notifier, shard=self.shard),
            self.cache,
            history,
            self.health,
            self.telemetry,
            changes=Changes(
                ClusterReach(
                    self.client,
                    self.access,
                    tuple(s.namespaces),
                    owns,
                    secure=s.argo_template_referencing == "Secure",
                ),
                writer,
                Apply(writer, per_minute=s.limits.changes_per_minute),
                history,
                events,
                profile_reconciler.candidates,
                profile_reconciler.revision,
            ),
            shard=self.shard,
        )
        return cycle, [watch for watch in (runs, pods) if watch is not None]

    def _wait(self, stop: threading.Event, seconds: float) -> None:
        self.health.heartbeat("waiting for the history")
        if stop.wait(seconds):
            raise Stopped("the operator is stopping")

    def _notifier(self, history: HistoryProvider) -> Notifier:
        receivers, counter = self.settings.receivers, self.telemetry.notifications
        return Notifier(
            receivers,
            Sender(receivers, count=lambda receiver, outcome: counter.labels(receiver, outcome).inc()),
            time.time,
            last=lambda uid: history.store.watermark("", f"{watermarks.DIGEST}{uid}"),
            sent=lambda uid, at: history.store.set_watermark("", f"{watermarks.DIGEST}{uid}", at),
        )

    def _archives(self, history: HistoryProvider) -> Sequence[ArchivedRuns]:
        """The archives that are configured. Without their driver the operator works as without them."""
        forms, made = {"argoArchive": ARGO, "tektonResults": TEKTON}, list[ArchivedRuns]()
        for name, opening in configured_archives(self.settings).items():
            form = forms[name]
            answers = partial(self._note_archive, form.source)
            try:
                archive = opening()
            except ArchiveError as error:
                log.error("%s", error)
                answers(False)
                continue
            backfill = float(self.settings.limits.backfill.seconds)
            made.append(ArchivedRuns(archive, form, history, backfill, count=self._count_archived, answers=answers))
        return made

    def _note_archive(self, archive: str, up: bool) -> None:
        """Log the state of an archive once it was read: on standby, or without a workflow of its engine, it never is."""
        self.telemetry.archive_up.labels(archive).set(up)

    def _count_archived(self, result: str) -> None:
        self.telemetry.archived_runs.labels(result).inc()

    def _pods(self) -> PodIndex:
        """Labels of live pods, where metrics sources do not export them."""
        namespaces, connection = self.settings.namespaces, self.client.connection

        def start(finder: str, index: PodIndex) -> LabelWatch:
            runs = RunWatch(
                lambda kinds, arrived: watch_runs(kinds, index, arrived, connection, namespaces=namespaces),
                _nothing,
                lambda error: log.warning(
                    "the watch of pods with label %s ended and is started again: %s", finder, error
                ),
            )
            return LabelWatch(runs, WatchPlan((ServedRunKind(PODS, finder),)))

        places: Sequence[str | None] = list(namespaces) or [None]

        def listing(finder: str) -> Iterator[dict[str, Any]]:
            for place in places:
                yield from self.client.items(PODS.path(place), label_selector=finder, metadata_only=True)

        return PodIndex(start, self.access, places, listing=listing)

    def _live(self, history: HistoryProvider, worker: Worker) -> tuple[LiveRuns, RunWatch]:
        """Live runs and the watch that brings them."""
        namespaces, connection = self.settings.namespaces, self.client.connection
        live = LiveRuns(
            self.client,
            RunKinds(self.client, self.access, namespaces),
            history,
            count=lambda result: self.telemetry.live_runs.labels(result).inc(),
        )
        runs = RunWatch(
            lambda kinds, arrived: watch_runs(kinds, live, arrived, connection, namespaces=namespaces),
            lambda: worker.run(live.read),
            live.lost,
        )
        live.follow = runs.follow
        return live, runs
