"""One look at a metrics store: pods that ended or vanished since the watermark, as facts, by a fixed number of queries.

An answer is used whole or not at all. Every failure, warning or truncation raises, so the caller's watermark stays
where it was; what a scope holds too much of is asked for again in halves, by namespaces and then by time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from concertmaster.core.model import JobFact, PodFact
from concertmaster.metrics import assemble, missing, queries, vanish
from concertmaster.metrics.assemble import PodDraft, PodName, Usage
from concertmaster.metrics.client import PrometheusClient
from concertmaster.metrics.dialect import Shape, detect
from concertmaster.metrics.errors import TooLarge
from concertmaster.metrics.missing import Missing
from concertmaster.metrics.queries import Scope, Window
from concertmaster.metrics.vanish import TargetState
from concertmaster.metrics.vector import Vector

LIFE_BUCKETS = (3600, 6 * 3600, 24 * 3600)  # seconds; usage is asked for over the pods' own lives, in these classes
LOOKBACK = 300  # seconds a series stays visible after its last sample where nothing marks it stale
LONGEST_LIFE = 7 * 24 * 3600  # seconds; the part of a longer life before that is not looked at


@dataclass(frozen=True, slots=True)
class Options:
    """How to collect. ``run_labels``: Kubernetes label keys that make a pod part of a run (graph profiles).

    ``overlap`` seconds before the watermark are looked at again, for samples that arrived late; the caller tells pods
    apart by uid. One look covers at most ``longest`` seconds and splits down to ``shortest``. ``hold`` bounds how long
    the watermark waits for pods that may have ended while kube-state-metrics was down.
    """

    run_labels: tuple[str, ...] = ()
    overlap: float = 120.0
    longest: float = 6 * 3600.0
    shortest: float = 60.0
    hold: float = 6 * 3600.0
    named_pods: int = 500  # up to this many pods are asked for by name; above, by namespace


@dataclass(frozen=True, slots=True)
class Collection:
    """What one look brought: everything that ended in (``since``, ``complete_until``].

    ``facts`` may repeat pods of earlier looks (same uid, equal or better figures). ``queries`` counts requests.
    """

    since: float
    complete_until: float
    facts: tuple[PodFact, ...] = ()
    jobs: tuple[JobFact, ...] = ()
    missing: tuple[Missing, ...] = ()
    warnings: tuple[str, ...] = ()
    queries: int = 0
    held: int = 0  # vanished pods not believed yet
    shards: int = 1

    @property
    def job_owners(self) -> dict[tuple[str, str], tuple[str, str]]:
        """(namespace, Job) to its owner's (kind, name), for Jobs that have one."""
        return {
            (job.namespace, job.name): (job.owner_kind, job.owner_name)
            for job in self.jobs
            if job.owner_kind is not None and job.owner_name is not None
        }


def collect(
    client: PrometheusClient,
    *,
    namespaces: Sequence[str],
    since: float,
    until: float,
    now: float,
    label_keys: Sequence[str] = (),
    options: Options | None = None,
) -> Collection:
    """Pods of runs in ``namespaces`` (empty: all) that ended or vanished in (since, until].

    Times are unix seconds. The newest moment asked for lies the source's delay before ``now``. Raises MetricsError; the
    watermark may move to ``complete_until`` and not beyond, which is less than ``until`` when the span was too long or
    too full for one look, or when pods are held back.
    """
    chosen = options or Options()
    end = float(int(min(until, now - client.source.delay_seconds, since + chosen.longest)))
    if end <= since:
        return Collection(since=since, complete_until=since, shards=0)
    look = _Look(client, tuple(label_keys), chosen)
    while True:
        try:
            return look.over(tuple(sorted(set(namespaces))), since, end)
        except TooLarge:
            if end - since <= chosen.shortest:
                raise
            end = float(int(since + max(chosen.shortest, (end - since) / 2)))


def backfill(
    client: PrometheusClient,
    *,
    namespaces: Sequence[str],
    since: float,
    until: float,
    now: float,
    label_keys: Sequence[str] = (),
    options: Options | None = None,
) -> Iterator[Collection]:
    """The same over a long span, newest first, so that advice does not wait for the oldest run.

    Each chunk covers at most ``options.longest`` seconds and is complete when it is yielded; one that is too large is
    halved. Raises MetricsError between chunks; what was yielded stays true, and the caller may go on later with
    ``until`` set to the ``since`` of the last chunk.
    """
    chosen = options or Options()
    end = float(int(min(until, now - client.source.delay_seconds)))
    look = _Look(client, tuple(label_keys), chosen)
    scope = tuple(sorted(set(namespaces)))
    length = chosen.longest
    while end > since:
        begin = max(since, float(int(end - length)))
        try:
            found = look.over(scope, begin, end)
        except TooLarge:
            if end - begin <= chosen.shortest:
                raise
            length = max(chosen.shortest, (end - begin) / 2)
            continue
        # Pods held back in the past need no waiting: their end, if it was seen at all, lies in a newer chunk.
        yield replace(found, complete_until=end)
        end = begin
        length = min(chosen.longest, length * 2)


