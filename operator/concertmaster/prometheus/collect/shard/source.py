"""A metrics source as one shard asks it: its queries, and where the labels are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.collection import CollectOptions
from concertmaster.prometheus.collect.shard.shard_queries import ShardQueries
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
    queries: ShardQueries = field(init=False)

    def __post_init__(self) -> None:
        self.queries = ShardQueries(self.client, self.options, self.end)

    def shape(self) -> ScrapeShape:
        """Where the labels are, asked once. Raises MetricsError."""
        if self.known_shape is None:
            self.known_shape = detect(self.queries.ask("shape", queries.shape(self.scope, self.window)))
        return self.known_shape

    def adopt(self, *, state: bool = False) -> None:
        """From here on read labels from where the scrape moved them, as far as the configuration does not say where."""
        self.adopted = True
        shape, scope = self.shape(), self.scope
        moved = scope.state.over(shape.state) if state else scope.state
        self.scope = replace(scope, state=moved, usage=scope.usage.over(shape.usage))
