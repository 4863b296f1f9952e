"""Presets whose pods are not played elsewhere, and labels of one's own, out of a real Prometheus: the pods that were seen of
each engine, in several runs, become profiles with named steps, a recommendation and what can be pasted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from concertmaster.cli import cli
from concertmaster.engines.labels.presets import BY_NAME
from concertmaster.report.workflows.list_entries import item_of
from testbed.series.lives import PodLife
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.labelled_pods import EVERY, life
from tests.support.cluster.operator_bed import (
    apply,
    condition,
    history,
    install_crds,
    operator,
    policy,
    profile,
    settings,
    wait_for,
)
from tests.support.cluster.recorded_pods import recorded
from tests.support.engines.remedy_languages import pasted, values

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RUNS = 6
PRESETS = sorted(BY_NAME.keys() - {"airflow", "nextflow", "spark"})  # those: test_labelled.py
OWN = {name: f"example.com/{name}" for name in ("workflow", "run", "step", "attempt", "item")}
DECLARED = "declared"  # a profile written by hand for the same labels, whose steps wait for nothing
PASTED = {
    "nightly_sales": '@op(tags={"dagster-k8s/config":',
    "expire-applications.nightly": "work_pool:",
    "training-training-wf": "@task(requests=Resources(",
    "iris-training": "task.set_cpu_request(",
    "ddp-gpu": "# TrainJob",
    "web-team.shop": "KUBERNETES_",
    "arc-arm64": "- name: runner",
    "example-c-pipeline_main": "containerTemplate(name: 'ubuntu'",
    "sample-app": "containerTemplate(name: 'curltest'",
    "mnist": "- name: worker",
    "forecast": "- groupName: gpu",
    "own-flow": "# step first, container base",
    DECLARED: "# step first, container base",
}


def own(namespace: str, workflow: str, end: float) -> list[PodLife]:
    """Two steps one after the other; the second has two items, of which one fails once in the first run."""
    pods = []
    for i in range(RUNS):
        start = end - 2400.0 - (RUNS - 1 - i) * EVERY
        work = [("first", "", 0, 0.0, "Succeeded"), *(("second", str(n), 0, 400.0, "Succeeded") for n in range(2))]
        if i == 0:
            work[1:2] = [("second", "0", 0, 300.0, "Failed"), ("second", "0", 1, 400.0, "Succeeded")]
        for step, item, attempt, at, phase in work:
            given = {
                "workflow": workflow,
                "run": f"{workflow}-{i}",
                "step": step,
                "attempt": str(attempt),
                "item": item,
            }
            labels = {OWN[key]: value for key, value in given.items() if value}
            name = f"{workflow}-{i}-{step}-{item or 0}-{attempt}"
            pods.append(life(namespace, name, start + at, 80.0 if phase == "Failed" else 240.0, labels, phase=phase))
    return pods


def sizes(profile: dict[str, Any]) -> list[str]:
    """What its right-sizing sets, line by line."""
    return next(list(r["items"]) for r in profile["status"]["recommendations"] if r["id"] == "right-size")


def test_workflows_of_every_preset_are_found_named_and_advised(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    end = time.time() - 30.0
    pods, played = recorded(namespace, PRESETS, RUNS, end)
    pods += [pod for workflow in ("own-flow", DECLARED) for pod in own(namespace, workflow, end)]
    prometheus = make_prometheus(history=history(pods, [], end, days=0.5))
    by_hand = {**OWN, "value": DECLARED, "steps": [{"name": "first"}, {"name": "second"}]}
    apply(
        cluster,
        policy(
            namespace,
            discover=[*({"podLabels": {"preset": name}} for name in PRESETS), {"podLabels": OWN}],
            analysis={"materiality": {"moneyPerMonth": "0.01"}},
        ),
        profile(namespace, DECLARED, podLabels=by_hand),
    )
    with operator(cluster, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])):

        def analysed() -> dict[str, dict[str, Any]]:
            items = json.loads(cluster.run_kubectl("get", "wfp", "-n", namespace, "-o", "json").stdout)["items"]
            found = {p["spec"]["podLabels"]["value"]: p for p in items}
            still = [value for value, p in found.items() if condition(p, "Ready").get("reason") != "Analyzed"]
            return found if len(items) >= len(PASTED) and not still else {}

        found = wait_for("an analysis of each", analysed)
    assert found.keys() == PASTED.keys() == {*played, "own-flow", DECLARED}, "one profile each, and none for a listener"
    for value, one in played.items():
        status = found[value]["status"]
        assert f"{one.title} pods of workflow {value}" in condition(found[value], "TargetResolved")["message"]
        assert status["runs"]["observed"] == status["runs"]["succeeded"] == len(one.runs), value
        assert {line.split()[0].rstrip(":") for line in status["steps"]} == one.steps
    for value, graph in (("own-flow", "first | second"), (DECLARED, "first, second")):
        status = found[value]["status"]
        assert status["runs"]["succeeded"] == RUNS, "also the one of which an item failed once"
        assert status["graph"].endswith(graph)
    for value, snippet in PASTED.items():
        name, words = (
            found[value]["metadata"]["name"],
            ["-n", namespace, "--kubeconfig", str(cluster.kubeconfig("admin"))],
        )
        said = CliRunner().invoke(cli, ["explain", name, "right-size", *words], catch_exceptions=False).output
        assert snippet in said, (value, said)
        preset = played[value].preset if value in played else "podLabels"
        proposed = {row["new"] for line in sizes(found[value]) if (row := item_of(line)) is not None}
        assert proposed and proposed <= set(values(preset, pasted(said))), (value, proposed, said)
