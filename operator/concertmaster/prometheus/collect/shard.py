"""One set of namespaces over one span: the bulk queries in order, each asking for what the ones before it found.

At most fifteen requests, in the worst case of labels in use, a scrape that moved labels, pods without a known end and
lives of all lengths: targets twice, shape, timeline, jobs, ends, resources, labels, presence, and counters and usage for
each of three classes of lives. A quiet shard costs two. Recording rules are not used where labels were moved, so that
the one request more when they leave something out still fits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from concertmaster.core.model import PodFact
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.collect.collection import Collection, CollectOptions
from concertmaster.prometheus.facts import assemble, missing, vanish
from concertmaster.prometheus.facts.assemble import Usage
from concertmaster.prometheus.facts.drafts import (
    PodDraft,
    PodName,
    read_ends,
    read_jobs,
    read_labels,
    read_presence,
    read_resources,
    read_timeline,
)
from concertmaster.prometheus.facts.scrape_shape import ScrapeShape, detect
from concertmaster.prometheus.facts.vanish import TargetState
from concertmaster.prometheus.queries import bulk as queries
from concertmaster.prometheus.queries import recording_rule as recorded
from concertmaster.prometheus.queries import usage as of_containers
from concertmaster.prometheus.queries.scope import QueryScope, TimeRange

LIFE_BUCKETS = (3600, 6 * 3600, 24 * 3600)  # seconds; usage is asked for over the pods' own lives, in these classes
LOOKBACK = 300  # seconds a series stays visible after its last sample where nothing marks it stale
LONGEST_LIFE = 7 * 24 * 3600  # seconds; the part of a longer life before that is not read


@dataclass(slots=True)
class Shard:
    """One set of namespaces over one span: the queries in order, each needing what the ones before it brought."""

    client: PrometheusClient
    scope: QueryScope
    label_keys: tuple[str, ...]
    options: CollectOptions
    since: float
    end: float
    dropped: int = 0
    recorded: int = 0
    shape: ScrapeShape | None = None
    _adopted: bool = False  # whether labels are read from where the scrape moved them

    def collect(self) -> Collection:
        """Everything of this shard. Raises MetricsError."""
        window = window_of(self.since, self.end, self.options)
        targets = self._targets(window)
        if not targets.seen:
            blind = not self._shape().present
            lacking = (missing.nothing(self.scope.namespaces),) if blind else ()
            return Collection(self.since, self.end, missing=(*self._shape().notes, *lacking), blind=blind)
        state = self.scope.state
        jobs = read_jobs(self._ask("jobs", queries.jobs(self.scope, window)), state)
        drafts = read_timeline(self._ask("timeline", queries.timeline(self.scope, window)), state)
        if drafts:
            self._describe(drafts, window)
        settled, held = vanish.split(drafts.values(), targets, self.since, self.end)
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
            recorded=self.recorded,
        )

    def _targets(self, window: TimeRange) -> TargetState:
        targets = vanish.read_targets(self._ask("targets", queries.targets(self.scope, window)))
        if targets.seen or self._adopted or not self._shape().state.renamed:
            return targets
        self._adopt(state=True)
        return vanish.read_targets(self._ask("targets", queries.targets(self.scope, window)))

    def _describe(self, drafts: dict[str, PodDraft], window: TimeRange) -> None:
        """Ends, resources, labels and, where an end is not known, when the pod was last seen."""
        scope, state = self.scope, self.scope.state
        names = self._names(drafts.values())
        read_ends(self._ask("ends", queries.ends(scope, window, names)), state, drafts)
        read_resources(self._ask("resources", queries.resources(scope, window, names)), state, drafts)
        if self.label_keys or scope.run_labels:
            text = queries.labels(scope, window, self.label_keys, names)
            read_labels(self._ask("labels", text), state, drafts)
        unclear = [draft for draft in drafts.values() if draft.finished is None]
        if unclear:
            text = queries.presence(scope, window, self._names(unclear))
            read_presence(self._ask("presence", text), state, drafts)

    def _measure(self, drafts: Sequence[PodDraft], targets: TargetState) -> tuple[PodFact, ...]:
        """Usage over the pods' own lives, a class of lengths at a time, joined to facts."""
        usage: Usage = {}
        reused: set[PodName] = set()
        prompt = self.client.source.delay_seconds <= recorded.LATEST
        for length, members in _by_life(drafts, self.end).items():
            window, names = TimeRange(length), self._names(members)
            answer = self._ask("counters", of_containers.counters(self.scope, window, names))
            if not answer.rows and not usage and not self._adopted and self._shape().usage.renamed:
                self._adopt()
                answer = self._ask("counters", of_containers.counters(self.scope, window, names))
            assemble.read_usage(answer, self.scope.usage, usage)
            step = window.step(of_containers.LAST_STEP)
            records = length <= targets.recorded and prompt and not self.scope.usage.renamed
            answer = self._ask("usage", of_containers.usage(self.scope, window, names, records=records))
            assemble.read_usage(answer, self.scope.usage, usage, step=of_containers.LAST_STEP if records else step)
            if records and not assemble.join_tails(usage, [(draft.namespace, draft.pod) for draft in members]):
                targets = replace(targets, recorded=0)
                answer = self._ask("usage", of_containers.usage(self.scope, window, names))
                assemble.read_usage(answer, self.scope.usage, usage, step=step)
            self.recorded += records and targets.recorded > 0
            reused |= assemble.read_reused(answer, self.scope.state)
        reused |= _twice(drafts)
        configured = self.client.source.scrape_interval
        interval = configured.seconds if configured else assemble.estimate_interval(drafts, usage, targets.interval)
        return assemble.facts(drafts, usage, reused=reused, interval=interval, sampled=targets.interval is not None)

    def _shape(self) -> ScrapeShape:
        if self.shape is None:
            self.shape = detect(
                self._ask("shape", queries.shape(self.scope, window_of(self.since, self.end, self.options)))
            )
        return self.shape

    def _adopt(self, *, state: bool = False) -> None:
        """From here on read labels from where the scrape moved them, as far as the configuration does not say where."""
        self._adopted = True
        shape, scope = self._shape(), self.scope
        moved = scope.state.over(shape.state) if state else scope.state
        self.scope = replace(scope, state=moved, usage=scope.usage.over(shape.usage))

    def _hold(self, held: Sequence[PodDraft]) -> tuple[float, tuple[str, ...]]:
        """How far the watermark may move with these pods held back, and what is given up."""
        if not held:
            return self.end, ()
        seen = [self.since if draft.last_seen is None else draft.last_seen for draft in held]
        earliest = min(seen) - self.options.shortest
        longest = self.end - self.options.hold
        if earliest < longest:
            note = f"{len(held)} pods disappeared while kube-state-metrics was away for long; their ends stay unknown"
            return max(self.since, longest), (note,)
        return max(self.since, min(self.end, earliest)), ()

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
        vector = self.client.instant(text, self.end, name=name)
        self.dropped += vector.dropped
        return vector


def window_of(since: float, end: float, options: CollectOptions) -> TimeRange:
    known = int(end - since + options.overlap)
    return TimeRange(known + LOOKBACK, known)


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
    names = Counter((draft.namespace, draft.pod) for draft in drafts)
    return {name for name, count in names.items() if count > 1}
