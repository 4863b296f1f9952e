"""Reading metrics sources into the history: forward from the watermark, and back into the past for new workflows.

Facts are stored before the watermark that covers them moves, and storing them twice changes nothing: a crash in between
costs a repeated query and nothing else. Per namespace the history knows up to when facts are complete; per workflow how
far back, because a workflow that gets its profile today must be looked for in spans read for others long ago.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from concertmaster.api.conditions import Reason
from concertmaster.controller.collection.backfill import PastReader
from concertmaster.controller.collection.forward import ForwardReader
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.source_state import Reading, SourceState
from concertmaster.controller.collection.user_queries import UserQueries
from concertmaster.controller.collection.watermarks import Watermarks
from concertmaster.controller.discovery.pod_index import PodIndex
from concertmaster.controller.health import Heartbeat
from concertmaster.controller.source_report import CollectionRequest, SourceReport
from concertmaster.core.model import RunRecord, WorkflowDefinition
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.history import HistoryDamaged, HistoryError
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError
from concertmaster.prometheus.collect import source_traits
from concertmaster.prometheus.collect.node_capacity import NodeCapacity
from concertmaster.prometheus.reader.process import Readers
from concertmaster.settings import MetricsSource, Settings

log = logging.getLogger("concertmaster.sources")

_REASONS = {
    "Unreachable": Reason.SOURCE_UNREACHABLE,
    "TimedOut": Reason.SOURCE_TIMED_OUT,
    "AuthFailed": Reason.SOURCE_REFUSED,
    "NotPrometheus": Reason.NOT_PROMETHEUS,
    "BadQuery": Reason.SOURCE_REFUSED,
    "TooLarge": Reason.SOURCE_REFUSED,
    "Truncated": Reason.SOURCE_REFUSED,
    "Partial": Reason.PARTIAL,
    "SeriesMissing": Reason.SERIES_MISSING,
}
"""What a report says of each fault of a source."""

# Label sets and matchers in a metrics source's own words, cut off or not: they may name anybody's namespaces and pods.
_SERIES = re.compile(r"""\{[^{}]*(?:\}|$)|\b\w+\s*(?:=~|!~|!=|=)\s*"[^"]*(?:"|$)""")


def without_series(error: Exception) -> str:
    """The text of a source's fault for statuses and Events, without the series it names: all namespaces that use the
    source see it. The log has the series."""
    whole = str(error)
    shown = _SERIES.sub("{...}", whole)
    if shown != whole:
        log.warning("in full: %s", whole)
    return shown


@dataclass(frozen=True, slots=True)
class _Source:
    """One source, and what reads its present and its past."""

    state: SourceState
    forward: ForwardReader
    past: PastReader


