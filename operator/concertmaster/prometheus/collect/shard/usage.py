"""What the pods of a shard used over their lives, joined to facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from functools import partial

from concertmaster.core.model import PodFact
from concertmaster.prometheus.collect.shard.source import ShardSource
from concertmaster.prometheus.collect.windows import by_life, reused_names
from concertmaster.prometheus.facts import assemble, gpus, volumes
from concertmaster.prometheus.facts.container_usage import Usage, join_tails, read_usage, unidentified
from concertmaster.prometheus.facts.drafts import PodDraft, PodName
from concertmaster.prometheus.facts.vanished_pods import ScrapeTargets
from concertmaster.prometheus.queries import bulk as queries
from concertmaster.prometheus.queries import extended
from concertmaster.prometheus.queries import recording_rule as recorded
from concertmaster.prometheus.queries import usage as of_containers
from concertmaster.prometheus.queries.scope import TimeRange

_STORAGE = "ephemeral_storage"


class UsageReader:
    """Asks what pods used. ``latest``: moment (unix seconds) up to which the lives of what ended are read."""

    def __init__(self, source: ShardSource, latest: float) -> None:
        self._source = source
        self._latest = latest
        self._least: float | None = None  # seconds between samples of containers, by the lives read until now
        self._rate = of_containers.RATE
        self.recorded = 0  # classes of lives that recording rules answered for

    def measure(self, drafts: Sequence[PodDraft], targets: ScrapeTargets) -> tuple[PodFact, ...]:
        """Usage over the pods' own lives, a class of ends and lengths at a time, joined to facts."""
        usage: Usage = {}
        reused = reused_names(drafts)
        self._rate = of_containers.rate_seconds(self._source.client.scrape_interval or targets.interval)
        covered = self._recorded() if drafts and targets.records and not self._source.scope.usage.renamed else 0
        classes = list(by_life(drafts, self._latest, self._source.options.named_pods))
        for at, window, members in classes:
            names = [draft.pod for draft in members]
            records = window.length + self._source.end - at <= covered and not self._source.scope.usage.renamed
            self._live(at, window, names, usage, records=records)
            if not usage and not self._source.adopted and self._source.shape().usage.renamed:
                self._source.adopt()
                records = False
                self._live(at, window, names, usage)
            if records and not join_tails(usage, [(draft.namespace, draft.pod) for draft in members]):
                covered = 0
                self._live(at, window, names, usage, of_containers.usage)
            self.recorded += records and covered > 0
            self._storage(at, window, members, usage)
            self._volumes(at, window, members)
            self._least = self._least or assemble.least_interval(members, usage)
        unclear = unidentified(usage)
        for at, window, members in classes:
            reused |= self._reused(at, window, [d for d in members if _known_by_name(d, unclear)])
        known = self._source.client.scrape_interval
        interval = assemble.estimate_interval(drafts, usage, targets.interval) if known is None else known
        facts = assemble.facts(drafts, usage, reused=reused, interval=interval, sampled=targets.interval is not None)
        return gpus.with_gpus(facts, drafts, self._gpus(drafts), reused=reused)

    def _recorded(self) -> int:
        """Seconds before the pinned time that recording rules cover; 0 where they may lack late samples, or rates."""
        if self._source.client.source.delay_seconds > recorded.LATEST or self._rate != of_containers.RATE:
            return 0
        counts = self._source.ask("records", queries.records(self._source.scope)).select("stat")
        return recorded.covered((int(span), count) for (span,), count in counts)

    def _gpus(self, drafts: Sequence[PodDraft]) -> gpus.GpuUse:
        """Use of the GPUs of the pods that request some."""
        use: gpus.GpuUse = {}
        held = [draft for draft in drafts if gpus.requests_gpus(draft)]
        for at, window, members in by_life(held, self._latest, self._source.options.named_pods):
            build = partial(extended.gpus, self._source.scope, window)
            for answer in self._source.by_name("gpus", [d.pod for d in members], build, at):
                gpus.read_gpus(answer, self._source.scope.usage, use)
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
        finest = of_containers.last_step(self._source.client.scrape_interval, self._least)
        step = finest if records else window.step(finest)
        text = partial(build, self._source.scope, window, sampling=of_containers.Sampling(finest, self._rate, records))
        for answer in self._source.by_name("life", pods, text, at):
            read_usage(answer, self._source.scope.usage, usage, step=step)

    def _reused(self, at: float, window: TimeRange, members: Sequence[PodDraft]) -> set[PodName]:
        """Names that several pods bore."""
        pods: set[PodName] = set()
        build = partial(of_containers.reused, self._source.scope, window)
        for answer in self._source.by_name("reused", [d.pod for d in members], build, at):
            pods |= {
                (row[0], row[1]) for row, _ in answer.select(*self._source.scope.state.columns("namespace", "pod"))
            }
        return pods

    def _storage(self, at: float, window: TimeRange, members: Sequence[PodDraft], usage: Usage) -> None:
        """Add the writable layers of the containers that have a request or limit for them."""
        names = [d.pod for d in members if any(_STORAGE in {*c.requests, *c.limits} for c in d.containers.values())]
        for answer in self._source.by_name("storage", names, partial(extended.storage, self._source.scope, window), at):
            read_usage(answer, self._source.scope.usage, usage)

    def _volumes(self, at: float, window: TimeRange, members: Sequence[PodDraft]) -> None:
        """Add what was used of the persistent volumes that the pods mounted."""
        claims = {claim for draft in members for claim in draft.claims}
        amounts: volumes.ClaimBytes = {}
        for answer in self._source.by_name(
            "volumes", claims, partial(extended.volumes, self._source.scope, window), at
        ):
            volumes.read_volumes(answer, self._source.scope.usage, amounts)
        volumes.join_volumes(members, amounts)


def _known_by_name(draft: PodDraft, unclear: Set[PodName]) -> bool:
    """Whether figures of a pod, of which those ``unclear`` have some without a uid, are found by its name alone."""
    return (draft.namespace, draft.pod) in unclear or gpus.requests_gpus(draft)
