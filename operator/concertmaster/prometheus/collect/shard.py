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

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial

from concertmaster.core.model import JobFact, PodFact
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect import phases, sparse
from concertmaster.prometheus.collect.collection import Collection, CollectOptions
from concertmaster.prometheus.collect.exposure import target_state
from concertmaster.prometheus.collect.outage_grace import waiting_until
from concertmaster.prometheus.collect.questions import ShardQueries
from concertmaster.prometheus.collect.settled_pods import settled
from concertmaster.prometheus.collect.windows import by_life, twice, window_of
from concertmaster.prometheus.facts import assemble, gpus, missing_series, nodes, vanished_pods, volumes
from concertmaster.prometheus.facts.assemble import Usage
from concertmaster.prometheus.facts.drafts import PodDraft, PodName, read_jobs, read_pods, read_presence
from concertmaster.prometheus.facts.scrape_shape import ScrapeShape, detect
from concertmaster.prometheus.facts.vanished_pods import ScrapeTargets
from concertmaster.prometheus.queries import bulk as queries
from concertmaster.prometheus.queries import ended as ended_pods
from concertmaster.prometheus.queries import extended
from concertmaster.prometheus.queries import recording_rule as recorded
from concertmaster.prometheus.queries import usage as of_containers
from concertmaster.prometheus.queries.scope import QueryScope, TimeRange

_STORAGE = "ephemeral_storage"


