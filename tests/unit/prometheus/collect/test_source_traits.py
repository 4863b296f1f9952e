"""What rarely changes at a source is asked once an hour, and where it does not tell nothing changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from concertmaster.net.retry import Tools
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import SourceUnreachable, Unlabelled
from concertmaster.prometheus.collect import source_traits
from concertmaster.prometheus.facts.series_labels import SeriesLabels
from concertmaster.prometheus.queries.series_labels import (
    ALL_CPUS,
    CONTAINER_LABELS,
    CONTAINERS,
    EACH_CPU,
    POD_LABELS,
    PODS,
    WITH,
)
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
    return PrometheusClient(source, tools=Tools(sleep=lambda _: None, chance=lambda: 0.0))


def answer(asked: Asked) -> Reply:
    if asked.path.endswith("/targets"):
        assert asked.url == {"state": "active"}
        return success({"activeTargets": [TARGET], "droppedTargets": []})
    return vector([({"job": "kubelet", "metrics_path": "/metrics/cadvisor"}, 1)])


def test_it_is_asked_once_an_hour(store: Store) -> None:
    store.script, asking = answer, client(store)
    assert asking.scrape_interval is None
    for later in (0, 60, 3599):
        source_traits.learn_interval(asking, NOW + later)
        assert asking.scrape_interval == 15.0
    assert len(store.asked) == 2
    source_traits.learn_interval(asking, NOW + 3600)
    assert len(store.asked) == 4


def test_the_list_of_a_large_cluster_is_read(store: Store) -> None:
    """With 5,000 targets it has 17 MiB, most of it labels that discovery found."""
    found = {**TARGET, "discoveredLabels": {"__meta_kubernetes_pod_annotation_x": "x" * (9 << 20)}}
    store.script = lambda asked: (
        success({"activeTargets": [found]}) if asked.path.endswith("/targets") else answer(asked)
    )
    source_traits.learn_interval(asking := client(store), NOW)
    assert asking.scrape_interval == 15.0


def test_a_clock_that_was_ahead_is_not_waited_for(store: Store) -> None:
    store.script, asking = answer, client(store)
    source_traits.learn_interval(asking, NOW + 30 * 86_400.0)
    source_traits.learn_interval(asking, NOW)
    assert len(store.asked) == 4
    source_traits.learn_interval(asking, NOW + 60.0)
    assert len(store.asked) == 4


def test_what_is_configured_is_not_asked_for(store: Store) -> None:
    asking = client(store, scrapeInterval="1m")
    source_traits.learn_interval(asking, NOW)
    assert (asking.scrape_interval, store.asked) == (60.0, [])


@pytest.mark.parametrize(
    "reply",
    [failure(404, "not_found", "no"), Reply(b"", 403), Reply(b"<html>"), success([]), success({"activeTargets": [3]})],
)
def test_a_source_that_does_not_tell_is_no_fault(store: Store, reply: Reply) -> None:
    store.script, asking = [reply], client(store)
    source_traits.learn_interval(asking, NOW)
    assert asking.scrape_interval is None
    store.script = [vector([({}, 1)])]
    assert len(asking.instant("up", NOW)) == 1


LABELS = [
    ({"stat": stat}, 9)
    for stat in (
        PODS,
        CONTAINERS,
        ALL_CPUS,
        *(f"{PODS}{WITH}{label}" for label in POD_LABELS),
        *(f"{CONTAINERS}{WITH}{label}" for label in CONTAINER_LABELS),
    )
]


def test_labels_are_asked_once_an_hour_while_they_are_all_there(store: Store) -> None:
    store.script, asking, known = (lambda _: vector(LABELS)), client(store), None
    for later in (0, 60, 3599):
        known = source_traits.series_labels(asking, NOW + later, known)
        assert not known.findings
    assert len(store.asked) == 1
    source_traits.series_labels(asking, NOW + 3600, known)
    assert len(store.asked) == 2


def test_pods_without_an_identity_are_an_error_until_they_have_one(store: Store) -> None:
    lacking = [row for row in LABELS if row[0]["stat"] != f"{PODS}{WITH}uid"]
    store.script, asking = (lambda _: vector(lacking)), client(store)
    for later in (0, 60):
        with pytest.raises(Unlabelled, match=r"source main: label uid of kube_pod_info.* Keep it in the relabelling"):
            source_traits.series_labels(asking, NOW + later, None)
    store.script = lambda _: vector(LABELS)
    assert not source_traits.series_labels(asking, NOW + 120, None).findings


def test_a_source_without_pods_is_asked_again(store: Store) -> None:
    store.script, asking = (lambda _: vector([])), client(store)
    known = source_traits.series_labels(asking, NOW, None)
    store.script = lambda _: vector([*LABELS, ({"stat": EACH_CPU}, 1)])
    source_traits.series_labels(asking, NOW + 60, known)
    assert asking.traits.each_cpu


def test_a_source_that_refuses_the_query_is_read_all_the_same(store: Store) -> None:
    store.script, asking = (lambda _: failure(422, "execution", "too many series")), client(store)
    known = source_traits.series_labels(asking, NOW, None)
    assert known == SeriesLabels(judged=True)
    source_traits.series_labels(asking, NOW + 60, known)
    assert len(store.asked) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_a_source_that_fails_at_this_query_alone_is_read_all_the_same(store: Store, status: int) -> None:
    def script(asked: Asked) -> Reply:
        return vector([({}, 1)]) if asked.query == "group(kube_pod_info)" else failure(status, "internal", "panic")

    store.script, asking = script, client(store)
    assert source_traits.series_labels(asking, NOW, None) == SeriesLabels(judged=True)
    asked = len(store.asked)
    source_traits.series_labels(asking, NOW + 60, SeriesLabels(judged=True))
    assert len(store.asked) == asked


def test_a_source_that_comes_up_meanwhile_is_not_read_as_one_with_all_labels(store: Store) -> None:
    """What is read in the hour until they are asked for again is stored for good."""

    def script(asked: Asked) -> Reply:
        if all(earlier.query != "group(kube_pod_info)" for earlier in store.asked):
            return failure(503, "unavailable", "starting")
        return vector([*LABELS, ({"stat": EACH_CPU}, 1)])

    store.script, asking = script, client(store)
    source_traits.series_labels(asking, NOW, None)
    assert asking.traits.each_cpu


def test_a_source_that_is_down_is_an_error(store: Store) -> None:
    store.script = lambda _: failure(500, "internal", "down")
    with pytest.raises(SourceUnreachable):
        source_traits.series_labels(client(store), NOW, None)
