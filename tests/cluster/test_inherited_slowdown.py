"""Which step a slowdown is put down to, from pods in a real Prometheus to the status of a running operator: not one that was
only given more by the step before it, but one that takes longer for the same input."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.series.lives import PodLife
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.labelled_pods import EVERY, life
from tests.support.cluster.operator_bed import (
    apply,
    condition,
    history,
    install_crds,
    on_like_days,
    operator,
    profile,
    runs_of_cronjob,
    settings,
    wait_for,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RUNS, MORE = 40, 24  # runs, and the first of those in which a step takes longer
INHERITED, OWN, BOTH = "inherited", "own", "both"
EXTRACT, LOAD = "extract", "load"
KEYS = {name: f"example.com/{name}" for name in ("workflow", "run", "step")}
PER_ROW, EXTRACTING, SLOWED = 0.6, 120.0, 420.0  # seconds
METRIC = {
    "name": "rows",
    "role": "InputSize",
    "unit": "rows",
    "per": "Step",
    "query": "max by (run, step) (last_over_time(input_rows[$window]))",
}


def rows() -> list[float]:
    """What ``load`` makes its time of in each run. Some of the later ones are as small as earlier ones."""
    chance = random.Random(4)
    return [chance.uniform(*((500.0, 1200.0) if i < MORE else (900.0, 2000.0))) for i in range(RUNS)]


def given(workflow: str, step: str, run: int) -> float:
    """The rows a step was given: those of ``load`` come from the step before it, and explain its time or do not."""
    return 1000.0 if step == EXTRACT else 800.0 if workflow == OWN else rows()[run]


def seconds(workflow: str, chance: random.Random, run: int) -> dict[str, float]:
    """How long the steps of a run take. ``load`` grows by more than ``extract``, wherever both do."""
    extracting = SLOWED if workflow == BOTH and run >= MORE else EXTRACTING
    return {EXTRACT: extracting * chance.uniform(0.98, 1.02), LOAD: PER_ROW * rows()[run] * chance.uniform(0.98, 1.02)}


def runs_of(namespace: str, workflow: str, end: float) -> Iterator[tuple[PodLife, float]]:
    """The pod of each step of each run, and the rows it was given."""
    chance = random.Random(9)
    for i in range(RUNS):
        start, run = end - 2400.0 - (RUNS - 1 - i) * EVERY, f"{workflow}-{i}"
        for step, lasts in seconds(workflow, chance, i).items():
            labels = dict(zip(KEYS.values(), (workflow, run, step), strict=True))
            yield life(namespace, f"{run}-{step}", start, lasts, labels), given(workflow, step, i)
            start += lasts + 6.0


def exposition(namespace: str, end: float) -> list[str]:
    """The series of all pods up to ``end`` (unix seconds), and a gauge that says what the steps were given."""
    last = on_like_days(end, RUNS * EVERY + 3600.0)
    lives = [one for workflow in (INHERITED, OWN, BOTH) for one in runs_of(namespace, workflow, last)]
    recent, _ = runs_of_cronjob(namespace, "recent", 1, end)  # what is read must not end long before now
    samples = []
    for pod, size in lives:
        labels = f'namespace="{namespace}",run="{pod.labels[KEYS["run"]]}",step="{pod.labels[KEYS["step"]]}"'
        samples += [f"input_rows{{{labels}}} {size} {pod.created + 60 * minute:.0f}\n" for minute in range(3)]
    body = "".join(history([*recent, *(pod for pod, _ in lives)], [], end, days=4.0)).removesuffix("# EOF\n")
    return [body, "# TYPE input_rows gauge\n", *samples, "# EOF\n"]


def test_the_cause_of_a_slowdown_is_the_step_that_is_slower_at_equal_input(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    end = time.time() - 30.0
    prometheus = make_prometheus(history=exposition(namespace, end))
    for name in (INHERITED, OWN, BOTH):
        apply(cluster, profile(namespace, name, podLabels={**KEYS, "value": name}, extraMetrics=[METRIC]))
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace], limits={"backfill": "4d"})
    with operator(cluster, tmp_path, config):

        def analysed() -> dict[str, dict[str, Any]]:
            items = cluster.get("wfp", "-n", namespace)["items"]
            ready = [p for p in items if condition(p, "Ready").get("reason") == "Analyzed"]
            whole = {
                p["spec"]["podLabels"]["value"]: p["status"] for p in ready if p["status"]["runs"]["observed"] == RUNS
            }
            return whole if len(whole) == 3 else {}

        statuses = wait_for("three analyses", analysed)
    slower = {
        name: [r["id"] for r in status["recommendations"] if r["id"].startswith("degradation")]
        for name, status in statuses.items()
    }
    grew = {
        name: [line for line in s["insights"] if "because their input grew" in line] for name, s in statuses.items()
    }
    assert slower == {INHERITED: [], OWN: [f"degradation.{LOAD}"], BOTH: [f"degradation.{EXTRACT}"]}, grew
    assert len(grew[INHERITED]) == 1
    assert not grew[OWN] and not grew[BOTH]
