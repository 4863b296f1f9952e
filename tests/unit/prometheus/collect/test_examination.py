"""What ``doctor`` says of a source whose answers differ from query to query."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from concertmaster.net.retry import Tools
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.diagnostics import Diagnostic, DiagnosticStatus
from concertmaster.prometheus.collect.examination import Examination
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
    others = {"honor_labels", "labels", "one cluster", "cgroup id", "scrape interval"}
    assert others - found.keys() == unasked
    series = [name for name in found if name.startswith(("kube_", "container_"))]
    assert not [name for name in series if not absent or name.startswith(absent)]


def test_a_clock_that_is_wrong_is_a_warning() -> None:
    with running() as store:
        store.script = lambda asked: vector([({}, 1)]) if asked.path.endswith("/query") else success({})
        source = MetricsSource.model_validate({"name": "main", "url": store.url})
        marks = []
        for wrong in (0.0, 3600.0):
            with PrometheusClient(source, tools=Tools(wall=lambda wrong=wrong: time.time() + wrong)) as client:  # type: ignore[misc]
                (found,) = (c for c in Examination(client, 1_000_000.0).run() if c.name == "clock")
            marks.append((found.mark, found.result.partition(" ")[0], bool(found.fix)))
    assert marks == [(DiagnosticStatus.OK, "within", False), (DiagnosticStatus.WARN, "the", True)]


@pytest.mark.parametrize(
    ("counts", "delay", "mark", "said"),
    [
        ((None, None, None), 60, DiagnosticStatus.OK, "not there"),
        ((60, 360, 1440), 60, DiagnosticStatus.OK, "in use for pods that lived up to 24 h"),
        ((60, 300, 1000), 60, DiagnosticStatus.OK, "in use for pods that lived up to 1 h"),
        ((60, 360, 1440), 90, DiagnosticStatus.WARN, "not used: delaySeconds"),
        ((120, 720, 2880), 60, DiagnosticStatus.WARN, "not used: 120 evaluations"),
        ((50, 350, 1430), 60, DiagnosticStatus.WARN, "1430 evaluations in 24 h, with holes in the last hour"),
        ((None, None, 900), 60, DiagnosticStatus.WARN, "900 evaluations in 24 h, with holes"),
    ],
)
def test_recording_rules_are_in_use_where_they_miss_nothing(
    counts: tuple[float | None, ...], delay: int, mark: DiagnosticStatus, said: str
) -> None:
    spans = dict(zip(("[3600s]", "[21600s]", "[86400s]"), counts, strict=True))

    def answer(asked: Asked) -> Reply:
        if not asked.path.endswith("/query"):
            return success({})
        count = next((count for span, count in spans.items() if span in asked.query), 1)
        return vector([({}, count)] if count is not None else [])

    check = checked(answer, delaySeconds=delay)["recording rules"]
    assert (check.mark, check.result[: len(said)]) == (mark, said)


@pytest.mark.parametrize(
    ("retention", "mark"),
    [
        ("15d", DiagnosticStatus.OK),
        ("1w", DiagnosticStatus.OK),
        ("6d23h", DiagnosticStatus.WARN),
        ("1w1d12h or 512MB", DiagnosticStatus.OK),
        ("36h", DiagnosticStatus.WARN),
        ("10GiB", DiagnosticStatus.OK),  # how many days that is, nobody knows
    ],
)
def test_a_retention_of_less_than_a_week_is_a_warning(retention: str, mark: DiagnosticStatus) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/query"):
            return vector([({}, 1)])
        return success({"version": "3.1.0", "storageRetention": retention})

    check = checked(answer)["retention"]
    assert check.mark is mark and check.result.startswith(retention)


def checked(answer: Callable[[Asked], Reply], **fields: Any) -> dict[str, Diagnostic]:
    """The checks of a source with these answers, by name."""
    with running() as store:
        store.script = answer
        source = MetricsSource.model_validate({"name": "main", "url": store.url, **fields})
        with PrometheusClient(source) as client:
            return {check.name: check for check in Examination(client, 1_000_000.0).run()}
