"""The scrape interval of a source by its list of targets, so that facts do not depend on which pods share a reading."""

from __future__ import annotations

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError
from concertmaster.prometheus.facts import targets
from concertmaster.prometheus.queries.bulk import WORKING_SET
from concertmaster.prometheus.queries.promql import equalities, selector
from concertmaster.prometheus.queries.scope import LabelScheme


def learn(client: PrometheusClient, now: float) -> None:
    """Store in ``client`` how often the targets that deliver container series are scraped, where the configuration does
    not say. If the source does not report it either, it stays unknown and is estimated from the samples of each reading."""
    source = client.source
    if source.scrape_interval is not None or not client.hourly.due("scrape interval", now):
        return
    scheme = LabelScheme(source.labels.container_metrics)
    inside = selector(WORKING_SET, [*equalities(source.extra_matchers), scheme.match("container", "!=", "")])
    try:
        listed = client.targets()
        if listed:
            text = f"group by (job, metrics_path) ({inside})"
            answer = client.instant(text, now - source.delay_seconds, name="container targets")
            delivered = [(row[0], row[1]) for row, _ in answer.select("job", "metrics_path")]
            client.learned_interval = targets.scrape_interval(listed, delivered)
    except MetricsError:
        return  # what is wrong with the source is reported by the reading that follows
