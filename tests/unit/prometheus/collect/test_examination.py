"""What ``doctor`` says of a source whose answers differ from query to query."""

from __future__ import annotations

import time

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
    pods = found["kube_pod_info"]
    assert pods.mark is DiagnosticStatus.FAIL and pods.result.startswith("no series in the last 6 h")


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
