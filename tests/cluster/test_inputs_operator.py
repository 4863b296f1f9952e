"""What the operator makes of input sizes, on a real API server: no regression of what was given more, neither by a
slower step nor by a change that was made, and sizes by input.

Three CronJobs run for exactly as long as one another: what one of them was given grew, what the second was given did not,
and of the third nobody knows it.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from click.testing import CliRunner

from concertmaster.cli import cli
from concertmaster.core.times import iso
from testbed.series.lives import JobLife, PodLife
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import (
    apply,
    condition,
    cronjob,
    history,
    install_crds,
    on_like_days,
    operator,
    profile,
    runs_of_cronjob,
    settings,
    wait_for,
)
from tests.support.cluster.published import own_address, publish

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MI = 2.0**20
RUNS, MORE = 40, 24  # runs, and the first of those that were given more
GROWN, EVEN, UNKNOWN = "grown", "even", "unknown"
PER_ROW = 0.6  # seconds
WORKFLOWS = (GROWN, EVEN, UNKNOWN)
METRIC = {
    "name": "rows",
    "role": "InputSize",
    "unit": "rows",
    "query": "max by (run) (last_over_time(input_rows[$window]))",
}


def rows() -> list[float]:
    """What each run was given. Some of the later ones are as small as earlier ones: what could be compared otherwise?"""
    chance = random.Random(4)
    return [chance.uniform(*((500.0, 1200.0) if i < MORE else (900.0, 2000.0))) for i in range(RUNS)]


def runs_of(namespace: str, name: str, end: float) -> tuple[list[PodLife], list[JobLife]]:
    """Runs whose time and memory follow the rows of ``grown``."""
    pods, jobs = runs_of_cronjob(namespace, name, RUNS, end)
    chance = random.Random(9)
    for i, size in enumerate(rows()):
        (main,) = pods[i].containers
        assert main.started is not None
        finished = main.started + PER_ROW * size * chance.uniform(0.98, 1.02)
        main = replace(main, finished=finished, cpu_seconds=0.25 * PER_ROW * size, memory_peak=(100 + 0.4 * size) * MI)
        pods[i] = replace(pods[i], containers=[main], finished=finished, deleted=finished + 1800.0)
        jobs[i] = replace(jobs[i], finished=finished)
    return pods, jobs


def samples(namespace: str, jobs: list[JobLife], given: list[float]) -> Iterator[str]:
    """Samples of a gauge that says what these runs were given."""
    for job, size in zip(jobs, given, strict=True):
        for minute in range(5):
            labels = f'namespace="{namespace}",run="{job.name}"'
            yield f"input_rows{{{labels}}} {size} {job.created + 60 * minute:.0f}\n"


def last(end: float) -> float:
    """When the last run has ended, for data up to ``end`` (unix seconds)."""
    return on_like_days(end, (RUNS + 1) * 3600.0)


def exposition(namespace: str, end: float) -> list[str]:
    """The series of all runs."""
    lives = {name: runs_of(namespace, name, last(end)) for name in WORKFLOWS}
    text = history(
        [*(p for pods, _ in lives.values() for p in pods), *runs_of_cronjob(namespace, "recent", 1, end)[0]],
        [j for _, jobs in lives.values() for j in jobs],
        end,
        days=4.0,
    )
    given = [*samples(namespace, lives[GROWN][1], rows()), *samples(namespace, lives[EVEN][1], [800.0] * RUNS)]
    return ["".join(text).removesuffix("# EOF\n"), "# TYPE input_rows gauge\n", *given, "# EOF\n"]


def changed(since: float) -> str:
    """A status that remembers a change by hand of the memory request, whose effect has not been measured."""
    result = {
        "id": "memory-request.job", "action": "Lower it", "by": "kubectl", "since": iso(since),
        "promised": "Cost -40% (-50 to -30%)",
        "sets": "/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/memory: 3Gi -> 2Gi",
    }  # fmt: skip
    return json.dumps({"status": {"results": [result]}})


def explain(cluster: Cluster, namespace: str, *words: str) -> str:
    """What ``explain`` prints, on one line."""
    place = [
        "-n",
        namespace,
        "--kubeconfig",
        str(cluster.kubeconfig("admin")),
        "--operator",
        f"{namespace}/concertmaster",
    ]
    return " ".join(CliRunner().invoke(cli, ["explain", *words, *place], catch_exceptions=False).output.split())


def test_larger_inputs_are_no_regression_and_sizes_follow_them(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    end = time.time() - 30.0
    prometheus = make_prometheus(history=exposition(namespace, end))
    since = runs_of_cronjob(namespace, GROWN, RUNS, last(end))[0][MORE].created - 300.0
    ref = {"apiVersion": "batch/v1", "kind": "CronJob"}
    for name in WORKFLOWS:
        more = {} if name == UNKNOWN else {"extraMetrics": [METRIC]}
        apply(cluster, cronjob(namespace, name), profile(namespace, name, workflowRef={**ref, "name": name}, **more))
        patch = ("--subresource=status", "--type=merge", "-p", changed(since))
        cluster.kubectl("patch", "wfp", name, "-n", namespace, *patch)
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])
    config["limits"] = {"backfill": "4d"}
    config["listen"]["address"] = "0.0.0.0"
    publish(cluster, namespace, own_address(), config["listen"]["port"])
    with operator(cluster, tmp_path, config):

        def analysed() -> dict[str, dict[str, Any]]:
            found = {p["metadata"]["name"]: p for p in cluster.get("wfp", "-n", namespace)["items"]}
            ready = {n: p["status"] for n, p in found.items() if condition(p, "Ready").get("reason") == "Analyzed"}
            whole = all(ready.get(name, {}).get("runs", {}).get("observed") == RUNS for name in WORKFLOWS)
            return ready if whole else {}

        statuses = wait_for("three analyses", analysed)
        shown = explain(cluster, namespace, GROWN, "right-size")
    slower = {
        n: [r["id"] for r in s["recommendations"] if r["id"].startswith("degradation")] for n, s in statuses.items()
    }
    assert slower == {GROWN: [], EVEN: ["degradation.job"], UNKNOWN: ["degradation.job"]}
    grew = {n: [line for line in s["insights"] if "because their input grew" in line] for n, s in statuses.items()}
    assert not grew[EVEN] and not grew[UNKNOWN]
    # The same runs before and after a change: at equal input they show no harm.
    verdicts = {name: s["results"][0].get("verdict") for name, s in statuses.items()}
    assert verdicts[EVEN] == verdicts[UNKNOWN] == "Worse" and verdicts[GROWN] in ("Improved", "Same"), verdicts
    before, after = median(rows()[:MORE]), median(rows()[MORE:])
    (said,) = grew[GROWN]
    assert (
        f"grew from {before:,.0f} rows to {after:,.0f} rows (medians); at equal input they are as fast as before"
        in said
    )
    (line,) = [line for line in statuses[GROWN]["insights"] if line.startswith("job follows its input (40 executions)")]
    levels = re.findall(r"(\d+)Mi up to ([\d,]+) rows", line)
    assert len(levels) >= 2
    for memory, size in levels:
        most = max(row for row in rows() if row <= float(size.replace(",", "")))
        assert 100 + 0.4 * most < float(memory) < 1.5 * (100 + 0.4 * most), line
    usual, largest = median(rows()), max(rows())
    assert f"input {usual:,.0f} rows in the median of {RUNS} runs, at most {largest:,.0f} rows" in shown