@dataclass(slots=True)
class _Look:
    """The queries of one call, sharing what was learned about the store."""

    client: PrometheusClient
    label_keys: tuple[str, ...]
    options: Options
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        source = self.client.source
        self.scope = Scope(
            extra_matchers=source.extra_matchers,
            owner_kinds=source.owner_kinds,
            run_labels=self.options.run_labels,
            per_metric=source.per_metric_queries,
        )

    def over(self, namespaces: tuple[str, ...], since: float, end: float) -> Collection:
        """One span, split by namespaces when an answer is too large. Raises TooLarge when that does not help."""
        scope = replace(self.scope, namespaces=namespaces)
        before = self.client.requests
        try:
            found = _Shard(self.client, scope, self.label_keys, self.options, since, end).collect()
            return replace(found, queries=self.client.requests - before)
        except TooLarge:
            if len(namespaces) == 1:
                raise
            names = namespaces or self._namespaces(scope, since, end)
            if len(names) < 2:
                raise
        half = len(names) // 2
        parts = [self.over(names[:half], since, end), self.over(names[half:], since, end)]
        return replace(_joined(parts), queries=self.client.requests - before)

    def _namespaces(self, scope: Scope, since: float, end: float) -> tuple[str, ...]:
        window = _window(since, end, self.options)
        found = self.client.instant(queries.namespaces(scope, window), end, name="namespaces")
        return tuple(sorted(row[0] for row, _ in found.select(scope.state.name("namespace"))))


