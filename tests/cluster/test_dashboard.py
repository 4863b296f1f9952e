"""``kubectl concertmaster dashboard`` on a real API server with a running operator: the reader's rights decide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    analysed,
    apply,
    cronjob,
    hourly_runs,
    install_crds,
    operator,
    policy,
    settings,
    wait_for,
)
from tests.support.cluster.pages import dashboard
from tests.support.cluster.published import explainer, own_address, publish

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def test_pages_show_what_the_reader_may_see_and_nothing_else(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    prometheus = make_prometheus(history=hourly_runs(namespace, "etl"))
    apply(cluster, cronjob(namespace, "etl", team="data"), policy(namespace, discover=DISCOVER_CRONJOBS))
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])
    config["listen"]["address"] = "0.0.0.0"
    publish(cluster, namespace, own_address(), config["listen"]["port"])

    page = f"/workflows/{namespace}/cronjob-etl"
    api = f"/api/v1{page}"
    reader = f"reader-{namespace}"
    account = f"--serviceaccount={namespace}:{reader}"
    cluster.kubectl("create", "role", "reader", "-n", namespace, "--verb=get,list",
                    "--resource=workflowprofiles.concertmaster.dev,workflowchanges.concertmaster.dev")  # fmt: skip
    cluster.kubectl("create", "serviceaccount", reader, "-n", namespace)
    cluster.kubectl("create", "rolebinding", "reader", "-n", namespace, "--role=reader", account)
    narrow = cluster.kubeconfig(service_account=reader, namespace=namespace)
    with operator(cluster, tmp_path, config):
        wait_for("an analysis", lambda: analysed(cluster, namespace))
        with dashboard(cluster.kubeconfig("admin"), namespace) as get:
            status, text = get(f"/?namespace={namespace}")
            assert status == 200
            assert f"{namespace}/etl" in text
            status, text = get(page)
            assert status == 200
            assert "Gantt chart of 1 pods" in text
            assert "Showing only what the status contains" not in text
            listed = json.loads(get(f"{api}/runs")[1])
            assert len(listed["runs"]) == listed["total"] >= 30, "all that the history keeps, not the newest only"
            assert json.loads(get(f"{api}/runs/{listed['runs'][-1]['run']}")[1])["pods"]
            status, text = get(f"{api}/compare")
            assert status == 200
            assert json.loads(text)["answer"]
            periods = json.loads(get(f"{api}/trends?period=daily")[1])["trends"]["daily"]["periods"]
            assert sum(p["runs"]["total"] or 0 for p in periods) >= 30

        # Whoever may read one namespace sees that one, and of the operator's analysis what the chart's Role gives.
        with dashboard(narrow, namespace) as get:
            status, text = get("/")
            assert status == 403
            assert "--namespace NAME" in text
        with dashboard(narrow, namespace, "-n", namespace) as get:
            status, text = get("/")
            assert status == 200
            assert f"{namespace}/etl" in text
            status, text = get(page)
            assert status == 200
            assert "Showing only what the status contains" in text
            assert "--role=concertmaster-explain" in text
            assert get("/workflows/kube-system/cronjob-etl")[0] == 403, "another namespace is forbidden"
            apply(cluster, explainer(tmp_path, namespace))
            cluster.kubectl(
                "create", "rolebinding", "explain", "-n", namespace, "--role=concertmaster-explain", account
            )
            assert "Gantt chart of 1 pods" in get(page)[1]
