"""Reading metrics sources into the history: forward from the watermark, and back into the past for new workflows.

Facts are stored before the watermark that covers them moves, and storing them twice changes nothing: a crash in between
costs a repeated query and nothing else. Per namespace the history knows up to when facts are complete; per workflow how
far back, because a workflow that gets its profile today must be looked for in spans read for others long ago.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from concertmaster.api.conditions import Reason
from concertmaster.controller.collection.backfill import PastReader
from concertmaster.controller.collection.collector import REASONS, without_series
from concertmaster.controller.collection.gaps import PODS_AT_START, Gaps, further_back, saw_nothing
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.oversized_namespaces import OversizedNamespaces, left_out_of
from concertmaster.controller.collection.placement import PodPlacer, placed_uids
from concertmaster.controller.collection.pod_query import PodQuery, pod_query
from concertmaster.controller.collection.progress import Reading
from concertmaster.controller.collection.user_queries import UserQueries
from concertmaster.controller.collection.watermarks import Watermarks, namespace_of
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
from concertmaster.prometheus.collect.reading import Collection, collect
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
        oversize.learn_words(demand.workflows, *([self.pods.names] if self.pods is not None else []))
        ok, reason, message = True, Reason.COMPLETE, f"all queries to metrics source {demand.source} succeeded"
        client.beat = lambda: heartbeat("collect")
        source_traits.learn_interval(client, demand.now)
        try:
            gaps.labels = source_traits.series_labels(client, demand.now, gaps.labels)
            if demand.due:
                self._forward(client, reading, gaps)
            horizon = demand.now - self._reach(demand)
            self._past(client, demand.source).read(reading, gaps, self._watermarks(demand.source), oversize, horizon)
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

    def _forward(self, client: PrometheusClient, reading: Reading, gaps: Gaps) -> None:
        """Read from the watermark of each namespace to now; namespaces with the same watermark share their queries."""
        store, name, now = self._history.store, reading.demand.source, reading.demand.now
        end = float(int(now - client.source.delay_seconds))
        horizon = now - self._reach(reading.demand)
        marks, groups = self._watermarks(name), dict[tuple[float, bool], list[str]]()
        marks.read_without(keys := [d.key for d in reading.demand.workflows])
        for namespace in sorted({key.namespace for key in keys}):
            until = marks.until(namespace)
            if until is None or (until > now and not self._history.owns(namespace)):
                continue  # never read: all of it is the past, read newest first. Or another process has read on meanwhile
            if until > now:
                log.warning("facts of namespace %s are complete up to a future time; reading them again", namespace)
                marks.ahead.pop(namespace, None)  # newest first, as what was never read: the present stays known
                store.drop_watermarks(name, [s for s in store.watermarks(name) if namespace_of(s) == namespace])
                continue
            groups.setdefault(gaps.start(namespace, until, horizon), []).append(namespace)
        store.note_definitions({d.key: d.fingerprint for d in reading.demand.workflows if d.fingerprint}, now)
        most, oversize = self._settings.limits.backfill_per_cycle.seconds, self._oversize[name]
        for (since, again), namespaces in (
            (s, group) for s, all_of in sorted(groups.items()) for group in oversize.groups(all_of, now)
        ):
            pods = 0
            for collected in self._read(client, reading, gaps, namespaces, since, end):
                facts, pods = bool(collected.facts or collected.jobs), pods + len(collected.facts)
                blind = not facts and saw_nothing(collected)
                if not blind and marks.sees_again(namespaces, collected.complete_until):
                    reading.more = True
                    break
                marks.advance(namespaces, collected.complete_until, facts=facts, blind=blind)
                if collected.complete_until < end and collected.complete_until - since >= most:
                    reading.more = True
                    break
            newer = since
            for older in further_back(since, horizon) if again else ():
                if pods < PODS_AT_START:
                    found = self._read(client, reading, gaps, namespaces, older, newer, present=False)
                    pods, newer = pods + sum(len(collected.facts) for collected in found), older

    def _read(
        self,
        client: PrometheusClient,
        reading: Reading,
        gaps: Gaps,
        namespaces: Sequence[str],
        since: float,
        until: float,
        *,
        present: bool = True,
    ) -> Iterator[Collection]:
        """Read a span in consecutive readings, each stored before it is yielded. Ends early where pods are held back
        until their source is up again."""
        asking, settled = self._asking(reading, namespaces), self._settled_pods(reading.demand.source)
        ask = partial(collect, client, now=reading.demand.now, label_keys=asking.label_keys, namespaces=namespaces)
        while since < until and not self._stop.is_set():
            reading.heartbeat("collect")
            options = replace(asking.options, settled=settled.known(namespaces, since))
            collected = ask(since=since, until=until, options=options)
            self._keep(collected, namespaces, reading, gaps, present=present)
            yield collected
            if collected.complete_until <= since:
                return
            since = collected.complete_until

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
        for reason, pods in placed.unassigned.items():
            reading.unassigned[reason] += pods.count
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