@dataclass(slots=True)
class _Shard:
    """One set of namespaces over one span: the queries in order, each needing what the ones before it brought."""

    client: PrometheusClient
    scope: Scope
    label_keys: tuple[str, ...]
    options: Options
    since: float
    end: float
    dropped: int = 0
    shape: Shape | None = None

    def collect(self) -> Collection:
        """Everything of this shard. Raises MetricsError."""
        window = _window(self.since, self.end, self.options)
        targets = self._targets(window)
        if not targets.seen:
            lacking = () if self._shape().present else (missing.nothing(self.scope.namespaces),)
            return Collection(self.since, self.end, missing=(*self._shape().notes, *lacking))
        state = self.scope.state
        jobs = assemble.read_jobs(self._ask("jobs", queries.jobs(self.scope, window)), state)
        drafts = assemble.read_timeline(self._ask("timeline", queries.timeline(self.scope, window)), state)
        if drafts:
            self._describe(drafts, window)
        settled, held = vanish.split(drafts.values(), targets, self.end)
        until, given_up = self._hold(held)
        facts = self._measure(settled, targets)
        return Collection(
            since=self.since,
            complete_until=until,
            facts=facts,
            jobs=jobs,
            missing=(
                *(self.shape.notes if self.shape else ()),
                *missing.state_metrics(targets, len(held)),
                *missing.absent(facts),
            ),
            warnings=(*self._dropped(), *given_up),
            held=len(held),
        )

    def _targets(self, window: Window) -> TargetState:
        found = vanish.read_targets(self._ask("targets", queries.targets(self.scope, window)))
        if found.seen or not self._shape().state.renamed:
            return found
        self.scope = replace(self.scope, state=self._shape().state, usage=self._shape().usage)
        return vanish.read_targets(self._ask("targets", queries.targets(self.scope, window)))

    def _describe(self, drafts: dict[str, PodDraft], window: Window) -> None:
        """Ends, resources, labels and, where an end is not known, when the pod was last seen."""
        scope, state = self.scope, self.scope.state
        names = self._names(drafts.values())
        assemble.read_ends(self._ask("ends", queries.ends(scope, window, names)), state, drafts)
        assemble.read_resources(self._ask("resources", queries.resources(scope, window, names)), state, drafts)
        if self.label_keys or scope.run_labels:
            text = queries.labels(scope, window, self.label_keys, names)
            assemble.read_labels(self._ask("labels", text), state, drafts)
        unclear = [draft for draft in drafts.values() if draft.finished is None]
        if unclear:
            text = queries.presence(scope, window, self._names(unclear))
            assemble.read_presence(self._ask("presence", text), state, drafts)

    def _measure(self, drafts: Sequence[PodDraft], targets: TargetState) -> tuple[PodFact, ...]:
        """Usage over the pods' own lives, a class of lengths at a time, joined to facts."""
        usage: Usage = {}
        reused: set[PodName] = set()
        for length, members in _by_life(drafts, self.end).items():
            window, names = Window(length), self._names(members)
            found = self._ask("counters", queries.counters(self.scope, window, names))
            if not found.rows and not usage and not self.scope.usage.renamed and self._shape().usage.renamed:
                self.scope = replace(self.scope, usage=self._shape().usage)
                found = self._ask("counters", queries.counters(self.scope, window, names))
            assemble.read_usage(found, self.scope.usage, usage)
            found = self._ask("usage", queries.usage(self.scope, window, names))
            assemble.read_usage(found, self.scope.usage, usage)
            reused |= assemble.read_reused(found, self.scope.state)
        reused |= _twice(drafts)
        told = self.client.source.scrape_interval
        interval = told.seconds if told else assemble.estimate_interval(drafts, usage, targets.interval)
        return assemble.facts(drafts, usage, reused=reused, interval=interval, sampled=targets.interval is not None)

    def _shape(self) -> Shape:
        if self.shape is None:
            self.shape = detect(
                self._ask("shape", queries.shape(self.scope, _window(self.since, self.end, self.options)))
            )
        return self.shape

    def _hold(self, held: Sequence[PodDraft]) -> tuple[float, tuple[str, ...]]:
        """How far the watermark may move with these pods held back, and what is given up."""
        seen = [draft.last_seen for draft in held if draft.last_seen is not None]
        if not seen:
            return self.end, ()
        wanted = min(seen) - self.options.shortest
        longest = self.end - self.options.hold
        if wanted < longest:
            note = f"{len(held)} pods disappeared while kube-state-metrics was away for long; their ends stay unknown"
            return max(self.since, longest), (note,)
        return max(self.since, min(self.end, wanted)), ()

    def _dropped(self) -> tuple[str, ...]:
        return (
            (f"{self.dropped} samples had no usable number (NaN or infinite) and were left out",)
            if self.dropped
            else ()
        )

    def _names(self, drafts: Iterable[PodDraft]) -> tuple[str, ...]:
        """The pods' names where they are few enough to be put into a query, else none."""
        names = {draft.pod for draft in drafts}
        return tuple(sorted(names)) if len(names) <= self.options.named_pods else ()

    def _ask(self, name: str, text: str) -> Vector:
        found = self.client.instant(text, self.end, name=name)
        self.dropped += found.dropped
        return found


def _window(since: float, end: float, options: Options) -> Window:
    known = int(end - since + options.overlap)
    return Window(known + LOOKBACK, known)


def _by_life(drafts: Sequence[PodDraft], end: float) -> dict[int, list[PodDraft]]:
    """Drafts by the window (seconds back from ``end``) that covers the lives of their class."""
    classes: dict[int, list[PodDraft]] = {}
    needs: dict[int, float] = {}
    for draft in drafts:
        begin = draft.begin
        need = min(float(LONGEST_LIFE), max(60.0, end - begin)) if begin is not None else float(LIFE_BUCKETS[0])
        place = next((i for i, bound in enumerate(LIFE_BUCKETS) if need <= bound), len(LIFE_BUCKETS) - 1)
        classes.setdefault(place, []).append(draft)
        needs[place] = max(need, needs.get(place, 0.0))
    return {60 * (int(needs[place]) // 60 + 1): classes[place] for place in sorted(classes)}


def _twice(drafts: Sequence[PodDraft]) -> set[PodName]:
    names = [(draft.namespace, draft.pod) for draft in drafts]
    return {name for name in names if names.count(name) > 1}


def _joined(parts: Sequence[Collection]) -> Collection:
    """Several shards of one span as one; complete as far as the least complete of them."""
    return Collection(
        since=parts[0].since,
        complete_until=min(part.complete_until for part in parts),
        facts=tuple(fact for part in parts for fact in part.facts),
        jobs=tuple(job for part in parts for job in part.jobs),
        missing=tuple(dict.fromkeys(note for part in parts for note in part.missing)),
        warnings=tuple(dict.fromkeys(note for part in parts for note in part.warnings)),
        held=sum(part.held for part in parts),
        shards=sum(part.shards for part in parts),
    )
