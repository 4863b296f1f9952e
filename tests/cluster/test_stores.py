"""Stores that are not Prometheus, each as a real HTTP server that behaves like it in front of a real Prometheus: the same
facts where the metrics source answers, and nothing at all where it answers in part."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import AuthFailed, BadQuery, MetricsError, PartialAnswer
from concertmaster.prometheus.collect.diagnostics import DiagnosticStatus
from concertmaster.prometheus.collect.examination import Examination
from concertmaster.prometheus.collect.reading import Collection, CollectOptions, collect
from concertmaster.settings import MetricsSource
from testbed.series.openmetrics import Grid, render
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.histories import END, pod
from tests.support.data.metrics_store import Asked, Reply, Store, failure, running

HOUR = 3600.0
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def prometheus() -> Iterator[PrometheusServer]:
    lives = [pod(place, f"p-{n}", -5400.0 + 60 * n, 300) for place in ("a", "b") for n in range(40)]
    server = PrometheusServer()
    server.load_openmetrics(render(lives, Grid(END - 2 * HOUR, END)))
    with server:
        yield server


@pytest.fixture
def store() -> Iterator[Store]:
    with running() as found:
        yield found


def behind(prometheus: PrometheusServer, asked: Asked, path: str | None = None, change: Change | None = None) -> Reply:
    """What the real Prometheus answers to the same request, with the envelope changed."""
    body = urlencode(asked.body).encode() if asked.method == "POST" else None
    url = f"{prometheus.url}{path or asked.path}" + (f"?{urlencode(asked.url)}" if asked.url else "")
    request = urllib.request.Request(url, data=body, method=asked.method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            envelope = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return Reply(error.read(), error.code)
    if change is not None:
        change(envelope)
    return Reply(json.dumps(envelope).encode())


def look(url: str, **fields: Any) -> Collection:
    """The last two hours."""
    client = PrometheusClient(
        MetricsSource.model_validate({"name": "s", "url": url, "scrapeInterval": "30s", **fields})
    )
    return collect(
        client,
        namespaces=["a", "b"],
        since=END - 2 * HOUR,
        until=END,
        now=END + HOUR,
        options=CollectOptions(longest=1e6),
    )


@pytest.fixture(scope="module")
def plain(prometheus: PrometheusServer) -> Collection:
    found = look(prometheus.url)
    assert len(found.facts) == 80
    return found


@pytest.mark.parametrize("strict", [False, True])
def test_thanos_with_a_store_down_is_not_believed(
    prometheus: PrometheusServer, plain: Collection, store: Store, strict: bool
) -> None:
    """By default Thanos answers 200 with a warning and what it has; with partial_response=false it fails."""
    down = True

    def thanos(asked: Asked) -> Reply:
        reported = {**asked.url, **asked.body}
        if down and reported.get("partial_response") == "false":
            return failure(503, "internal", "expanding series: no StoreAPIs matched for this query")

        def partly(envelope: dict[str, Any]) -> None:
            if down and asked.path.endswith("/query"):
                envelope["warnings"] = [
                    "No StoreAPIs matched for this query: receive series from 10.0.0.7: unavailable"
                ]
                envelope["data"]["result"] = envelope["data"]["result"][::2]

        bare = replace(asked, body={k: v for k, v in asked.body.items() if k not in ("partial_response", "dedup")})
        return behind(prometheus, replace(bare, url={}), change=partly)

    store.script = thanos
    fields: dict[str, Any] = {"queryParams": {"dedup": "true", "partial_response": "false"}} if strict else {}
    with pytest.raises(PartialAnswer if not strict else MetricsError) as raised:
        look(store.url, **fields)
    assert "10.0.0.7" in str(raised.value) or strict
    down = False
    assert look(store.url, **fields).facts == plain.facts


def test_mimir_wants_a_tenant_and_refuses_what_is_too_much(
    prometheus: PrometheusServer, plain: Collection, store: Store
) -> None:
    """Its API lies below /prometheus, every request names a tenant, and a query may touch so many series only."""

    def mimir(asked: Asked) -> Reply:
        if asked.headers.get("X-Scope-OrgID") != "team-a":
            return Reply(b"no org id\n", 401, {"Content-Type": "text/plain"})
        if not asked.path.startswith("/prometheus/"):
            return Reply(b"404 page not found\n", 404, {"Content-Type": "text/plain"})
        if len(re.findall(r'"a\|b"', asked.query)) > 0:
            text = "the query exceeded the maximum number of series (limit: 20 series) (err-mimir-max-series-per-query)"
            return failure(422, "execution", text)
        return behind(prometheus, asked, asked.path.removeprefix("/prometheus"))

    store.script = mimir
    with pytest.raises(AuthFailed, match="401"):
        look(f"{store.url}/prometheus")
    found = look(f"{store.url}/prometheus", headers={"X-Scope-OrgID": "team-a"})
    assert found.shards == 2  # halved by namespaces
    assert found.facts == plain.facts


def test_victoria_metrics_says_partial_in_a_field_of_its_own(
    prometheus: PrometheusServer, plain: Collection, store: Store
) -> None:
    """It has no warnings, no runtime information, and unknown paths are bad requests."""
    partial = True

    def victoria(asked: Asked) -> Reply:
        if asked.path.endswith("/status/runtimeinfo"):
            return Reply(b"unsupported path requested\n", 400, {"Content-Type": "text/plain"})

        def flagged(envelope: dict[str, Any]) -> None:
            envelope["isPartial"] = partial
            envelope["stats"] = {"seriesFetched": "12"}
            envelope.pop("infos", None)

        return behind(prometheus, asked, change=flagged)

    store.script = victoria
    with pytest.raises(PartialAnswer, match="isPartial"):
        look(store.url)
    partial = False
    assert look(store.url).facts == plain.facts
    client = PrometheusClient(MetricsSource.model_validate({"name": "s", "url": store.url}))
    found = {check.name: check for check in Examination(client, END + 60).run()}
    assert (found["metrics source"].mark, found["retention"].mark) == (DiagnosticStatus.OK, DiagnosticStatus.OK)
    assert "not reported" in found["retention"].result


def test_a_managed_store_that_refuses_patterns_of_names(
    prometheus: PrometheusServer, plain: Collection, store: Store
) -> None:
    def managed(asked: Asked) -> Reply:
        if re.search(r"__name__\s*(=~|!~|!=)", asked.query):
            return failure(400, "bad_data", "regex matchers on metric name are not supported")
        return behind(prometheus, asked)

    store.script = managed
    with pytest.raises(BadQuery, match="perMetricQueries: true"):
        look(store.url)
    found = look(store.url, perMetricQueries=True)
    assert found.facts == plain.facts
    assert found.queries == plain.queries


def test_a_store_that_relabels_is_read_by_its_label_map(
    prometheus: PrometheusServer, plain: Collection, store: Store
) -> None:
    """Its series carry k8s_namespace and k8s_pod instead of namespace and pod: queries ask for those names only."""
    names = {"namespace": "k8s_namespace", "pod": "k8s_pod", "uid": "k8s_uid"}

    def outward(envelope: dict[str, Any]) -> None:
        for row in envelope.get("data", {}).get("result", []):
            row["metric"] = {names.get(k, k): v for k, v in row["metric"].items()}

    def relabelling(asked: Asked) -> Reply:
        query = asked.query
        assert not re.search(r"(?<![a-z0-9_])(namespace|pod|uid)(?=[!=]|[,)])", query), query
        for inner, outer in names.items():
            query = query.replace(outer, inner)
        return behind(prometheus, replace(asked, body={**asked.body, "query": query}), change=outward)

    store.script = relabelling
    usage = {name: names[name] for name in ("namespace", "pod")}
    assert look(store.url, labels={"stateMetrics": names, "containerMetrics": usage}).facts == plain.facts
