"""Reading metrics sources into the history: forward from the watermark, and back into the past for new workflows.

Facts are stored before the watermark that covers them moves, and storing them twice changes nothing: a crash in between
costs a repeated query and nothing else. Per namespace the history knows up to when facts are complete; per workflow how
far back, because a workflow that gets its profile today must be looked for in spans read for others long ago.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from concertmaster.api.conditions import Reason
from concertmaster.controller.collection.backfill import PastReader
from concertmaster.controller.collection.collector import REASONS, without_series
from concertmaster.controller.collection.forward import ForwardReader
from concertmaster.controller.collection.gaps import Gaps
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.oversized_namespaces import OversizedNamespaces, left_out_of
from concertmaster.controller.collection.placement import PodPlacer, placed_uids
from concertmaster.controller.collection.pod_query import PodQuery, pod_query
from concertmaster.controller.collection.progress import Reading
from concertmaster.controller.collection.user_queries import UserQueries
from concertmaster.controller.collection.watermarks import Watermarks
from concertmaster.controller.discovery.pod_index import PodIndex
from concertmaster.controller.interfaces import CollectionRequest, Heartbeat, SourceReport
from concertmaster.core.model import RunRecord, WorkflowDefinition
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.engines import job_ends
from concertmaster.history import HistoryDamaged, HistoryError
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError
from concertmaster.prometheus.collect import source_traits
from concertmaster.prometheus.collect.node_capacity import NodeCapacity
from concertmaster.prometheus.collect.reading import Collection
from concertmaster.prometheus.collect.settled_pods import SettledPods
from concertmaster.prometheus.reader.process import Readers
from concertmaster.settings import MetricsSource, Settings

log = logging.getLogger("concertmaster.sources")


class MetricsSources:
    """All sources of the configuration. Used by one thread."""

    def __init__(
        self,
        settings: Settings,
        history: HistoryProvider,
        *,
        stop: threading.Event,
        connect: Callable[[MetricsSource], PrometheusClient] = PrometheusClient,
        shards: Callable[[], int] | None = None,
        readers: Readers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shards = shards  # how many processes ask the same sources
        self._readers = readers or Readers(lambda: 1)  # processes that read long pasts
        self._clock = clock
        self._settings = settings
        self._history = history
        self._stop = stop
        self._connect = connect
        self._clients: dict[str, PrometheusClient] = {}
        self._gaps: dict[str, Gaps] = {}
        self._marks: dict[str, Watermarks] = {}
        self._placements: dict[str, PodPlacer] = {}
        self._oversize: dict[str, OversizedNamespaces] = {}
        self._pasts: dict[str, PastReader] = {}
        self._settled: dict[str, SettledPods] = {}
        self._settled_in: object = None  # the store that has what is in ``_settled``
        self._nodes = NodeCapacity()
        self._queries = UserQueries(history, settings.limits.extra_queries_per_cycle)
        self.pods: PodIndex | None = None  # labels that no source exports

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
        for client in self._clients.values():
            client.close()

    def collect(self, demand: CollectionRequest, heartbeat: Heartbeat) -> SourceReport:
        """Read what is new, and a bounded part of what is old. Faults of source and history are in the report."""
        reading = Reading(demand, heartbeat)
        before = (client := self.client(demand.source)).requests
        spaces = {d.key.namespace for d in demand.workflows}
        (gaps := self._gaps.setdefault(demand.source, Gaps())).begin(spaces)
        (placement := self._placements.setdefault(demand.source, PodPlacer())).keep_only(demand.workflows)
        oversize = self._oversize.setdefault(demand.source, OversizedNamespaces())
        oversize.keep_only(spaces, demand.now)
        self._settled_pods(demand.source).keep_only(spaces)
        self._watermarks(demand.source).keep_only(spaces)
        oversize.learn_words(demand.workflows, *([self.pods.names] if self.pods is not None else []))
        ok, reason, message = True, Reason.COMPLETE, f"all queries to metrics source {demand.source} succeeded"
        client.beat = lambda: heartbeat("collect")
        source_traits.learn_interval(client, demand.now)
        try:
            gaps.labels = source_traits.series_labels(client, demand.now, gaps.labels)
            horizon, marks = demand.now - self._reach(demand), self._watermarks(demand.source)
            if demand.due:
                self._forward(client, demand.source).read(reading, gaps, marks, oversize, horizon)
            self._past(client, demand.source).read(reading, gaps, marks, oversize, horizon)
        except MetricsError as error:
            ok, message, reading.more = False, without_series(error), False
            reason = REASONS.get(error.reason, Reason.SOURCE_UNREACHABLE)
        except HistoryError as error:
            if damaged := isinstance(error, HistoryDamaged):
                log.error("%s", error)
                self._history.renew()
            ok, reason, message, reading.more = False, Reason.STALE, str(error), damaged
        if ok and gaps.blind:
            ok, reason, message = False, Reason.SERIES_MISSING, gaps.blind
        complete = self._watermarks(demand.source).complete(spaces)
        return SourceReport(
            demand.source,
            ok,
            reason,
            message,
            data_until=min(complete.values(), default=None) if complete.keys() == spaces else None,
            complete=complete,
            queries=client.requests - before,
            more=reading.more,  # a source that knows nothing at present may know the past
            unread=reading.unread,
            long=reading.long,
            missing=gaps.sentences,
            changed=frozenset(reading.changed),
            unassigned=dict(reading.unassigned),
            unplaced=placement.unplaced,
            namespace_unplaced=placement.namespace_unplaced,
            left_out=oversize.notes(demand.now, self._history.full),
            nodes=self._nodes.of(client, demand.now, answers=ok),
            in_quotas=self._nodes.in_quotas(client, demand.now, answers=ok),
            clock_ahead=client.clock.end_reading(),
        )

    def ask_users(self, demand: CollectionRequest, report: SourceReport, heartbeat: Heartbeat) -> SourceReport:
        """See ``interfaces.Sources``. A source that has just failed is not asked."""
        client = self.client(demand.source)
        client.beat = lambda: heartbeat("queries")
        return self._queries.add_to(report, client, demand, self._reach(demand))

    def go_on(self, now: float) -> None:
        """See ``interfaces.Sources``."""
        for source, past in self._pasts.items():
            try:
                past.go_on(now)
            except HistoryError as error:  # the next reading meets it as well, and reports it
                log.warning("source %s: what was asked for ahead is not stored: %s", source, error)

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
        """See ``interfaces.Sources``."""
        return self._queries.extras(self.client(source), definition, metrics, runs, now=now, window=window)

    def _forward(self, client: PrometheusClient, source: str) -> ForwardReader:
        """What reads a source from its watermarks to now."""
        settled, most = partial(self._settled_pods, source), float(self._settings.limits.backfill_per_cycle.seconds)
        return ForwardReader(client, self._asking, self._keep, self._history, settled, self._stop, most)

    def _past(self, client: PrometheusClient, source: str) -> PastReader:
        """What reads the past of a source."""
        return self._pasts.setdefault(
            source,
            PastReader(
                client,
                self._asking,
                self._keep,
                self._history,
                per_cycle=float(self._settings.limits.backfill_per_cycle.seconds),
                stop=self._stop,
                reader=self._readers.of(client),
                clock=self._clock,
            ),
        )

    def _keep(
        self, collected: Collection, namespaces: Sequence[str], reading: Reading, gaps: Gaps, *, present: bool
    ) -> None:
        for warning in collected.warnings:
            log.info("source %s: %s", reading.demand.source, warning)
        if collected.left_out:
            log.warning("source %s: %s", reading.demand.source, left_out_of(collected.left_out))
            self._oversize[reading.demand.source].record(collected.left_out, reading.demand.now)
        gaps.learn(collected, namespaces, present=present)
        if self.pods is not None:
            collected = replace(collected, facts=self.pods.labelled(collected.facts))
        definitions = reading.definitions(namespaces)
        picked = [d.key for d in definitions if d.run_selector]
        live = self._history.store.live_runs(picked) if picked else {}
        placed = self._placements[reading.demand.source].place(collected, definitions, present=present, live=live)
        ends = job_ends(collected.jobs, definitions, placed.executions)
        reading.unassigned.update(placed.unassigned)
        if placed.executions or ends:
            reading.changed |= self._history.store.add(placed.executions, records=ends).workflows
        self._settled_pods(reading.demand.source).add(collected, placed_uids(placed))

    def _settled_pods(self, source: str) -> SettledPods:
        """Pods that need not be read again, as long as the history is the one they were stored in."""
        if self._settled_in is not self._history.store:
            self._settled, self._settled_in = {}, self._history.store
        return self._settled.setdefault(source, SettledPods())

    def _asking(self, reading: Reading, namespaces: Sequence[str]) -> PodQuery:
        live_pods = self.pods.names(namespaces) if self.pods is not None else ()
        return pod_query(reading.definitions(namespaces), live_pods)

    def _reach(self, demand: CollectionRequest) -> float:
        """Seconds back that are worth reading."""
        return min(demand.window_seconds, float(self._settings.limits.backfill.seconds))

    def _watermarks(self, source: str) -> Watermarks:
        return self._marks.setdefault(source, Watermarks(self._history, source))

    def client(self, name: str) -> PrometheusClient:
        """The client of one source. Raises KeyError for an unknown one."""
        if name not in self._clients:
            if (source := self._settings.source(name)) is None:
                raise KeyError(name)
            made = self._clients[name] = self._connect(source)
            if self._shards is not None:
                made.shared_by(self._shards)
        return self._clients[name]
