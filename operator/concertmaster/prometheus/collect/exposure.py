"""What exposes pods, and how often containers are sampled: the ``targets`` query, and what it need not ask each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from concertmaster.core.units import HOUR
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.vanished_pods import ScrapeTargets, read_targets
from concertmaster.prometheus.queries import bulk as queries
from concertmaster.prometheus.queries.scope import QueryScope, TimeRange


def target_state(
    ask: Callable[[str, str], Vector], client: PrometheusClient, scope: QueryScope, window: TimeRange, end: float
) -> ScrapeTargets:
    """The state at ``end`` (unix seconds); ``ask`` takes a query's name and text. Raises MetricsError."""

    def state(within: str = "") -> ScrapeTargets:
        # Every container of the source is counted for it: it is asked once an hour, and the past goes by the present.
        known = client.sampled_interval is not None and end < client.sampled_at + HOUR
        exposure = read_targets(ask("targets", queries.targets(scope, window, within, timed=not known)))
        if not known:
            client.sampled_interval, client.sampled_at = exposure.interval, end
        if exposure.seen and not exposure.known:
            exposure = replace(exposure, exposing=read_targets(ask("exposing", queries.exposing(scope))).exposing)
        return replace(exposure, interval=client.sampled_interval)

    exposure = state()
    return exposure if exposure.seen or not window.long else state(window.range)
