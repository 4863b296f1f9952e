"""Statuses on their way to the API server: written where they say something new, counted, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

from concertmaster.controller.health import Health
from concertmaster.controller.registry import Entry, Registry
from concertmaster.controller.reporting.cycle_log import CycleLog
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.kube.events import EventRecorder, Note
from concertmaster.kube.writer import StatusResult, StatusUpdate, StatusWriter, WriteOutcome, digest

_FAULTS = (WriteOutcome.FAILED, WriteOutcome.REJECTED, WriteOutcome.TOO_LARGE)


class Publisher:
    """Writes statuses and posts the Events of their transitions. ``written`` hears of every status that was stored."""

    def __init__(
        self,
        writer: StatusWriter,
        events: EventRecorder,
        registry: Registry,
        telemetry: Telemetry,
        health: Health,
        *,
        written: Callable[[Entry, Mapping[str, Any]], None],
        transitions: Callable[[Entry, Mapping[str, Any]], Iterable[Note]],
    ) -> None:
        self._writer = writer
        self._events = events
        self._registry = registry
        self._telemetry = telemetry
        self._health = health
        self._written = written
        self._transitions = transitions

    def publish(
        self, kind: str, updates: Sequence[StatusUpdate], entries: Mapping[str, Entry], record: CycleLog
    ) -> None:
        """Write ``updates`` of one ``kind`` of object; ``entries`` are the objects by uid."""
        begun = perf_counter()
        self._health.heartbeat("write")

        def done(result: StatusResult) -> None:
            self._health.heartbeat("write")
            self._telemetry.writes.labels(kind, result.outcome.value).inc()
            record.writes[result.outcome.value] += 1
            if result.outcome is WriteOutcome.WRITTEN:
                self._remember(entries[result.ref.uid], result.status or {})
            elif result.outcome in _FAULTS:
                record.problem(f"{result.ref}: {result.message}")

        self._writer.write(updates, done)
        seconds = perf_counter() - begun
        self._telemetry.stage_seconds.labels("write").observe(seconds)
        record.seconds["write"] = round(record.seconds.get("write", 0.0) + seconds, 3)

    def keep_only(self, uids: Iterable[str]) -> None:
        """Forget what the server refused of objects that are gone."""
        self._writer.keep_only(uids)

    def _remember(self, entry: Entry, status: Mapping[str, Any]) -> None:
        self._registry.wrote(entry.uid, status)
        self._written(entry, status)
        if digest(status) == entry.status.digest:
            return
        for note in self._transitions(entry, status):
            self._telemetry.events.labels(self._events.post(note).value).inc()
