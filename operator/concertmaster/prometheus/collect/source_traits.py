"""What rarely changes at a source and is asked once an hour: the scrape interval by its list of targets, so that facts do
not depend on which pods share a reading, and whether its series have the labels by which everything is read."""

from __future__ import annotations

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import (
    AuthFailed,
    MetricsError,
    NotPrometheus,
    SourceUnreachable,
    Unlabelled,
)
from concertmaster.prometheus.facts import targets
from concertmaster.prometheus.facts.series_labels import SeriesLabels, read_labels
from concertmaster.prometheus.queries import series_labels as labels_query
from concertmaster.prometheus.queries.bulk import WORKING_SET
from concertmaster.prometheus.queries.promql import equalities, selector
from concertmaster.prometheus.queries.scope import LabelScheme


def learn_interval(client: PrometheusClient, now: float) -> None:
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
            client.traits.listed_interval = targets.scrape_interval(listed, delivered)
    except MetricsError:
        return  # what is wrong with the source is reported by the reading that follows


def series_labels(client: PrometheusClient, now: float, known: SeriesLabels | None) -> SeriesLabels:
    """What its series lack: ``known``, or what they do now where that is an hour old or keeps everything from being read.
    ``client`` learns which series of CPU time to read, and whether all pods have moved labels. Raises Unlabelled where no
    pod can be identified (a reading would find that nothing runs, and believe it), and other MetricsErrors where the source
    answers no other query either."""
    due = client.hourly.due("labels", now)
    if known is None or due or not known.judged:
        known = _asked(client, now - client.source.delay_seconds, known)
        client.traits.each_cpu, client.traits.moved = known.each_cpu, known.moved
    if (unknown := known.unknown_pods) is not None:
        client.hourly.forget("labels")  # the caller keeps what it knew before
        where = f"source {client.source.name}"
        raise Unlabelled(
            f"{unknown.series}: {unknown.effect}", where=where, remedy=unknown.fix[0].upper() + unknown.fix[1:]
        )
    return known


def _asked(client: PrometheusClient, at: float, known: SeriesLabels | None) -> SeriesLabels:
    """What its series lack, or what is ``known`` of a source that fails at this query: it is read for an hour as if all
    labels were there where nothing is. Raises the MetricsErrors of a source that is down."""
    for _ in range(2):  # one that has just come up answers the second time
        try:
            return ask_labels(client, at)
        except MetricsError as error:
            raise_if_down(client, error, at)
            if known is not None or not isinstance(error, SourceUnreachable):
                break
    return known or SeriesLabels(judged=True)


def raise_if_down(client: PrometheusClient, error: MetricsError, at: float) -> None:
    """Raises a MetricsError where the source does not answer at all, and nothing where it fails at the query that gave
    ``error``. A proxy says of a query that takes too long what it says of a source that is down: one that is answered from
    stored samples in no time tells which it is."""
    if isinstance(error, AuthFailed | NotPrometheus):
        raise error
    if isinstance(error, SourceUnreachable):
        pods = selector("kube_pod_info", equalities(client.source.extra_matchers))
        client.instant(f"group({pods})", at, name="reachability")


def ask_labels(client: PrometheusClient, at: float, within: str = "") -> SeriesLabels:
    """What its series lack at a moment, or ``within`` a range before it. Raises MetricsError."""
    answer = client.instant(labels_query.series_labels(client.source, within), at, name="labels")
    return read_labels(answer)
