"""What exposes pods, and how often containers are sampled: the ``targets`` query, and what it need not ask each time."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.units import HOUR
from concertmaster.prometheus.collect.shard.source import ShardSource
from concertmaster.prometheus.facts.vanished_pods import ScrapeTargets, read_targets
from concertmaster.prometheus.queries import bulk as queries


def target_state(source: ShardSource) -> ScrapeTargets:
    """The state at the end of the shard. Raises MetricsError."""
    scope, window, end = source.scope, source.window, source.end
    ask, traits = source.ask, source.client.traits

    def state(within: str = "") -> ScrapeTargets:
        # Every container of the source is counted for it: it is asked once an hour, and the past goes by the present.
        known = traits.sampled_interval is not None and end < traits.sampled_at + HOUR
        exposure = read_targets(ask("targets", queries.targets(scope, window, within, timed=not known)))
        if not known:
            traits.sampled_interval, traits.sampled_at = exposure.interval, end
        if exposure.seen and not exposure.known:
            exposure = replace(exposure, exposing=read_targets(ask("exposing", queries.exposing(scope))).exposing)
        return replace(exposure, interval=traits.sampled_interval)

    exposure = state()
    return exposure if exposure.seen or not window.long else state(window.range)
