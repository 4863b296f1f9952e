"""What ``doctor`` says of a source whose answers differ from query to query."""

from __future__ import annotations

import time

import pytest

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.examination import Diagnostic, DiagnosticStatus, Examination
from concertmaster.settings import MetricsSource
from tests.support.data.metrics_store import Asked, Reply, failure, running, success, vector


def test_missing_series_are_the_finding_where_all_clusters_are_too_many_to_be_counted() -> None:
    """extraMatchers of a store of many clusters that select nothing: its refusal to count all of them is no answer."""

    def answer(asked: Asked) -> Reply:
        if "vector(1)" in asked.query:
            return vector([({}, 1)])
        if asked.path.endswith("/query"):
            return vector([]) if "prod-3" in asked.query else failure(422, "execution", "too many series")
        return success({})

    with running() as store:
        store.script = answer
        source = MetricsSource.model_validate(
            {"name": "main", "url": store.url, "extraMatchers": {"cluster": "prod-3"}}
        )
        found: dict[str, Diagnostic] = {
            check.name: check for check in Examination(PrometheusClient(source), 1_000_000.0).run()
        }
    pods = found["kube-state-metrics"]
    assert pods.mark is DiagnosticStatus.FAIL and pods.result.startswith("none of its 9 series in the last 6 h")


@pytest.mark.parametrize(
    ("absent", "named", "unasked"),
    [
        (
            "kube_",
            {"kube-state-metrics": "let the metrics source scrape kube-state-metrics"},
            {"honor_labels"},
        ),
        ("container_", {"cAdvisor": "let the metrics source scrape the kubelets'"}, {"cgroup id", "scrape interval"}),
        (
            "",
            {
                "kube-state-metrics": "let the metrics source scrape kube-state-metrics",
                "cAdvisor": "let the metrics source scrape the kubelets'",
            },
            {"honor_labels", "labels", "one cluster", "cgroup id", "scrape interval"},
        ),
    ],
    ids=["no kube-state-metrics", "no cAdvisor", "empty"],
)
def test_an_exporter_without_any_series_is_one_finding_and_nothing_is_called_good_of_it(
    absent: str, named: dict[str, str], unasked: set[str]
) -> None:
    """ "Container series carry the cgroup path" was ``ok`` where there were none, and an allow-list was to blame for an
    exporter that nobody scrapes."""

    def answer(asked: Asked) -> Reply:
        if not asked.path.endswith("/query"):
            return success({})
        there = "last_over_time" not in asked.query or f"last_over_time({absent or 'kube_'}" not in asked.query
        there = there and (bool(absent) or "last_over_time(container_" not in asked.query)
        return vector([({}, 1)] if there else [])

    with running() as store:
        store.script = answer
        source = MetricsSource.model_validate({"name": "main", "url": store.url})
        with PrometheusClient(source) as client:
            found = {check.name: check for check in Examination(client, 1_000_000.0).run()}
    failed = {name: check.fix for name, check in found.items() if check.mark is DiagnosticStatus.FAIL}
    assert {name: fix[: len(named.get(name, ""))] for name, fix in failed.items() if name != "labels"} == named
    assert unasked.isdisjoint(found)
    series = [name for name in found if name.startswith(("kube_", "container_"))]
    assert not [name for name in series if not absent or name.startswith(absent)]


def test_a_clock_that_is_wrong_is_a_warning() -> None:
    with running() as store:
        store.script = lambda asked: vector([({}, 1)]) if asked.path.endswith("/query") else success({})
        source = MetricsSource.model_validate({"name": "main", "url": store.url})
        marks = []
        for wrong in (0.0, 3600.0):
            with PrometheusClient(source, wall=lambda wrong=wrong: time.time() + wrong) as client:  # type: ignore[misc]
                (found,) = (c for c in Examination(client, 1_000_000.0).run() if c.name == "clock")
            marks.append((found.mark, found.result.partition(" ")[0], bool(found.fix)))
    assert marks == [(DiagnosticStatus.OK, "within", False), (DiagnosticStatus.WARN, "the", True)]
