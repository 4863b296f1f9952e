"""What else than sizes is set where a workflow of an engine with labels is defined: retries of a task that fails at times,
and a limit of pods where they wait for nodes, from pods in a real Prometheus to what ``explain`` prints to be pasted."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from concertmaster.cli import cli
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
    settings,
    wait_for,
)
from tests.support.cluster.published import own_address, publish
from tests.support.engines.remedy_languages import numbers, pasted

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RUNS, FLAKY_EVERY = 36, 7  # runs, and how often one of them fails
WIDE, ROOM = 6, 2  # tasks that are ready at once, and how many of them the nodes hold
FLAKY, QUEUE = "fetch", "render"


@dataclass(frozen=True)
class Engine:
    """How an engine labels the pods of a workflow, and the settings that its snippets set."""

    preset: str
    workflow: str
    entry: dict[str, str]
    labels: Callable[[int, str, int], dict[str, str]]  # of run, step and item
    steps: tuple[str, ...]  # of the tasks that are ready at once
    container: str
    worker: bool  # whether a pod beside the tasks starts them
    retries: str
    limit: str


def airflow(run: int, step: str, item: int) -> dict[str, str]:
    given = {"dag_id": "nightly_etl", "run_id": f"scheduled__2026-11-20T{run:06d}", "kubernetes_executor": "True",
             "task_id": step, "try_number": "1"}  # fmt: skip
    return given | ({"map_index": str(item)} if step == QUEUE else {})


def dagster(run: int, step: str, item: int) -> dict[str, str]:
    given = {"dagster/job": "nightly_sales", "dagster/run-id": f"1c8b3d2e-5c7b-4b0e-9f0f-{run:012x}"}
    return given | ({"dagster/op": step} if step else {})


def nextflow(run: int, step: str, item: int) -> dict[str, str]:
    return {"nextflow.io/app": "nextflow", "nextflow.io/runName": f"happy_curie_{run}", "pipeline": "rnaseq",
            "nextflow.io/processName": step, "nextflow.io/taskName": f"{step}_{item}"}  # fmt: skip


ENGINES = (
    Engine("airflow", "nightly_etl", {}, airflow, (QUEUE,) * WIDE, "base", False,
           "retries", "max_active_tasks"),
    Engine("dagster", "nightly_sales", {}, dagster, tuple(f"{QUEUE}_{i}" for i in range(WIDE)), "dagster", True,
           "max_retries", "max_concurrent"),
    Engine("nextflow", "rnaseq", {"workflow": "pipeline"}, nextflow, (QUEUE,) * WIDE, "task", False,
           f"process.withName: '{FLAKY}'.maxRetries", "executor.queueSize"),
)  # fmt: skip


def pods_of(namespace: str, engine: Engine, end: float) -> list[PodLife]:
    """Runs of a task that fails in every seventh of them, and of as many after it as wait for room on the nodes."""
    chance, pods = random.Random(engine.preset), []
    for i in range(RUNS):
        start = end - 2400.0 - (RUNS - 1 - i) * EVERY
        phase = "Failed" if i % FLAKY_EVERY == 3 else "Succeeded"
        lasts = chance.uniform(110.0, 130.0)
        name = f"{engine.preset}-{i}-{FLAKY}"
        pods.append(
            life(namespace, name, start, lasts, engine.labels(i, FLAKY, 0), container=engine.container, phase=phase)
        )
        if engine.worker:
            beside = lasts + (0.0 if phase == "Failed" else 500.0)
            labels, name = engine.labels(i, "", 0), f"{engine.preset}-{i}-worker"
            pods.append(life(namespace, name, start - 15.0, beside + 15.0, labels, container=engine.container))
        if phase == "Failed":
            continue
        start += lasts + 10.0
        for item, step in enumerate(engine.steps):
            wait = (item // ROOM) * 115.0
            name, labels = f"{engine.preset}-{i}-{QUEUE}-{item}", engine.labels(i, step, item)
            late = life(namespace, name, start + wait, chance.uniform(95.0, 105.0), labels, container=engine.container)
            pods.append(replace(late, created=start))
    return pods


def explained(cluster: Cluster, namespace: str, *words: str) -> str:
    """What ``explain`` prints, with what the operator knows."""
    place = ["-n", namespace, "--kubeconfig", str(cluster.kubeconfig("admin"))]
    place += ["--operator", f"{namespace}/concertmaster"]
    return CliRunner().invoke(cli, ["explain", *words, *place], catch_exceptions=False).output


def test_retries_and_limits_are_said_in_the_words_of_the_engine(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    end = time.time() - 30.0
    pods = [pod for engine in ENGINES for pod in pods_of(namespace, engine, end)]
    prometheus = make_prometheus(history=history(pods, [], end))
    entries = [{"podLabels": {"preset": engine.preset, **engine.entry}} for engine in ENGINES]
    apply(cluster, policy(namespace, discover=entries))
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])
    config["listen"]["address"] = "0.0.0.0"
    publish(cluster, namespace, own_address(), config["listen"]["port"])
    with operator(cluster, tmp_path, config):

        def analysed() -> dict[str, dict[str, Any]]:
            """Profiles by workflow, once all runs of each are read."""
            items = cluster.get("wfp", "-n", namespace)["items"]
            ready = [p for p in items if condition(p, "Ready").get("reason") == "Analyzed"]
            whole = {p["spec"]["podLabels"]["value"]: p for p in ready if p["status"]["runs"]["observed"] == RUNS}
            return whole if len(whole) == len(ENGINES) else {}

        profiles = wait_for("an analysis of each", analysed)
        for engine in ENGINES:
            profile = profiles[engine.workflow]
            published = {r["id"] for r in profile["status"]["recommendations"]}
            assert f"retry-policy.{FLAKY}" in published, (engine.preset, published)
            for about, setting, place in (
                (f"retry-policy.{FLAKY}", engine.retries, FLAKY),
                ("parallelism", engine.limit, engine.workflow if engine.preset != "nextflow" else "executor"),
            ):
                said = explained(cluster, namespace, profile["metadata"]["name"], about)
                (proposed,) = re.findall(r"^  Proposed: +(\d+) (?:retries|pods at a time)$", said, re.M)
                snippet = pasted(said)
                assert numbers(engine.preset, snippet).get(setting) == int(proposed), (engine.preset, about, said)
                assert re.search(rf"\b{place}\b", snippet), (engine.preset, about, said)
