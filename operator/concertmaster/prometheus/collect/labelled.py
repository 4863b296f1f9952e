"""Which workflows pods' labels name, as far as kube-state-metrics exports them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.facts.scrape_shape import detect
from concertmaster.prometheus.queries import bulk
from concertmaster.prometheus.queries.labelled import labelled
from concertmaster.prometheus.queries.scope import QueryScope, TimeRange

Row = tuple[str, dict[str, str]]
"""A namespace, and values of labels that pods had in it."""


def labels_seen(
    client: PrometheusClient, namespaces: Sequence[str], finder: str, keys: Sequence[str], *, seconds: int, now: float
) -> list[Row]:
    """Values of ``keys`` on pods with the label ``finder`` in the last ``seconds``. Raises MetricsError."""
    scope = QueryScope.in_source(client.source, namespaces)
    at, window = float(int(now - client.source.delay_seconds)), TimeRange(seconds)
    rows = _ask(client, scope, window, finder, keys, at)
    if rows:
        return rows
    moved = detect(client.instant(bulk.shape(scope, window), at, name="shape")).state
    if not moved.renamed:
        return rows
    return _ask(client, replace(scope, state=scope.state.over(moved)), window, finder, keys, at)


def _ask(
    client: PrometheusClient, scope: QueryScope, window: TimeRange, finder: str, keys: Sequence[str], at: float
) -> list[Row]:
    answer = client.instant(labelled(scope, window, finder, keys), at, name="labelled")
    names = (scope.state.name("namespace"), *(scope.state.pod_label(key) for key in keys))
    return [
        (namespace, {key: text for key, text in zip(keys, values, strict=True) if text})
        for (namespace, *values), _ in answer.select(*names)
        if namespace
    ]
