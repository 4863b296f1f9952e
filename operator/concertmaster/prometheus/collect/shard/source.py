"""A metrics source as one shard asks it: its requests, counted, pinned to its end, and by as many names of pods at a time as
the source allows; and where the labels are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import TooLarge
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.collect.collection import CollectOptions
from concertmaster.prometheus.facts.scrape_shape import ScrapeShape, detect
from concertmaster.prometheus.queries import bulk as queries
from concertmaster.prometheus.queries.scope import QueryScope, TimeRange


@dataclass(slots=True)
class ShardSource:
    """``scope`` is what queries ask for from now on, ``window`` the span of the shard, up to ``end`` (unix seconds).
    ``adopted``: whether labels are read from where the scrape moved them; ``known_shape``: where they are, once asked."""

    client: PrometheusClient
    options: CollectOptions
    scope: QueryScope
    window: TimeRange
    end: float
    adopted: bool = False
    known_shape: ScrapeShape | None = None
    count: int = 0  # queries so far
    dropped: int = 0  # samples without a usable number
    _most: dict[str, int] = field(default_factory=dict)  # names that one query of its kind can hold

    def ask(self, name: str, text: str, at: float | None = None) -> Vector:
        """One query. Raises MetricsError."""
        self.count += 1
        vector = self.client.instant(text, self.end if at is None else at, name=name)
        self.dropped += vector.dropped
        return vector

    def by_name(
        self,
        query: str,
        pods: Iterable[str],
        build: Callable[[Sequence[str]], str],
        at: float | None = None,
        rank: Mapping[str, int] | None = None,
    ) -> Iterator[Vector]:
        """Ask what ``build`` makes of the names, fewer at a time where its text is too long or an answer too large; those of
        equal ``rank`` together."""
        names, start = sorted(set(pods), key=lambda name: (rank[name] if rank else 0, name)), 0
        while start < len(names):
            part = names[start : start + self._most.get(query, self.options.named_pods)]
            text = build(part)
            if len(part) > 1 and len(text) > self.options.longest_query:
                fitting = len(part) * self.options.longest_query // len(text)
                self._most[query] = max(1, min(fitting, len(part) - 1))
                continue
            try:
                answer = self.ask(query, text, at)
            except TooLarge:
                if len(part) == 1:
                    raise
                self._most[query] = len(part) // 2
                continue
            start += len(part)
            yield answer

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the answers so far."""
        note = f"{self.dropped} samples had no usable number (NaN or infinite) and were left out"
        return (note,) if self.dropped else ()

    def shape(self) -> ScrapeShape:
        """Where the labels are, asked once. Raises MetricsError."""
        if self.known_shape is None:
            self.known_shape = detect(self.ask("shape", queries.shape(self.scope, self.window)))
        return self.known_shape

    def adopt(self, *, state: bool = False) -> None:
        """From here on read labels from where the scrape moved them, as far as the configuration does not say where."""
        self.adopted = True
        shape, scope = self.shape(), self.scope
        moved = scope.state.over(shape.state) if state else scope.state
        self.scope = replace(scope, state=moved, usage=scope.usage.over(shape.usage))
