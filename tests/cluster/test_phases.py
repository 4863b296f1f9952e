"""Which pods ended is found by their phases, on a real Prometheus: where an allow-list drops these for some or all pods, the
same pods are found as by the ends of their containers, and nothing that runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import Collection, CollectOptions, collect
from concertmaster.prometheus.queries.scope import MAX_NAMESPACES
from concertmaster.settings import MetricsSource
from testbed.series.lives import ContainerLife, Grid, PodLife
from testbed.series.openmetrics import render
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.histories import END, main, pod

pytestmark = pytest.mark.cluster

PHASED, BARE, OTHER = "phased", "bare", "other"
SINCE = END - 600.0
HOUR = 3600.0
ENDED = ["ended", "evicted", "failed", "gone", "sidecar"]


def harness(namespace: str) -> list[PodLife]:
    """What there is around the ten minutes that are read."""
    evicted = pod(
        namespace, "evicted", -500, 100, containers=[replace(main(END - 492, 0), started=None, finished=None)]
    )
    both = [main(END - 1992, 600), main(END - 1992, 1700, name="proxy")]
    pods = [
        pod(namespace, "ended", -800, 500),
        pod(namespace, "kept", -3000, 600),
        pod(namespace, "failed before", -3000, 600, phase="Failed"),
        pod(namespace, "failed", -800, 500, phase="Failed"),
        pod(namespace, "gone", -800, 500, keep=-60.0),
        pod(namespace, "sidecar", -2000, 1700, containers=both),
        pod(namespace, "running", -900, 3000),
        replace(evicted, phase="Failed", status_reason="Evicted"),
    ]
    return [replace(p, containers=[_with_reason(c, p) for c in p.containers]) for p in pods]


def _with_reason(container: ContainerLife, of: PodLife) -> ContainerLife:
    return replace(container, terminated_reason="Error" if of.phase == "Failed" else "Completed")


def without_phases(lines: Iterator[str]) -> Iterator[str]:
    """What an allow-list leaves of the pods of ``BARE``."""
    for text in lines:
        for line in text.splitlines(keepends=True):
            if not (line.startswith("kube_pod_status_phase") and f'namespace="{BARE}"' in line):
                yield line


@pytest.fixture(scope="module")
def prometheus() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    pods = [*harness(PHASED), *harness(BARE), *harness(OTHER)]
    server.load_openmetrics(without_phases(render(pods, Grid(END - 2 * HOUR, END + 60, constant_interval=30.0))))
    with server:
        yield server


def client(prometheus: PrometheusServer) -> PrometheusClient:
    return PrometheusClient(
        MetricsSource.model_validate({"name": "main", "url": prometheus.url, "scrapeInterval": "30s"})
    )


def read(asking: PrometheusClient, *namespaces: str, until: float = END, since: float = SINCE) -> Collection:
    return collect(
        asking, namespaces=namespaces, since=since, until=until, now=until + 60, options=CollectOptions(overlap=0.0)
    )


def names(found: Collection) -> list[str]:
    return sorted(fact.pod for fact in found.facts)


def test_phases_tell_which_pods_ended(prometheus: PrometheusServer) -> None:
    asking = client(prometheus)
    found = read(asking, PHASED)
    assert names(found) == ENDED
    assert asking.traits.unphased is None
    by_containers = client(prometheus)
    by_containers.traits.unphased = END
    assert read(by_containers, PHASED).facts == found.facts


@pytest.mark.parametrize("namespaces", [(BARE,), (BARE, PHASED)])
def test_pods_without_a_phase_are_found_by_the_ends_of_their_containers(
    prometheus: PrometheusServer, namespaces: tuple[str, ...]
) -> None:
    asking, by_containers = client(prometheus), client(prometheus)
    by_containers.traits.unphased = END
    found, same = read(asking, *namespaces), read(by_containers, *namespaces)
    assert found.facts == same.facts and found.held == same.held
    assert "ended" in names(found) and not {"running", "kept", "failed before"} & {*names(found)}
    assert asking.traits.unphased == END
    assert found.queries == same.queries + 1, "the list is asked for once more, and only once"
    assert read(asking, *namespaces).queries == same.queries


def test_what_a_phase_says_is_known_from_its_containers_where_it_is_missing(prometheus: PrometheusServer) -> None:
    bare, phased = (
        {
            fact.pod: (fact.phase, fact.reason, [c.reason for c in fact.containers])
            for fact in read(client(prometheus), n).facts
        }
        for n in (BARE, PHASED)
    )
    assert bare["ended"] == phased["ended"] == ("Succeeded", None, [None])
    assert bare["failed"] == (None, None, ["Error"])
    assert bare["gone"] == phased["gone"] == (None, None, [None])


@pytest.mark.parametrize("namespaces", [(BARE,), (BARE, PHASED)])
def test_a_long_reading_finds_the_same_without_phases(
    prometheus: PrometheusServer, namespaces: tuple[str, ...]
) -> None:
    asking, by_containers = client(prometheus), client(prometheus)
    by_containers.traits.unphased = END
    found = read(asking, *namespaces, since=END - 1.5 * HOUR)
    assert found.facts == read(by_containers, *namespaces, since=END - 1.5 * HOUR).facts
    assert "running" not in names(found) and {"kept", "failed before"} <= {*names(found)}


def test_that_phases_are_missing_is_said_all_the_same(prometheus: PrometheusServer) -> None:
    def lacking(namespace: str) -> list[str]:
        return [note.series for note in read(client(prometheus), namespace, since=END - 1.5 * HOUR).missing]

    assert "kube_pod_status_phase" in lacking(BARE) and "kube_pod_status_phase" not in lacking(PHASED)


def test_pods_of_the_same_names_elsewhere_change_nothing(prometheus: PrometheusServer) -> None:
    """Where many namespaces are read their names are not matched beside those of the pods."""
    many = (PHASED, *(f"empty-{n}" for n in range(MAX_NAMESPACES)))
    found = read(client(prometheus), *many)
    assert {fact.namespace for fact in found.facts} == {PHASED}
    assert found.facts == read(client(prometheus), PHASED).facts
