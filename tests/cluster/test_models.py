"""The choice of a model on a real Prometheus and a real API server: amounts by the label ``model`` of an extra metric."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    active,
    apply,
    cronjob,
    history,
    install_crds,
    operator,
    policy,
    runs_of_cronjob,
    settings,
    wait_for,
    with_series,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

QUERY = "sum by (run, step, model) (last_over_time(llm_cost_total[$window]))"


def test_the_cheaper_model_is_named_with_its_interval(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    end = time.time() - 30.0
    pods, jobs = runs_of_cronjob(namespace, "ask", 60, end, every=1800.0)
    text = history(pods, jobs, end)
    for i, (pod, job) in enumerate(zip(pods, jobs, strict=True)):
        labels = {"namespace": namespace, "run": job.name, "step": "job", "model": "small" if i % 2 else "large"}
        cost = (0.6 if i % 2 else 1.0) * (1.0 + 0.02 * (i % 5))
        text = with_series(text, "llm_cost_total", labels, pod.created, pod.created + 600, cost)
    prometheus = make_prometheus(history=text)
    metric = {"name": "llm-cost", "unit": "USD", "query": QUERY, "per": "Step", "role": "Cost"}
    apply(cluster, cronjob(namespace, "ask"), policy(namespace, discover=DISCOVER_CRONJOBS, extraMetrics=[metric]))
    with operator(cluster, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])):

        def recommended() -> dict[str, Any] | None:
            listed = active(cluster, namespace, "cronjob-ask")
            return next((r for id_, r in listed.items() if id_.startswith("budget.model")), None)

        item = wait_for("the cheaper model", recommended)
    assert ": large -> small" in item["action"]
    assert "the same step cost 40% less" in item["because"]
    assert "at the same success rate, in 30 executions against 30" in item["because"]