@dataclass(slots=True)
class QueryShard:
    """One set of namespaces over one span: the queries in order, each built from the results of the ones before it."""

    client: PrometheusClient
    scope: QueryScope
    label_keys: tuple[str, ...]
    options: CollectOptions
    since: float
    end: float
    latest: float  # moment up to which the lives of what ended until ``end`` are read
    recorded: int = 0
    shape: ScrapeShape | None = None
    _least: float | None = None  # seconds between samples of containers, as far as the lives read until now tell
    _rate: int = of_containers.RATE
    _adopted: bool = False  # whether labels are read from where the scrape moved them
    _questions: ShardQueries = field(init=False)

    def __post_init__(self) -> None:
        self._questions = ShardQueries(self.client, self.options, self.end)

    @property
    def queries(self) -> int:
        """Requests so far."""
        return self._questions.count

    def collect(self) -> Collection:
        """Everything of this shard. Raises MetricsError."""
        window = window_of(self.since, self.end, self.options)
        targets = self._targets(window)
        if not targets.seen:
            return self._nothing()
        state = self.scope.state
        jobs = read_jobs(self._questions.ask("jobs", queries.jobs(self.scope, window)), state)
        drafts = self._ended(window)
        jobs = self._jobs(jobs, drafts, window)
        ended, held = vanished_pods.split(drafts.values(), targets, self.since, self.end)
        until, given_up = waiting_until(held, self.since, self.end, self.options)
        facts = self._nodes(self._measure(ended, targets), window)
        return Collection(
            since=self.since,
            complete_until=until,
            facts=facts,
            jobs=jobs,
            missing=(
                *(self.shape.notes if self.shape else ()),
                *missing_series.state_metrics(targets, len(held)),
                *missing_series.absent(facts),
                *missing_series.ends(ended),
                *(missing_series.prices(facts) if self.options.nodes else ()),
            ),
            warnings=(*self._questions.notes, *given_up),
            held=len(held),
            settled=settled(facts, self.latest, self.client.scrape_interval or targets.interval),
            recorded=self.recorded,
        )

    def without_pods(self) -> Collection | None:
        """What there is to say about a span in which no pod of a run was seen; None where labels were moved, which may hide
        them."""
        if self._shape().state.renamed:
            return None
        window = window_of(self.since, self.end, self.options)
        jobs = read_jobs(self._questions.ask("jobs", queries.jobs(self.scope, window)), self.scope.state)
        return replace(self._nothing(), jobs=self._jobs(jobs, {}, window))

    def _nothing(self) -> Collection:
        shape = self._shape()
        lacking = () if shape.present else (missing_series.nothing(self.scope.namespaces),)
        return Collection(self.since, self.end, missing=(*shape.notes, *lacking), blind=not shape.present)

    def _targets(self, window: TimeRange) -> ScrapeTargets:
        targets = None if self.client.moved else self._exposing(window)
        if targets and (targets.seen or self._adopted or not self._shape().state.renamed):
            return targets
        self._adopt(state=True)
        return self._exposing(window)

    def _exposing(self, window: TimeRange) -> ScrapeTargets:
        return target_state(self._questions.ask, self.client, self.scope, window, self.end)

    def _ended(self, window: TimeRange) -> dict[str, PodDraft]:
        """Drafts of the pods that ended or vanished, found by their phases where the source exposes these."""
        phased = phases.exposed(self.client, self.end)
        drafts = self._describe(*self._finished(window, phased=phased), window)
        if phased and phases.lacking(drafts.values()):
            self.client.unphased, phased = self.end, False
            names, _ = self._finished(window)
            drafts = {uid: draft for uid, draft in drafts.items() if uid in names}
        if not phased:
            phases.stand_in(self._questions, self.scope, window, drafts)
        return drafts

    def _finished(self, window: TimeRange, *, phased: bool = False) -> tuple[dict[str, str], dict[str, float]]:
        """Names of the pods that ended or vanished, and the times of ends already known, by uid."""
        answer = self._questions.ask("finished", ended_pods.finished(self.scope, window, phased=phased))
        names, ends = dict[str, str](), dict[str, float]()
        for (uid, name, stat), value in answer.select(*self.scope.state.columns("uid", "pod"), "stat"):
            if uid in self.options.settled:
                continue
            if uid and stat:
                ends[uid] = value
            elif uid:
                names[uid] = name
        return names, ends

    def _describe(
        self, finished: Mapping[str, str], ends: Mapping[str, float], window: TimeRange
    ) -> dict[str, PodDraft]:
        """Their kube-state-metrics series and, where an end is not known, when the pod was last seen."""
        scope, drafts = self.scope, dict[str, PodDraft]()
        moments = sparse.moments(finished, ends, self.end, window)

        def briefly(names: Sequence[str]) -> str:
            return queries.pods_at(scope, window, self.label_keys, sparse.at_moments(names, moments))

        for answer in self._questions.by_name("pods at rest", moments, briefly, rank=moments):
            drafts |= sparse.whole(read_pods(answer, scope.state, finished.keys()))
        others = [name for uid, name in finished.items() if uid not in drafts]
        for answer in self._questions.by_name(
            "pods", others, lambda names: queries.pods(scope, window, self.label_keys, names)
        ):
            drafts |= read_pods(answer, scope.state, finished.keys())
        unclear = [draft.pod for draft in drafts.values() if draft.finished is None]
        for answer in self._questions.by_name(
            "presence", unclear, lambda names: ended_pods.presence(scope, window, names)
        ):
            read_presence(answer, scope.state, drafts)
        return drafts

    def _jobs(
        self, jobs: tuple[JobFact, ...], drafts: Mapping[str, PodDraft], window: TimeRange
    ) -> tuple[JobFact, ...]:
        """Jobs with all there is to know of them, where a long window was read at moments."""
        if not window.long:
            return jobs
        scope, known = self.scope, {(job.namespace, job.name): job for job in jobs}
        names = sparse.open_jobs(jobs, drafts.values())
        for answer in self._questions.by_name("jobs", names, lambda names: queries.jobs(scope, window, names)):
            known |= {(job.namespace, job.name): job for job in read_jobs(answer, scope.state)}
        return tuple(known[key] for key in sorted(known))

    def _measure(self, drafts: Sequence[PodDraft], targets: ScrapeTargets) -> tuple[PodFact, ...]:
        """Usage over the pods' own lives, a class of ends and lengths at a time, joined to facts."""
        usage: Usage = {}
        reused = twice(drafts)
        self._rate = of_containers.rate_seconds(self.client.scrape_interval or targets.interval)
        covered = self._recorded() if drafts and targets.records and not self.scope.usage.renamed else 0
        classes = list(by_life(drafts, self.latest, self.options.named_pods))
        for at, window, members in classes:
            names = [draft.pod for draft in members]
            records = window.length + self.end - at <= covered and not self.scope.usage.renamed
            self._live(at, window, names, usage, records=records)
            if not usage and not self._adopted and self._shape().usage.renamed:
                self._adopt()
                records = False
                self._live(at, window, names, usage)
            if records and not assemble.join_tails(usage, [(draft.namespace, draft.pod) for draft in members]):
                covered = 0
                self._live(at, window, names, usage, of_containers.usage)
            self.recorded += records and covered > 0
            self._storage(at, window, members, usage)
            self._volumes(at, window, members)
            self._least = self._least or assemble.least_interval(members, usage)
        unclear = assemble.unidentified(usage)
        for at, window, members in classes:
            reused |= self._reused(at, window, [d for d in members if _known_by_name(d, unclear)])
        known = self.client.scrape_interval
        interval = assemble.estimate_interval(drafts, usage, targets.interval) if known is None else known
        facts = assemble.facts(drafts, usage, reused=reused, interval=interval, sampled=targets.interval is not None)
        return gpus.with_gpus(facts, drafts, self._gpus(drafts), reused=reused)

    def _recorded(self) -> int:
        """Seconds before the pinned time that recording rules cover; 0 where they may lack late samples, or rates."""
        if self.client.source.delay_seconds > recorded.LATEST or self._rate != of_containers.RATE:
            return 0
        counts = self._questions.ask("records", queries.records(self.scope)).select("stat")
        return recorded.covered((int(span), count) for (span,), count in counts)

    def _gpus(self, drafts: Sequence[PodDraft]) -> gpus.GpuUse:
        """Use of the GPUs of the pods that request some."""
        use: gpus.GpuUse = {}
        held = [draft for draft in drafts if gpus.requests_gpus(draft)]
        for at, window, members in by_life(held, self.latest, self.options.named_pods):
            build = partial(extended.gpus, self.scope, window)
            for answer in self._questions.by_name("gpus", [d.pod for d in members], build, at):
                gpus.read_gpus(answer, self.scope.usage, use)
        return use

    def _live(
        self,
        at: float,
        window: TimeRange,
        pods: Sequence[str],
        usage: Usage,
        build: Callable[..., str] = of_containers.life,
        *,
        records: bool = False,
    ) -> None:
        """Add what these pods used over the window to ``usage``."""
        finest = of_containers.last_step(self.client.scrape_interval, self._least)
        step = finest if records else window.step(finest)
        text = partial(build, self.scope, window, sampling=of_containers.Sampling(finest, self._rate, records))
        for answer in self._questions.by_name("life", pods, text, at):
            assemble.read_usage(answer, self.scope.usage, usage, step=step)

    def _reused(self, at: float, window: TimeRange, members: Sequence[PodDraft]) -> set[PodName]:
        """Names that several pods bore."""
        pods: set[PodName] = set()
        build = partial(of_containers.reused, self.scope, window)
        for answer in self._questions.by_name("reused", [d.pod for d in members], build, at):
            pods |= {(row[0], row[1]) for row, _ in answer.select(*self.scope.state.columns("namespace", "pod"))}
        return pods

    def _nodes(self, facts: tuple[PodFact, ...], window: TimeRange) -> tuple[PodFact, ...]:
        """Facts with the types and prices of their nodes, where a policy asks for them."""
        if not self.options.nodes:
            return facts
        known: dict[str, nodes.NodeFacts] = {}
        names = {fact.node for fact in facts if fact.node}
        for answer in self._questions.by_name("nodes", names, partial(extended.nodes, self.scope, window)):
            nodes.read_nodes(answer, self.scope.state, known)
        return nodes.with_nodes(facts, known)

    def _storage(self, at: float, window: TimeRange, members: Sequence[PodDraft], usage: Usage) -> None:
        """Add the writable layers of the containers that have a request or limit for them."""
        names = [d.pod for d in members if any(_STORAGE in {*c.requests, *c.limits} for c in d.containers.values())]
        for answer in self._questions.by_name("storage", names, partial(extended.storage, self.scope, window), at):
            assemble.read_usage(answer, self.scope.usage, usage)

    def _volumes(self, at: float, window: TimeRange, members: Sequence[PodDraft]) -> None:
        """Add what was used of the persistent volumes that the pods mounted."""
        claims = {claim for draft in members for claim in draft.claims}
        amounts: volumes.ClaimBytes = {}
        for answer in self._questions.by_name("volumes", claims, partial(extended.volumes, self.scope, window), at):
            volumes.read_volumes(answer, self.scope.usage, amounts)
        volumes.join_volumes(members, amounts)

    def _shape(self) -> ScrapeShape:
        if self.shape is None:
            self.shape = detect(
                self._questions.ask("shape", queries.shape(self.scope, window_of(self.since, self.end, self.options)))
            )
        return self.shape

    def _adopt(self, *, state: bool = False) -> None:
        """From here on read labels from where the scrape moved them, as far as the configuration does not say where."""
        self._adopted = True
        shape, scope = self._shape(), self.scope
        moved = scope.state.over(shape.state) if state else scope.state
        self.scope = replace(scope, state=moved, usage=scope.usage.over(shape.usage))


def _known_by_name(draft: PodDraft, unclear: Set[PodName]) -> bool:
    """Whether figures of a pod, of which those ``unclear`` have some without a uid, are found by its name alone."""
    return (draft.namespace, draft.pod) in unclear or gpus.requests_gpus(draft)
