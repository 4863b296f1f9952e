"""One set of namespaces over one span: the bulk queries in order, each asking for what the ones before it found.

The pods that ended are determined once; everything else is queried by their names, as many to a query as the limits of
its text, the source and its proxies allow. With lives of one class that is five requests for each 2,000 pods: targets,
jobs, finished, pods and life. At most ten while one batch holds all pods, in the worst case of a scrape that moved
labels, pods without a known end and lives of all lengths: targets twice, shape, presence, and life for each of three
classes. A quiet shard costs three, cheaper ones where it is expected to be quiet. Pods that request GPUs or ephemeral
storage, or mount persistent volumes, cost one more for each of the three; a source that hides ``up`` costs one more, as does
one with recording rules, and one whose pods have no phase, and a second one once an hour.

Over more than an hour, what kube-state-metrics tells is read at moments (``sparse``), and once more over the whole span for
those pods and Jobs of which a moment does not tell all.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from concertmaster.core.model import PodFact
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.collection import Collection, CollectOptions
from concertmaster.prometheus.collect.settled_pods import settled
from concertmaster.prometheus.collect.shard.exposure import target_state
from concertmaster.prometheus.collect.shard.outage_grace import waiting_until
from concertmaster.prometheus.collect.shard.pods import PodFinder
from concertmaster.prometheus.collect.shard.source import ShardSource
from concertmaster.prometheus.collect.shard.usage import UsageReader
from concertmaster.prometheus.collect.windows import window_of
from concertmaster.prometheus.facts import missing_series, nodes, vanished_pods
from concertmaster.prometheus.facts.vanished_pods import ScrapeTargets
from concertmaster.prometheus.queries import extended
from concertmaster.prometheus.queries.scope import QueryScope


class QueryShard:
    """The queries of one shard in order, each built from the results of the ones before it. ``since``, ``end`` and
    ``latest``, the moment up to which the lives of what ended until ``end`` are read: unix seconds."""

    def __init__(
        self,
        client: PrometheusClient,
        scope: QueryScope,
        label_keys: tuple[str, ...],
        options: CollectOptions,
        since: float,
        end: float,
        latest: float,
    ) -> None:
        self._source = ShardSource(client, options, scope, window_of(since, end, options), end)
        self._pods = PodFinder(self._source, label_keys)
        self._usage = UsageReader(self._source, latest)
        self._since = since
        self._latest = latest

    @property
    def queries(self) -> int:
        """Requests so far."""
        return self._source.count

    def collect(self) -> Collection:
        """Everything of this shard. Raises MetricsError."""
        source, since = self._source, self._since
        targets = self._targets()
        if not targets.seen:
            return self._nothing()
        jobs = self._pods.jobs()
        drafts = self._pods.ended()
        jobs = self._pods.whole_jobs(jobs, drafts)
        ended, held = vanished_pods.split(drafts.values(), targets, since, source.end)
        until, given_up = waiting_until(held, since, source.end, source.options)
        facts = self._nodes(self._usage.measure(ended, targets))
        return Collection(
            since=since,
            complete_until=until,
            facts=facts,
            jobs=jobs,
            missing=(
                *(source.known_shape.notes if source.known_shape else ()),
                *missing_series.state_metrics(targets, len(held)),
                *missing_series.absent(facts),
                *missing_series.ends(ended),
                *(missing_series.prices(facts) if source.options.nodes else ()),
            ),
            warnings=(*source.notes, *given_up),
            held=len(held),
            settled=settled(facts, self._latest, source.client.scrape_interval or targets.interval),
            recorded=self._usage.recorded,
        )

    def without_pods(self) -> Collection | None:
        """What there is to say about a span in which no pod of a run was seen; None where labels were moved, which may hide
        them."""
        if self._source.shape().state.renamed:
            return None
        jobs = self._pods.jobs()
        return replace(self._nothing(), jobs=self._pods.whole_jobs(jobs, {}))

    def _nothing(self) -> Collection:
        source, shape = self._source, self._source.shape()
        lacking = () if shape.present else (missing_series.nothing(source.scope.namespaces),)
        return Collection(self._since, source.end, missing=(*shape.notes, *lacking), blind=not shape.present)

    def _targets(self) -> ScrapeTargets:
        source = self._source
        targets = None if source.client.traits.moved else target_state(source)
        if targets and (targets.seen or source.adopted or not source.shape().state.renamed):
            return targets
        source.adopt(state=True)
        return target_state(source)

    def _nodes(self, facts: tuple[PodFact, ...]) -> tuple[PodFact, ...]:
        """Facts with the types and prices of their nodes, where a policy asks for them."""
        source = self._source
        if not source.options.nodes:
            return facts
        known: dict[str, nodes.NodeFacts] = {}
        names = {fact.node for fact in facts if fact.node}
        for answer in source.by_name("nodes", names, partial(extended.nodes, source.scope, source.window)):
            nodes.read_nodes(answer, source.scope.state, known)
        return nodes.with_nodes(facts, known)
