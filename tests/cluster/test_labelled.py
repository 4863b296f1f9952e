"""Engines by pod labels on a real API server and a real Prometheus: from one entry of a policy to what can be pasted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.series.lives import PodLife
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.labelled_pods import airflow, dagster, nextflow, spark
from tests.support.cluster.operator_bed import (
    ROOT,
    apply,
    condition,
    history,
    install_crds,
    operator,
    policy,
    settings,
    wait_for,
)
from tests.support.engines.remedy_languages import pasted, values

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RUNS, FEWER = 8, 5
ENTRIES = [
    {"podLabels": {"preset": "airflow"}},
    {"podLabels": {"preset": "nextflow", "workflow": "pipeline"}},
    {"podLabels": {"preset": "spark"}},
]


def profiles(cluster: Cluster, namespace: str) -> dict[str, dict[str, Any]]:
    """Profiles by the value of their workflow label."""
    found = json.loads(cluster.run_kubectl("get", "wfp", "-n", namespace, "-o", "json").stdout)["items"]
    return {p["spec"]["podLabels"]["value"]: p for p in found}


def explain(cluster: Cluster, namespace: str, name: str) -> str:
    """What ``explain`` prints of the right-sizing, without reaching the operator."""
    done = subprocess.run(
        [sys.executable, "-m", "concertmaster", "explain", name, "right-size", "-n", namespace, "--kubeconfig",
         str(cluster.kubeconfig("admin"))],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_engines_have_their_profiles_runs_and_snippets(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    end = time.time() - 30.0
    pods = [pod for engine in (airflow, nextflow, spark) for pod in engine(namespace, RUNS, end)]
    prometheus = make_prometheus(history=history(pods, [], end, days=0.5))
    apply(cluster, policy(namespace, discover=ENTRIES, analysis={"materiality": {"moneyPerMonth": "0.01"}}))
    with operator(cluster, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])) as op:

        def analysed() -> dict[str, dict[str, Any]]:
            found = profiles(cluster, namespace)
            ready = [p for p in found.values() if condition(p, "Ready").get("reason") == "Analyzed"]
            return found if len(ready) == 3 else {}

        found = wait_for("three analyses", analysed)
        names = {value: p["metadata"]["name"] for value, p in found.items()}
        assert names.pop("nightly_etl").startswith("airflow-nightly-etl-")
        assert names == {"rnaseq": "nextflow-rnaseq", "sales-etl": "spark-sales-etl"}
        for value, engine, steps in (
            ("nightly_etl", "Airflow", ["extract", "clean_up", "load"]),
            ("rnaseq", "Nextflow", ["STAR_ALIGN", "MULTIQC"]),
            ("sales-etl", "Spark", ["driver", "executor"]),
        ):
            status = found[value]["status"]
            assert status["runs"]["observed"] == RUNS, engine
            assert f"{engine} pods of workflow {value}" in condition(found[value], "TargetResolved")["message"]
            lines = " ".join(str(line) for line in status["steps"])
            assert all(step in lines for step in steps), lines
            assert any(r["id"] == "right-size" for r in status["recommendations"]), status["recommendations"]
        name = found["nightly_etl"]["metadata"]["name"]
        for profile, preset, words in (
            (name, "airflow", 'k8s.V1Container(name="base", resources=k8s.V1ResourceRequirements('),
            ("nextflow-rnaseq", "nextflow", "withName: 'STAR_ALIGN' {"),
            ("spark-sales-etl", "spark", "# SparkApplication"),
        ):
            said = explain(cluster, namespace, profile)
            assert words in said
            assert values(preset, pasted(said))
        assert op.next_cycles(1)[0]["profiles"] == 3

        # Nobody asks for Spark any more: its profile goes, the others stay. Of these fewer runs are analysed, which is said.
        assert all("limitedTo" not in p["status"]["runs"] for p in found.values())
        apply(cluster, policy(namespace, discover=ENTRIES[:2], analysis={"maxRuns": FEWER}))
        wait_for("two profiles", lambda: set(profiles(cluster, namespace)) == {"nightly_etl", "rnaseq"})

        def limits() -> set[tuple[int, int | None]]:
            runs = [p["status"]["runs"] for p in profiles(cluster, namespace).values()]
            return {(of["observed"], of.get("limitedTo")) for of in runs}

        wait_for("the limit in both statuses", lambda: limits() == {(FEWER, FEWER)})


@pytest.mark.parametrize(
    ("played", "entry", "workflow", "steps"),
    [
        (airflow, ENTRIES[0], "nightly_etl", {"extract", "clean_up", "load"}),
        (nextflow, ENTRIES[1], "rnaseq", {"STAR_ALIGN", "MULTIQC"}),
        (spark, ENTRIES[2], "sales-etl", {"driver", "executor"}),
        (dagster, {"podLabels": {"preset": "dagster"}}, "nightly_sales", {"run-worker", "extract", "load"}),
    ],
    ids=["airflow", "nextflow", "spark", "dagster"],
)
def test_labels_of_live_pods_stand_in_for_an_allow_list(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path,
    played: Callable[[str, int, float], list[PodLife]], entry: dict[str, Any], workflow: str, steps: set[str],
) -> None:  # fmt: skip
    """The metrics know the pods and none of their labels; the API server has the pods."""
    install_crds(cluster)
    end = time.time() - 30.0
    pods = played(namespace, 6, end)
    apply(cluster, *(waiting(pod) for pod in pods))
    there = json.loads(cluster.run_kubectl("get", "pods", "-n", namespace, "-o", "json").stdout)["items"]
    uids = {p["metadata"]["name"]: p["metadata"]["uid"] for p in there}
    blind = [replace(pod, uid=uids[pod.pod], labels={}) for pod in pods]
    prometheus = make_prometheus(history=history(blind, [], end, days=0.5))
    apply(cluster, policy(namespace, discover=[entry]))
    with operator(cluster, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])):

        def analysed() -> dict[str, Any]:
            found = profiles(cluster, namespace).get(workflow, {})
            return found if condition(found, "Ready").get("reason") == "Analyzed" else {}

        status = wait_for("an analysis", analysed)["status"]
        assert status["runs"]["observed"] == 6
        assert {line.split(":")[0] for line in status["steps"]} == steps


def waiting(pod: PodLife) -> dict[str, Any]:
    """The pod as an object that no scheduler takes."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.pod, "namespace": pod.namespace, "labels": dict(pod.labels)},
        "spec": {"schedulingGates": [{"name": "example.com/held"}], "containers": [{"name": "base", "image": "x"}]},
    }


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"podLabels": {}}, "set preset, or name the labels workflow and run"),
        ({"podLabels": {"preset": "nobody"}}, "Unsupported value"),
        ({"kind": "CronJob"}, "set apiVersion and kind, or podLabels"),
        ({"apiVersion": "batch/v1", "kind": "CronJob", "podLabels": {"preset": "airflow"}}, "podLabels stands alone"),
        ({"apiVersion": "batch/v1", "kind": "Pipeline"}, "this apiVersion has no such kind"),
    ],
)
def test_entries_that_mean_nothing_are_refused(cluster: Cluster, namespace: str, entry: Any, says: str) -> None:
    install_crds(cluster)
    refused = cluster.run_kubectl("apply", "-f", "-", input=json.dumps(policy(namespace, discover=[entry])))
    assert says in refused.stderr


def test_a_cluster_policy_takes_entries_of_both_sorts(cluster: Cluster, namespace: str) -> None:
    install_crds(cluster)
    both = {**policy("", f"both-{namespace}", discover=[*ENTRIES, {"apiVersion": "batch/v1", "kind": "CronJob"}])}
    both |= {"kind": "ClusterOptimizationPolicy", "metadata": {"name": f"both-{namespace}"}}
    apply(cluster, both)
    cluster.kubectl("delete", "clusteroptimizationpolicy", f"both-{namespace}")
