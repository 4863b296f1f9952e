"""Statuses on their way to the API server: written where they say something new, counted, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from concertmaster.controller.health import Health
from concertmaster.controller.object_cache import CachedObject, ObjectCache
from concertmaster.controller.reporting.cycle_log import CycleLog
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.controller.status_view import StatusView
from concertmaster.kube.events import EventRecorder, Note
from concertmaster.kube.writer import StatusResult, StatusUpdate, StatusWriter, WriteOutcome

FAULTS = (WriteOutcome.FAILED, WriteOutcome.REJECTED, WriteOutcome.TOO_LARGE)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is being written."""

    kind: str
    entries: Mapping[str, CachedObject]
    results: Future[list[StatusResult]]


@dataclass(slots=True)
class Publisher:
    """Writes statuses and posts the Events of their transitions. ``written`` is called with every status that was stored.
    A batch is written by threads while the cycle prepares the next one; its results are processed by the cycle's own
    thread, before the next batch is started."""

    writer: StatusWriter
    events: EventRecorder
    cache: ObjectCache
    telemetry: Telemetry
    health: Health
    written: Callable[[CachedObject, StatusView], None]
    transitions: Callable[[CachedObject, StatusView], Iterable[Note]]
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="publish"))
    _batch: _Batch | None = None

    def publish(
        self,
        kind: str,
        batches: Iterable[Sequence[StatusUpdate]],
        entries: Mapping[str, CachedObject],
        record: CycleLog,
    ) -> None:
        """Write ``batches`` of updates of one ``kind`` of object; ``entries`` are the objects by uid."""
        for updates in batches:
            self._finish(record)
            if updates:
                self.health.heartbeat("write")
                self._batch = _Batch(kind, entries, self._thread.submit(self.writer.write, updates, self._wrote))
        self._finish(record)

    def _finish(self, record: CycleLog) -> None:
        """Wait for the batch in progress and process its results. The waiting time is what writing costs a cycle."""
        batch, self._batch = self._batch, None
        if batch is None:
            return
        with record.stage("write", self.telemetry):
            for result in batch.results.result():
                self.telemetry.writes.labels(batch.kind, result.outcome.value).inc()
                record.writes[result.outcome.value] += 1
                if result.outcome is WriteOutcome.WRITTEN:
                    entry = batch.entries[result.ref.uid]
                    self._remember(entry, self.cache.wrote(entry.ref, result.status, result.version))
                elif result.outcome in FAULTS:
                    record.problem(f"{result.ref}: {result.message}")

    def _wrote(self, _: StatusResult) -> None:
        self.health.heartbeat("write")

    def keep_only(self, uids: Iterable[str]) -> None:
        """Forget what the server refused of objects that are gone."""
        self.writer.keep_only(uids)

    def _remember(self, entry: CachedObject, status: StatusView) -> None:
        self.written(entry, status)
        if status.digest == entry.status.digest:
            return
        for note in self.transitions(entry, status):
            self.telemetry.events.labels(self.events.post(note).value).inc()
