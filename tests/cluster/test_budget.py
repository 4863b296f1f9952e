"""A budget on an extra metric, in the running operator: the rule speaks while runs go beyond it and not after, and the turn
of the objective is an Event."""

from __future__ import annotations

import json
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
    condition,
    cronjob,
    get_object,
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

QUERY = "sum by (run) (last_over_time(llm_tokens_total[$window]))"


def test_the_rule_follows_the_budget_and_the_turn_is_reported(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    end = time.time() - 30.0
    pods, jobs = runs_of_cronjob(namespace, "etl", 12, end)
    text = history(pods, jobs, end)
    for i, job in enumerate(jobs):
        labels = {"namespace": namespace, "run": job.name}
        begun = pods[i].created
        text = with_series(text, "llm_tokens_total", labels, begun, begun + 600, 250_000.0 if i % 3 == 0 else 150_000.0)
    prometheus = make_prometheus(history=text)

    def wanted(most: str) -> dict[str, Any]:
        return policy(
            namespace,
            discover=DISCOVER_CRONJOBS,
            extraMetrics=[{"name": "tokens", "unit": "tokens", "query": QUERY}],
            objectives={"budgets": [{"metric": "tokens", "maxPerRun": most}], "minSuccessPercent": "0"},
        )

    def profile() -> dict[str, Any]:
        return get_object(cluster, "wfp", namespace, "cronjob-etl")

    def recommended() -> dict[str, dict[str, Any]]:
        return active(cluster, namespace)

    apply(cluster, cronjob(namespace, "etl"), wanted("200000"))
    with operator(cluster, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])):
        item = wait_for(
            "the budget", lambda: next((r for i, r in recommended().items() if i.startswith("budget")), None)
        )
        assert "4 of 12 runs" in item["because"], item
        assert "200,000" in item["action"], item
        missed = profile()
        assert condition(missed, "ObjectivesMet")["status"] == "False"
        assert any(
            o.startswith("tokens per run: Missed, 250000 (target <= 200000)") for o in missed["status"]["objectives"]
        )
        apply(cluster, wanted("300000"))
        wait_for("silence", lambda: profile().get("status") and not any(i.startswith("budget") for i in recommended()))
        wait_for("the objective", lambda: condition(profile(), "ObjectivesMet").get("status") == "True")

        def reported() -> bool:
            events = cluster.run_kubectl("get", "events", "-n", namespace, "-o", "json").stdout
            return any("ObjectivesMet is True" in (e.get("message") or e.get("note") or "")
                       for e in json.loads(events)["items"])  # fmt: skip

        wait_for("an Event of the turn", reported)
