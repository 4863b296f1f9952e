"""How often containers are sampled is asked of the source, once an hour, and where it does not tell nothing changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect import scrape_interval
from concertmaster.settings import MetricsSource
from tests.support.data.metrics_store import Asked, Reply, Store, failure, running, success, vector

NOW = 1_000_000.0
TARGET = {"labels": {"job": "kubelet"}, "scrapeUrl": "https://n:10250/metrics/cadvisor", "scrapeInterval": "15s"}


@pytest.fixture
def store() -> Iterator[Store]:
    with running() as found:
        yield found


def client(store: Store, **more: str) -> PrometheusClient:
    source = MetricsSource.model_validate({"name": "main", "url": store.url, **more})
    return PrometheusClient(source, sleep=lambda _: None, chance=lambda: 0.0)


def answer(asked: Asked) -> Reply:
    if asked.path.endswith("/targets"):
        assert asked.url == {"state": "active"}
        return success({"activeTargets": [TARGET], "droppedTargets": []})
    return vector([({"job": "kubelet", "metrics_path": "/metrics/cadvisor"}, 1)])


def test_it_is_asked_once_an_hour(store: Store) -> None:
    store.script, asking = answer, client(store)
    assert asking.scrape_interval is None
    for later in (0, 60, 3599):
        scrape_interval.learn(asking, NOW + later)
        assert asking.scrape_interval == 15.0
    assert len(store.asked) == 2
    scrape_interval.learn(asking, NOW + 3600)
    assert len(store.asked) == 4


def test_the_list_of_a_large_cluster_is_read(store: Store) -> None:
    """With 5,000 targets it has 17 MiB, most of it labels that discovery found."""
    found = {**TARGET, "discoveredLabels": {"__meta_kubernetes_pod_annotation_x": "x" * (9 << 20)}}
    store.script = lambda asked: (
        success({"activeTargets": [found]}) if asked.path.endswith("/targets") else answer(asked)
    )
    scrape_interval.learn(asking := client(store), NOW)
    assert asking.scrape_interval == 15.0


def test_a_clock_that_was_ahead_is_not_waited_for(store: Store) -> None:
    store.script, asking = answer, client(store)
    scrape_interval.learn(asking, NOW + 30 * 86_400.0)
    scrape_interval.learn(asking, NOW)
    assert len(store.asked) == 4
    scrape_interval.learn(asking, NOW + 60.0)
    assert len(store.asked) == 4


def test_what_is_configured_is_not_asked_for(store: Store) -> None:
    asking = client(store, scrapeInterval="1m")
    scrape_interval.learn(asking, NOW)
    assert (asking.scrape_interval, store.asked) == (60.0, [])


@pytest.mark.parametrize(
    "reply",
    [failure(404, "not_found", "no"), Reply(b"", 403), Reply(b"<html>"), success([]), success({"activeTargets": [3]})],
)
def test_a_source_that_does_not_tell_is_no_fault(store: Store, reply: Reply) -> None:
    store.script, asking = [reply], client(store)
    scrape_interval.learn(asking, NOW)
    assert asking.scrape_interval is None
    store.script = [vector([({}, 1)])]
    assert len(asking.instant("up", NOW)) == 1
