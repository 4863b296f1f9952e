"""``kubectl concertmaster explain`` asks the running operator through the API server's service proxy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    ROOT,
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
from tests.support.cluster.published import explainer, own_address, publish

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def explain(kubeconfig: Path, namespace: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "concertmaster", "explain", "cronjob-etl", "-n", namespace, *arguments,
         "--kubeconfig", str(kubeconfig), "--operator", f"{namespace}/concertmaster"],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), "COLUMNS": "200"},
    )  # fmt: skip


def amount(money: str) -> float:
    """The number in an amount of money."""
    (found,) = re.findall(r"[\d.]+", money.replace(",", ""))
    return float(found)


def test_explain_gets_evidence_and_patches_and_says_when_it_cannot(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    prometheus = make_prometheus(history=hourly_runs(namespace, "etl"))
    etl = cronjob(namespace, "etl")
    apply(cluster, etl, policy(namespace, discover=DISCOVER_CRONJOBS))
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])
    config["listen"]["address"] = "0.0.0.0"
    publish(cluster, namespace, own_address(), config["listen"]["port"])

    admin = cluster.kubeconfig("admin")
    with operator(cluster, tmp_path, config):
        raw = wait_for("recommendations", lambda: analysed(cluster, namespace))
        reported = [r["id"] for r in raw["status"]["recommendations"]]
        whole = explain(admin, namespace)
        assert whole.returncode == 0, whole.stderr
        assert "no details from the operator" not in whole.stderr
        assert all(f"({identifier})" in whole.stdout for identifier in reported)
        assert "Trend by month:" in whole.stdout
        assert "Since the baseline" not in whole.stdout, "it was made now: these days are its own"
        costs = whole.stdout.partition("Cost by component, now and after the recommendations above:\n")[2]
        (row,) = [re.split(r" {2,}", line) for line in costs.splitlines() if line.startswith("job  ")]
        assert row[:2] == ["job", "main"] and "right-size" in row[-1].split(", "), costs
        assert 0 < amount(row[5]) < amount(row[4]), costs
        assert "Graph: single step: job\n" in whole.stdout and "Trend by month:" in whole.stdout
        one = explain(admin, namespace, "right-size")
        for part in (
            "Confidence: ",
            "Step: 30 executions; mean ",
            "For Git (kustomization.yaml)",
            "critical-path time 10m",
        ):
            assert part in " ".join(one.stdout.split()), one.stdout
        missing = explain(admin, namespace, "nonsense.job")
        assert missing.returncode == 1
        assert "it has: " in missing.stderr

        # The proxy as such: nothing without the uid, everything with it.
        base = f"/api/v1/namespaces/{namespace}/services/concertmaster:http/proxy/api/v1/namespaces/{namespace}"
        at = f"{base}/workflowprofiles/cronjob-etl"
        full = cluster.run_kubectl("get", "--raw", f"{at}?uid={raw['metadata']['uid']}")
        assert {r["id"] for r in json.loads(full.stdout)["recommendations"]} >= set(reported)
        for wrong in (at, f"{at}?uid=0", f"{base}/workflowprofiles/none?uid={raw['metadata']['uid']}"):
            refused = cluster.run_kubectl("get", "--raw", wrong)
            assert refused.returncode != 0
            assert "no analysis of such a profile is kept" in refused.stderr

        # A person who may read profiles, without and with the chart's Role.
        reader = f"reader-{namespace}"
        cluster.kubectl("create", "role", "reader", "-n", namespace, "--verb=get,list",
                        "--resource=workflowprofiles.concertmaster.dev,optimizationpolicies.concertmaster.dev,"
                        "workflowchanges.concertmaster.dev,cronjobs.batch")  # fmt: skip
        cluster.kubectl("create", "serviceaccount", reader, "-n", namespace)
        account = f"--serviceaccount={namespace}:{reader}"
        cluster.kubectl("create", "rolebinding", "reader", "-n", namespace, "--role=reader", account)
        as_reader = ("--as", f"system:serviceaccount:{namespace}:{reader}")
        kubeconfig = cluster.kubeconfig(service_account=reader, namespace=namespace)
        short = explain(kubeconfig, namespace)
        assert short.returncode == 0
        assert "Showing only what the status contains" in short.stderr
        assert "--role=concertmaster-explain" in short.stderr
        apply(cluster, explainer(tmp_path, namespace))
        cluster.kubectl("create", "rolebinding", "explain", "-n", namespace, "--role=concertmaster-explain", account)
        allowed = cluster.run_kubectl(*as_reader, "get", "--raw", f"{at}?uid={raw['metadata']['uid']}")
        assert allowed.returncode == 0, allowed.stderr
        assert "no details from the operator" not in explain(kubeconfig, namespace).stderr
    held = [r["id"] for r in analysed(cluster, namespace)["status"]["recommendations"]]
    gone = explain(admin, namespace)
    assert gone.returncode == 0
    assert all(f"({identifier})" in gone.stdout for identifier in held)
    assert "Showing only what the status contains" in gone.stderr
