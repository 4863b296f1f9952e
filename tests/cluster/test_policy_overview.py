"""``kubectl describe copol baseline``: what is most worth doing, and what all of it adds up to, as the operator found it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.services.cluster import Cluster
from testbed.services.kinds import ARGO_CRDS, CRDS, install_kinds
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import apply, wait_for
from tests.support.cluster.scenario_bed import analysed, place_of
from tests.support.cluster.shell import environment, run
from tests.support.core.scenarios import SCENARIOS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

RULES = ("parallelism", "retry-policy", "right-size")  # run-hours, failed runs, money


def baseline(places: list[str]) -> dict[str, Any]:
    """A policy for these namespaces only, with prices that make the right-sizing worth something."""
    chosen = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": places}
    pricing = {"cpuCoreHour": "0.5", "memoryGiBHour": "0.5", "currency": "EUR"}
    return {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "ClusterOptimizationPolicy",
            "metadata": {"name": "baseline"},
            "spec": {"namespaceSelector": {"matchExpressions": [chosen]}, "pricing": pricing}}  # fmt: skip


def test_describe_of_a_cluster_policy_shows_top_and_totals(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    places = [place_of(namespace, rule) for rule in RULES]
    shell = environment(cluster, tmp_path, CONCERTMASTER_OPERATOR=f"{namespace}/concertmaster")
    install_kinds(cluster, CRDS, ARGO_CRDS)
    apply(cluster, baseline(places))
    try:
        scenarios = {rule: SCENARIOS[rule]() for rule in RULES}
        with analysed(cluster, namespace, scenarios, make_prometheus, tmp_path) as profiles:
            minor = sum(p["status"].get("minor", 0) for p in profiles.values())

            def summed() -> dict[str, Any]:
                found = json.loads(cluster.kubectl("get", "copol", "baseline", "-o", "json")).get("status") or {}
                return found if (found.get("totals") or {}).get("workflows") == len(RULES) else {}

            status = wait_for("the sums of all workflows", summed)
            described = run("kubectl describe copol baseline", shell)
            ranked = json.loads(run(f"kubectl concertmaster top -n {','.join(places)} -o json", shell))
    finally:
        cluster.kubectl("delete", "copol", "baseline", "--ignore-not-found")
    block = described.partition("  Top:\n")[2]
    first = block.splitlines()[0].strip()
    best = ranked["top"][0]
    assert first == status["top"][0]
    assert first.startswith(f"{best['namespace']}/{best['profile']} {best['id']}: ")
    assert best["action"].split(" (")[0] in first
    assert re.search(r"\(confidence \d+%, effort \w+, risk \w+\)", first)
    totals = dict(
        re.split(r": +", line.strip(), maxsplit=1) for line in block.partition("  Totals:\n")[2].splitlines()[:6]
    )
    names = {"failedRunsPerMonth": "Failed Runs Per Month", "minor": "Minor", "moneyPerMonth": "Money Per Month",
             "recommendations": "Recommendations", "runHoursPerMonth": "Run Hours Per Month",
             "workflows": "Workflows"}  # fmt: skip
    assert totals == {shown: str(ranked["totals"][name]) for name, shown in names.items()}
    assert totals["Money Per Month"].endswith(" EUR") and float(totals["Money Per Month"].split()[0]) > 0
    assert float(totals["Failed Runs Per Month"]) > 0 and float(totals["Run Hours Per Month"]) > 0
    assert int(totals["Minor"]) == minor > 0 and int(totals["Workflows"]) == len(RULES)
