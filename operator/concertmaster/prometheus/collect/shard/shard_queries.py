"""The requests of one shard: counted, pinned to its end, and by as many names of pods at a time as the source allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import TooLarge
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.collect.collection import CollectOptions


@dataclass(slots=True)
class ShardQueries:
    """What was asked so far. ``end``: unix seconds, where a query is evaluated unless it says otherwise."""

    client: PrometheusClient
    options: CollectOptions
    end: float
    count: int = 0
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
        """What is to be said of the answers."""
        note = f"{self.dropped} samples had no usable number (NaN or infinite) and were left out"
        return (note,) if self.dropped else ()
