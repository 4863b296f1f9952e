"""Labels that a scrape drops or renames are named, and so is what is several where it should be one."""

from __future__ import annotations

import pytest

from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.series_labels import SeriesLabels, read_labels
from concertmaster.prometheus.queries.series_labels import (
    ALL_CPUS,
    CLUSTERS,
    CONTAINER_LABELS,
    CONTAINERS,
    EACH_CPU,
    KEPT,
    MOVED,
    POD_LABELS,
    PODS,
    WITH,
)

WHOLE = {
    PODS: 40.0,
    CONTAINERS: 90.0,
    ALL_CPUS: 1.0,
    PODS + KEPT: 1.0,
    **{f"{PODS}{WITH}{label}": 1.0 for label in POD_LABELS},
    **{f"{CONTAINERS}{WITH}{label}": 1.0 for label in CONTAINER_LABELS},
}


def read(stats: dict[str, float], clusters: tuple[tuple[str, str], ...] = (("", ""),)) -> SeriesLabels:
    rows = [(stat, "", "") for stat in stats] + [(CLUSTERS, *values) for values in clusters]
    values = [*stats.values(), *[1.0] * len(clusters)]
    return read_labels(Vector(("stat", "cluster", "cluster_name"), tuple(rows), values))


def without(*stats: str, **more: float) -> dict[str, float]:
    return {stat: value for stat, value in {**WHOLE, **more}.items() if stat not in stats}


def test_a_source_with_all_labels_lacks_nothing() -> None:
    found = read(WHOLE)
    assert (found.findings, found.each_cpu, found.judged) == ({}, False, True)


@pytest.mark.parametrize("label", ["namespace", "pod", "uid"])
def test_pods_that_no_series_identifies_are_no_quiet_cluster(label: str) -> None:
    unknown = read(without(f"{PODS}{WITH}{label}")).unknown_pods
    assert unknown is not None and unknown.essential
    assert str(unknown).startswith(
        f"label {label} of kube_pod_info: none of the series has it: no pod can be identified;"
    )
    assert "labels.stateMetrics" in unknown.fix


def test_controllers_that_are_unknown_are_no_reason_to_read_nothing() -> None:
    """Labels may tell of runs as well, and a few pods may have no controllers."""
    lacking = without(f"{PODS}{WITH}created_by_kind")
    found = read(lacking)
    assert found.unknown_pods is None
    assert [m.series for m in found.findings.values()] == ["label created_by_kind of kube_pod_info"]
    assert not read({**lacking, PODS: 2.0}).findings


def test_labels_that_a_scrape_moved_are_read_from_where_they_are() -> None:
    some = read(without(f"{PODS}{WITH}pod", **{PODS + MOVED: 1.0}))
    assert not some.findings and not some.moved
    assert read(without(PODS + KEPT, **{PODS + MOVED: 1.0})).moved


def test_container_series_that_cannot_be_attributed_are_not_called_absent() -> None:
    found = read(without(f"{CONTAINERS}{WITH}pod", f"{CONTAINERS}{WITH}container"))
    (finding,) = set(found.findings.values())
    assert finding.series == "labels pod, container of container series"
    assert "where they have another name, set labels.containerMetrics" in finding.fix
    assert "container_memory_working_set_bytes" in found.findings  # what it explains the absence of


def test_no_series_at_all_lack_no_labels() -> None:
    found = read({})
    assert (found.findings, found.judged) == ({}, False)


def test_cpu_time_of_each_cpu_is_not_taken_for_that_of_all() -> None:
    alone = read(without(ALL_CPUS, **{EACH_CPU: 1.0}))
    assert alone.each_cpu and "percpu" in alone.findings["container_cpu_usage_seconds_total"].fix
    beside = read({**WHOLE, EACH_CPU: 1.0})
    assert beside.each_cpu and not beside.findings


def test_clusters_are_counted_by_any_of_their_usual_labels() -> None:
    found = read(WHOLE, (("prod-1", ""), ("prod-2", "")))
    assert found.clusters is not None and "2 clusters" in found.clusters.effect
    assert found.clusters.fix == "set extraMatchers: {cluster: NAME} for this source"
    by_name = read(WHOLE, (("", "a"), ("", "b"))).clusters
    assert by_name is not None and "cluster_name: NAME" in by_name.fix
    assert read(WHOLE, (("prod-1", ""),)).clusters is None