class MetricsSources:
    """All sources of the configuration. Used by one thread. ``pods``: labels that no source exports."""

    def __init__(
        self,
        settings: Settings,
        history: HistoryProvider,
        *,
        stop: threading.Event,
        connect: Callable[[MetricsSource], PrometheusClient] = PrometheusClient,
        shards: Callable[[], int] | None = None,
        readers: Readers | None = None,
        pods: PodIndex | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shards = shards  # how many processes ask the same sources
        self._readers = readers or Readers(lambda: 1)  # processes that read long pasts
        self._clock = clock
        self._settings = settings
        self._history = history
        self._stop = stop
        self._connect = connect
        self._pods = pods
        self._sources: dict[str, _Source] = {}
        self._nodes = NodeCapacity()
        self._queries = UserQueries(history, settings.limits.extra_queries_per_cycle)

    def names(self) -> Sequence[str]:
        """The configured names."""
        return tuple(s.name for s in self._settings.sources)

    def allows(self, source: str, namespace_labels: Mapping[str, str]) -> bool:
        """Whether a namespace with these labels may use the source."""
        configured = self._settings.source(source)
        return configured is not None and configured.namespace_selector.matches(namespace_labels)

    def close(self) -> None:
        """Close all connections, and end what reads."""
        self._readers.close()
        for source in self._sources.values():
            source.state.client.close()

    def collect(self, request: CollectionRequest, heartbeat: Heartbeat) -> SourceReport:
        """Read what is new, and a bounded part of what is old. Faults of source and history are in the report."""
        reading, source = Reading(request, heartbeat), self._source(request.source)
        state, client = source.state, source.state.client
        before = client.requests
        spaces = {d.key.namespace for d in request.workflows}
        state.begin(request.workflows, request.now)
        ok, reason, message = True, Reason.COMPLETE, f"all queries to metrics source {request.source} succeeded"
        client.beat = lambda: heartbeat("collect")
        source_traits.learn_interval(client, request.now)
        try:
            state.gaps.labels = source_traits.series_labels(client, request.now, state.gaps.labels)
            horizon = request.now - self._reach(request)
            if request.due:
                source.forward.read(reading, horizon)
            source.past.read(reading, horizon)
        except MetricsError as error:
            ok, message, reading.more = False, without_series(error), False
            reason = _REASONS.get(error.reason, Reason.SOURCE_UNREACHABLE)
        except HistoryError as error:
            if damaged := isinstance(error, HistoryDamaged):
                log.error("%s", error)
                self._history.renew()
            ok, reason, message, reading.more = False, Reason.STALE, str(error), damaged
        if ok and state.gaps.blind:
            ok, reason, message = False, Reason.SERIES_MISSING, state.gaps.blind
        complete = state.marks.complete(spaces)
        return SourceReport(
            request.source,
            ok,
            reason,
            message,
            data_until=min(complete.values(), default=None) if complete.keys() == spaces else None,
            complete=complete,
            queries=client.requests - before,
            more=reading.more,  # a source that knows nothing at present may know the past
            unread=reading.unread,
            long=reading.long,
            missing=state.gaps.sentences,
            changed=frozenset(reading.changed),
            unassigned=dict(reading.unassigned),
            unplaced=state.placer.unplaced,
            namespace_unplaced=state.placer.namespace_unplaced,
            left_out=state.oversize.notes(request.now, self._history.full),
            nodes=self._nodes.of(client, request.now, answers=ok),
            in_quotas=self._nodes.in_quotas(client, request.now, answers=ok),
            clock_ahead=client.clock.end_reading(),
        )

    def begin_queries(self) -> None:
        """A new cycle of users' queries, of which all sources share the number."""
        self._queries.begin()

    def run_user_queries(self, request: CollectionRequest, report: SourceReport, heartbeat: Heartbeat) -> SourceReport:
        """Run users' own queries, after ``collect``: the report, completed with their results. Faults are in the report. A
        source that has just failed is not asked."""
        client = self.client(request.source)
        client.beat = lambda: heartbeat("queries")
        return self._queries.add_to(report, client, request, self._reach(request))

    def store_read_ahead(self, now: float) -> None:
        """Store what was queried ahead of the next reading, as far as it has arrived. Called between the analyses of the
        cycle of ``now``, and short. Faults are left to that reading."""
        for name, source in self._sources.items():
            try:
                source.past.store_read_ahead(now)
            except HistoryError as error:  # the next reading meets it as well, and reports it
                log.warning("source %s: what was read ahead is not stored: %s", name, error)

    def extras(
        self,
        source: str,
        definition: WorkflowDefinition,
        metrics: Sequence[ExtraMetric],
        runs: Sequence[RunRecord],
        *,
        now: float,
        window: float,
    ) -> tuple[Sequence[RunRecord], str]:
        """``runs`` with the values of users' extra metrics, and what is wrong with a query (empty: nothing)."""
        return self._queries.extras(self.client(source), definition, metrics, runs, now=now, window=window)

    def _reach(self, request: CollectionRequest) -> float:
        """Seconds back that are worth reading."""
        return min(request.window_seconds, float(self._settings.limits.backfill.seconds))

    def client(self, name: str) -> PrometheusClient:
        """The client of one source. Raises KeyError for an unknown one."""
        return self._source(name).state.client

    def _source(self, name: str) -> _Source:
        if name not in self._sources:
            if (configured := self._settings.source(name)) is None:
                raise KeyError(name)
            client, seconds = self._connect(configured), float(self._settings.limits.backfill_per_cycle.seconds)
            if self._shards is not None:
                client.shared_by(self._shards)
            state = SourceState(client, self._history, self._pods, Watermarks(lambda: self._history.store, name))
            reader = self._readers.of(client)
            past = PastReader(state, per_cycle=seconds, stop=self._stop, reader=reader, clock=self._clock)
            self._sources[name] = _Source(state, ForwardReader(state, self._stop, seconds), past)
        return self._sources[name]
