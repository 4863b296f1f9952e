"""Airflow's, Nextflow's and Spark's pods as they run in a real cluster: bound by its scheduler, exported with their labels
by kube-state-metrics, scraped by Prometheus, read by the operator, which recommends sizes with what can be pasted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from concertmaster.cli import cli
from concertmaster.core.model import Outcome, RunRecord
from concertmaster.history import Store
from concertmaster.report.workflows.list_entries import item_of
from testbed.process import http_get
from testbed.series.lives import PodLife
from testbed.services.cluster import Cluster
from tests.support.cluster.labelled_pods import airflow, nextflow, spark
from tests.support.cluster.operator_bed import (
    apply,
    install_crds,
    operator,
    policy,
    settings,
    wait_for,
)
from tests.support.engines.remedy_languages import pasted, values

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RUNS = 5
MI = 2.0**20
ENTRIES = [
    {"podLabels": {"preset": "airflow"}},
    {"podLabels": {"preset": "nextflow", "workflow": "pipeline"}},
    {"podLabels": {"preset": "spark"}},
]
# By workflow: the labels that say run, step, item and attempt (from 1), as the engines' documentation has them.
LABELS = {
    "nightly_etl": ("run_id", "task_id", "map_index", "try_number"),
    "rnaseq": ("nextflow.io/runName", "nextflow.io/processName", "nextflow.io/taskName", ""),
    "sales-etl": ("spark-app-selector", "spark-role", "spark-exec-id", ""),
}


def manifest(life: PodLife) -> dict[str, Any]:
    """The pod of this life, that lasts a two hundredth of its time and at least three seconds."""
    (inside,) = life.containers
    assert inside.finished is not None and inside.started is not None
    notes = {
        "sim/duration": f"{max(3.0, (inside.finished - inside.started) / 200):.2f}",
        "sim/exit-code": "0" if life.phase == "Succeeded" else "1",
        "sim/memory-peak": "58Mi",
        "sim/cpu": "100m",
    }
    requests = {"cpu": "500m", "memory": "1Gi"}
    container = {
        "name": inside.name,
        "image": "example/etl:1",
        "command": ["work"],
        "resources": {"requests": requests},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": life.pod, "namespace": life.namespace, "labels": dict(life.labels), "annotations": notes},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }


def stages(lives: Iterable[PodLife]) -> list[list[PodLife]]:
    """Pods that were created together, in order; every run has the same ones at the same time after its start."""
    by_offset: dict[int, list[PodLife]] = {}
    for life in lives:
        by_offset.setdefault(round(life.created % 3600.0), []).append(life)
    first = min(life.created for life in lives) % 3600.0
    return [by_offset[key] for key in sorted(by_offset, key=lambda at: (at - first) % 3600.0)]


def play(cluster: Cluster, namespace: str, engines: list[list[list[PodLife]]]) -> None:
    """Each stage begins when the one before it has ended, all runs and engines side by side."""
    for at in range(max(map(len, engines))):
        now = [life for engine in engines if at < len(engine) for life in engine[at]]
        apply(cluster, *map(manifest, now))

        def over() -> bool:
            there = cluster.get("pods", "-n", namespace)["items"]
            return all(p["status"].get("phase") in ("Succeeded", "Failed") for p in there)

        wait_for("the end of a stage", over, pause=1.0)


def scraped(cluster: Cluster) -> bool:
    """Whether each target of the metrics source answered its last scrape."""
    answer = json.loads(http_get(f"{cluster.endpoints['prometheus']}/api/v1/query?query=min(up)", timeout=10))
    return any(float(found["value"][1]) == 1.0 for found in answer["data"]["result"])


def expected(workflow: str, lives: Iterable[PodLife]) -> list[tuple[str, str, str, int, str]]:
    """Run, step, item, attempt from 0 and outcome of each pod, by its labels."""
    run, step, item, attempt = LABELS[workflow]
    return sorted(
        (p.labels[run], p.labels[step], p.labels.get(item, ""), int(p.labels.get(attempt, "1")) - 1, p.phase)
        for p in lives
    )


def read(runs: Iterable[RunRecord]) -> list[tuple[str, str, str, int, str]]:
    """The same of the runs in the history."""
    return sorted((r.run, e.step, e.item or "", e.attempt, e.outcome.value) for r in runs for e in r.steps)


PASTED = {
    "airflow": 'executor_config={"pod_override": k8s.V1Pod(',
    "nextflow": "withName: 'STAR_ALIGN' {",
    "spark": "    coreRequest: ",
}
# Whether further pods of a run follow is not known before it was quiet for a quarter of an hour: here, half a minute.
QUIET = """
from concertmaster.engines import outcomes, runs
outcomes.QUIET_SECONDS = runs.QUIET_SECONDS = 30.0
"""


def test_pods_that_run_in_a_cluster_become_runs_steps_items_attempts_and_recommendations(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    install_crds(cluster)
    wait_for("all to be scraped, or a pod of three seconds is gone before", lambda: scraped(cluster))
    end = 1_000_000.0 * 3600
    lives = dict(zip(LABELS, (make(namespace, RUNS, end) for make in (airflow, nextflow, spark)), strict=True))
    play(cluster, namespace, [stages(lives["nightly_etl"]), stages(lives["rnaseq"]), [lives["sales-etl"]]])
    apply(cluster, policy(namespace, discover=ENTRIES, analysis={"materiality": {"moneyPerMonth": "0.01"}}))
    config = settings(tmp_path, {"default": cluster.endpoints["prometheus"]}, namespaces=[namespace])
    with operator(cluster, tmp_path, config, first=QUIET):

        def kept() -> dict[str, list[RunRecord]]:
            """Runs by workflow."""
            profiles = {p["metadata"]["name"]: p for p in cluster.get("wfp", "-n", namespace)["items"]}
            with Store(str(tmp_path / "history.db")) as store:
                keys = store.keys()
                runs = {profiles[key.name]["spec"]["podLabels"]["value"]: store.runs(key) for key in keys}
            there = sum(len(run.steps) for of in runs.values() for run in of)
            return runs if there == sum(map(len, lives.values())) else {}

        found = wait_for("all pods in the history", kept)

        def analysed() -> dict[str, dict[str, Any]]:
            """Profiles by workflow, once all runs of each count as ended."""
            items = cluster.get("wfp", "-n", namespace)["items"]
            ended = [p for p in items if p.get("status", {}).get("runs", {}).get("succeeded") == RUNS]
            by_workflow = {p["spec"]["podLabels"]["value"]: p for p in ended}
            return by_workflow if by_workflow.keys() == lives.keys() else {}

        profiles = wait_for("all runs in the status", analysed)
    assert found.keys() == lives.keys()
    for workflow, runs in found.items():
        assert read(runs) == expected(workflow, lives[workflow])
        assert all(run.outcome is Outcome.SUCCEEDED for run in runs), "also the one of which a task failed once"
    clean_up = {e.step: e for e in found["nightly_etl"][0].steps}
    assert (clean_up["extract"].finished or 0.0) <= (clean_up["clean_up"].created or 0.0)
    used = [c.memory_peak for runs in found.values() for run in runs for e in run.steps for c in e.containers]
    assert any(peak is not None and peak > 10 * MI for peak in used), "no usage was joined"
    for workflow, profile in profiles.items():
        steps = {p.labels[LABELS[workflow][1]] for p in lives[workflow]}
        assert {line.split(":")[0] for line in profile["status"]["steps"]} == steps
        (sizes,) = (r for r in profile["status"]["recommendations"] if r["id"] == "right-size")
        rows = [row for line in sizes["items"] if (row := item_of(line)) is not None]
        assert {row["step"] for row in rows} == steps, "every step asked for far more than it used"
        words = ["-n", namespace, "--kubeconfig", str(cluster.kubeconfig("admin"))]
        name, preset = profile["metadata"]["name"], profile["spec"]["podLabels"]["preset"]
        said = CliRunner().invoke(cli, ["explain", name, "right-size", *words], catch_exceptions=False).output
        assert PASTED[preset] in said
        assert values(preset, pasted(said))
