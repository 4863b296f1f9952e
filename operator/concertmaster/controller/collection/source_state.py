"""One metrics source from reading to reading: what is known of it, and how its answers come into the history."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from concertmaster.controller.collection.gaps import Gaps
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.oversized_namespaces import OversizedNamespaces, left_out_of
from concertmaster.controller.collection.placement import PodPlacer, placed_uids
from concertmaster.controller.collection.watermarks import MIN_PAST_SECONDS, Watermarks
from concertmaster.controller.discovery.pod_index import PodIndex
from concertmaster.controller.health import Heartbeat
from concertmaster.controller.source_report import CollectionRequest
from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.engines import job_ends
from concertmaster.engines.label_keys import affordable, nameable
from concertmaster.history import Store
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import Collection, CollectOptions
from concertmaster.prometheus.collect.settled_pods import SettledPods

log = logging.getLogger("concertmaster.sources")


@dataclass(slots=True)
class Reading:
    """The result of one collection so far."""

    request: CollectionRequest
    heartbeat: Heartbeat
    more: bool = False
    changed: set[WorkflowKey] = field(default_factory=set)
    unassigned: Counter[str] = field(default_factory=Counter)
    unread: dict[WorkflowKey, float] = field(default_factory=dict)
    long: bool = False  # the past takes long

    def lack(self, lows: Mapping[WorkflowKey, float], horizon: float) -> bool:
        """Note which workflows were not read down to ``horizon`` (unix seconds); whether there are any."""
        self.unread = {key: low for key, low in lows.items() if low > horizon + MIN_PAST_SECONDS}
        return bool(self.unread)

    def behind(
        self, together: Callable[[Iterable[str]], Iterable[list[str]]], most: int
    ) -> list[tuple[float, list[str]]]:
        """The namespaces in groups, each with the moment down to which it was read. The least read come first, so that
        all workflows get their newest runs early. A group has namespaces that may be queried ``together``, with at most
        ``most`` workflows, or one."""
        sizes, tops = Counter(d.key.namespace for d in self.request.workflows), dict[str, float]()
        for key, low in self.unread.items():
            tops[key.namespace] = max(low, tops.get(key.namespace, low))
        parts = list[tuple[float, list[str]]]()
        for top in sorted(set(tops.values()), reverse=True):
            for group in together(name for name, own in tops.items() if own == top):
                part, size = list[str](), 0
                for name in group:
                    if part and size + sizes[name] > most:
                        parts.append((top, part))
                        part, size = [], 0
                    part, size = [*part, name], size + sizes[name]
                parts.append((top, part))
        return parts

    def definitions(self, namespaces: Iterable[str]) -> list[WorkflowDefinition]:
        """The workflows of these namespaces."""
        places = set(namespaces)
        return [d for d in self.request.workflows if d.key.namespace in places]


@dataclass(frozen=True, slots=True)
class PodQuery:
    """How pods of some namespaces are queried: keys of the labels that place them, as far as one query can name them, and
    how these are found."""

    label_keys: tuple[str, ...]
    options: CollectOptions


@dataclass(slots=True)
class SourceState:
    """``pods``: labels of live pods that no source exports (None: they are not read). Used by one thread. Times are unix
    seconds."""

    client: PrometheusClient
    history: HistoryProvider
    pods: PodIndex | None
    marks: Watermarks
    gaps: Gaps = field(default_factory=Gaps)
    placer: PodPlacer = field(default_factory=PodPlacer)
    oversize: OversizedNamespaces = field(default_factory=OversizedNamespaces)
    _settled: SettledPods = field(default_factory=SettledPods)
    _settled_in: Store | None = None  # the store that has what is in ``_settled``

    def begin(self, workflows: Sequence[WorkflowDefinition], now: float) -> None:
        """A reading for these workflows begins: forget what concerns others."""
        spaces = {d.key.namespace for d in workflows}
        self.gaps.begin(spaces)
        self.placer.keep_only(workflows)
        self.oversize.keep_only(spaces, now)
        self.settled.keep_only(spaces)
        self.marks.keep_only(spaces)
        self.oversize.learn_words(workflows, *([self.pods.names] if self.pods is not None else []))

    def newest(self, now: float) -> float:
        """The newest moment of which the source has all facts."""
        return float(int(now - self.client.source.delay_seconds))

    def query(self, reading: Reading, namespaces: Sequence[str]) -> PodQuery:
        """How the pods of these namespaces are queried."""
        labels = affordable(reading.definitions(namespaces))
        live_pods = self.pods.names(namespaces) if self.pods is not None else ()
        options = CollectOptions(run_labels=labels.run_keys, nodes=labels.nodes, named=nameable(live_pods))
        return PodQuery(labels.keys, options)

    @property
    def settled(self) -> SettledPods:
        """Pods that need not be read again, as long as the history is the one they were stored in."""
        if self._settled_in is not self.history.store:
            self._settled, self._settled_in = SettledPods(), self.history.store
        return self._settled

    def keep(self, collected: Collection, namespaces: Sequence[str], reading: Reading, *, present: bool) -> None:
        """Store what was read of these namespaces. ``present``: it describes the present state of the source. Raises
        HistoryError."""
        name = self.client.source.name
        for warning in collected.warnings:
            log.info("source %s: %s", name, warning)
        if collected.left_out:
            log.warning("source %s: %s", name, left_out_of(collected.left_out))
            self.oversize.record(collected.left_out, reading.request.now)
        self.gaps.learn(collected, namespaces, present=present)
        if self.pods is not None:
            collected = replace(collected, facts=self.pods.labelled(collected.facts))
        definitions = reading.definitions(namespaces)
        picked = [d.key for d in definitions if d.run_selector]
        live = self.history.store.live_runs(picked) if picked else {}
        placed = self.placer.place(collected, definitions, present=present, live=live)
        ends = job_ends(collected.jobs, definitions, placed.executions)
        reading.unassigned.update(placed.unassigned)
        if placed.executions or ends:
            reading.changed |= self.history.store.add(placed.executions, records=ends)
        self.settled.add(collected, placed_uids(placed))
