"""The parts of the operator, put together: one cycle with everything it needs."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass

from concertmaster.controller import watches
from concertmaster.controller.changes.apply import Apply
from concertmaster.controller.changes.journal import Journal
from concertmaster.controller.changes.reconciler import Changes
from concertmaster.controller.changes.writer import ChangeWriter
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.live_runs import LiveRuns
from concertmaster.controller.collection.run_kinds import RunKinds
from concertmaster.controller.collection.run_watch import RunWatch
from concertmaster.controller.collection.sources import MetricsSources
from concertmaster.controller.cycle import Cycle
from concertmaster.controller.health import Health
from concertmaster.controller.loop import Worker
from concertmaster.controller.prerequisites import Prerequisites
from concertmaster.controller.profiles.assessor import Assessor
from concertmaster.controller.profiles.outputs import Outputs
from concertmaster.controller.profiles.reconcile import analyze_profile
from concertmaster.controller.registry import Registry
from concertmaster.controller.reporting.details import Details
from concertmaster.controller.reporting.notifier import Notifier
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.controller.snapshot import SnapshotBuilder
from concertmaster.controller.watchdog import Watchdog
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient
from concertmaster.kube.events import EventRecorder
from concertmaster.kube.writer import StatusWriter
from concertmaster.notify.sender import Sender
from concertmaster.settings import Settings


@dataclass(frozen=True, slots=True)
class Assembly:
    """What the process has before its first cycle."""

    settings: Settings
    client: KubeClient
    access: AccessChecker
    prerequisites: Prerequisites
    registry: Registry
    health: Health
    telemetry: Telemetry
    details: Details

    def build(self, worker: Worker, stop: threading.Event) -> tuple[Cycle, RunWatch | None]:
        """The cycle and the watch of live runs, built in the thread that will run them; no watch where none is wanted."""
        s = self.settings
        owners: dict[str, set[str]] = {}
        for owner in s.cluster_template_owners:
            owners.setdefault(owner.name, set()).add(owner.namespace)
        history = HistoryProvider(s.history_path)
        self.details.history = history
        sources = MetricsSources(s, history, stop=stop)
        live, runs = self._live(history, worker) if s.live else (None, None)
        outputs = Outputs(history, self.details, self.telemetry.workflows)
        assessor = Assessor(sources, history, analyze_profile, outputs)
        notifier = self._notifier(history)
        instance = os.environ.get("POD_NAME") or socket.gethostname()
        events = EventRecorder(self.client, instance=instance, heard=notifier.note)
        writer = ChangeWriter(self.client, Journal(lambda: history.store))
        cycle = Cycle(
            registry=self.registry,
            watchdog=Watchdog(self.client, self.registry, self.prerequisites.kinds, s.namespaces, self.health),
            snapshots=SnapshotBuilder(self.client, self.registry, s.namespaces, owners),
            sources=sources,
            history=history,
            assessor=assessor,
            writer=StatusWriter(self.client, per_second=s.limits.status_writes_per_second, stop=stop),
            events=events,
            access=self.access,
            health=self.health,
            telemetry=self.telemetry,
            interval=float(s.interval.seconds),
            live=live,
            notifier=notifier,
            changes=Changes(
                self.client,
                writer,
                Apply(writer, per_minute=s.limits.changes_per_minute),
                history,
                self.access,
                events,
                assessor.candidates,
                namespaces=s.namespaces,
                secure=s.argo_template_referencing == "Secure",
            ),
        )
        return cycle, runs

    def _notifier(self, history: HistoryProvider) -> Notifier:
        receivers, counter = self.settings.receivers, self.telemetry.notifications
        return Notifier(
            receivers,
            Sender(receivers, count=lambda receiver, outcome: counter.labels(receiver, outcome).inc()),
            time.time,
            last=lambda uid: history.store.watermark("", f"digest:{uid}"),
            sent=lambda uid, at: history.store.set_watermark("", f"digest:{uid}", at),
        )

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
            lambda kinds, arrived: watches.watch_runs(kinds, live, arrived, connection, namespaces=namespaces),
            lambda: worker.run(live.read),
            live.lost,
        )
        live.follow = runs.follow
        return live, runs
