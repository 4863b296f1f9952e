"""A change is judged at equal input, from pods in a real Prometheus to the verdict in the object on a real API server.

The operator raises the parallelism of four CronJobs and starts again a day later, by its own clock. Their runs were given
other amounts since, which changes how long they take by more than the change does: two are judged the other way round than
by their times, and the last one, of which nobody says what its runs were given, by its times alone.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from concertmaster.core.times import weekend
from testbed.series.lives import ContainerLife, JobLife, PodLife
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.change_harness import cron_job
from tests.support.cluster.labelled_pods import EVERY, MI, life
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    apply,
    condition,
    history,
    install_crds,
    operator,
    policy,
    settings,
    wait_for,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

BEFORE, AFTER, PODS = 24, 16, 6  # runs before and after the change, pods of each
NOW, THEN = 2, 3  # pods at a time
AGO = (BEFORE + 2) * EVERY + 2 * 86400.0  # since when there are metrics: before a weekend, too
# From the beginning of the runs after to the second look, and how far the metrics go on after it.
LATER, AHEAD = (AFTER + 1) * EVERY, EVERY
PER_ROW = 0.2  # seconds of a pod
KEPT = 300.0  # seconds for which a finished pod, and its Job, are there
CPU, MEMORY = 0.2, 64 * MI  # what pods ask for and use
METRIC = {
    "name": "rows",
    "role": "InputSize",
    "unit": "rows",
    "query": "max by (run) (last_over_time(input_rows[$window]))",
}
# The clock of the operator's process, set before the process reads it: so many seconds ahead.
LATE = """
import time
now = time.time
time.time = lambda: now() + {:f}
"""


@dataclass(frozen=True)
class Workflow:
    """How a workflow's runs change: ``rows`` that runs were given before and after, the factor ``slower`` by which each pod
    takes longer for a row after, the verdict that is right, and whether its runs got longer (by time alone)."""

    name: str
    rows: tuple[tuple[float, float], tuple[float, float]]
    slower: float
    verdict: str
    longer: bool
    known: bool = True


SMALL, LARGE = (500.0, 1500.0), (1200.0, 3600.0)
WORKFLOWS = (
    Workflow("grown", (SMALL, LARGE), 1.0, "Improved", longer=True),
    Workflow("shrunk", (LARGE, SMALL), 2.2, "Worse", longer=False),
    Workflow("even", (SMALL, SMALL), 1.0, "Improved", longer=False),
    Workflow("untold", (SMALL, LARGE), 1.0, "Worse", longer=True, known=False),
)


@dataclass
class Run:
    """One run as its Job, its pods and what they were given; ``seconds`` from its first pod's start to its last one's
    end."""

    job: JobLife
    pods: list[PodLife]
    rows: float
    seconds: float


def run_of(namespace: str, of: Workflow, start: float, changed: bool, chance: random.Random) -> Run:
    """Pods in waves of as many as may run at a time."""
    at_a_time, name = THEN if changed else NOW, f"{of.name}-{int(start) // 60}"
    rows = chance.uniform(*of.rows[changed])
    lasts = PER_ROW * rows * (of.slower if changed else 1.0)
    pods, begins = [], start
    for first in range(0, PODS, at_a_time):
        ends = []
        for i in range(first, first + at_a_time):
            begun = begins + 4.0
            ends.append(begun + lasts * chance.uniform(0.98, 1.0))
            seconds = ends[-1] - begun
            inside = ContainerLife("main", image="etl:1", started=begun, finished=ends[-1], cpu_seconds=CPU * seconds,
                                   memory_peak=MEMORY, cpu_request=CPU, memory_request=MEMORY,
                                   terminated_reason="Completed")  # fmt: skip
            pods.append(PodLife(namespace, f"{name}-{i}", f"uid-{namespace}-{name}-{i}", created=begins,
                                containers=[inside], node="node-1", owner_kind="Job", owner_name=name,
                                scheduled=begins + 1.0, started=begins + 2.0, finished=ends[-1],
                                deleted=ends[-1] + KEPT))  # fmt: skip
        begins = max(ends) + 2.0
    finished = begins - 1.0
    job = JobLife(namespace, name, start, finished, deleted=finished + KEPT, owner_kind="CronJob", owner_name=of.name,
                  parallelism=at_a_time, completions=PODS)  # fmt: skip
    return Run(job, pods, rows, finished - start)


def working_days(now: float) -> float:
    """``now``, or the first moment of Monday where runs from now on would lie on a weekend: what such days change is not
    known from a few runs before them, and no verdict would come."""
    while weekend(now) or weekend(now + LATER + AHEAD):
        now += 60.0
    return now


def runs_of(namespace: str, of: Workflow, now: float) -> tuple[list[Run], list[Run]]:
    """Those that ended before ``now``, and those that began after it: all on working days."""
    chance = random.Random(of.name)
    hours = (now - i * EVERY for i in count(1))
    starts = [*islice((hour for hour in hours if not weekend(hour)), BEFORE)][::-1]
    later = [working_days(now) + (i + 0.5) * EVERY for i in range(AFTER)]
    return tuple(
        [run_of(namespace, of, start, changed, chance) for start in of_side]
        for changed, of_side in ((False, starts), (True, later))
    )


def exposition(namespace: str, now: float) -> tuple[list[str], dict[str, float]]:
    """The series of all runs up to the later moment, and by workflow the ratio of run times after to before."""
    sides = {of: runs_of(namespace, of, now) for of in WORKFLOWS}
    runs = [run for both in sides.values() for side in both for run in side]
    begun, end = now - AGO, working_days(now) + LATER + AHEAD
    throughout = life(
        namespace, "throughout", begun, end + EVERY - begun, {}
    )  # metrics without any pod would count as lost
    pods = [throughout, *(pod for run in runs for pod in run.pods)]
    text = history(pods, [run.job for run in runs], end, days=(end - begun) / 86400.0)

    def given() -> Iterator[str]:
        for of, both in sides.items():
            for run in (run for side in both for run in side) if of.known else ():
                for minute in range(5):
                    labels = f'namespace="{namespace}",run="{run.job.name}"'
                    yield f"input_rows{{{labels}}} {run.rows} {run.job.created + 60 * minute:.0f}\n"

    ratios = {
        of.name: median(r.seconds for r in after) / median(r.seconds for r in before)
        for of, (before, after) in sides.items()
    }
    return ["".join(text).removesuffix("# EOF\n"), "# TYPE input_rows gauge\n", *given(), "# EOF\n"], ratios


def test_a_change_is_judged_by_runs_at_equal_input(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    present = time.time() - 30.0
    text, ratios = exposition(namespace, present)
    assert {of.name: ratios[of.name] > 1.1 for of in WORKFLOWS} == {of.name: of.longer for of in WORKFLOWS}
    prometheus = make_prometheus(history=text)
    apply(cluster, *(cron_job(namespace, of.name, "200m", parallelism=NOW, completions=PODS) for of in WORKFLOWS))
    auto = {"mode": "Auto", "maxRisk": "Medium", "allow": ["Parallelism"], "bounds": {"parallelism": {"max": THEN}}}
    apply(cluster, policy(namespace, discover=DISCOVER_CRONJOBS, apply=auto, extraMetrics=[METRIC]))
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace], limits={"backfill": "4d"})

    def changes() -> dict[str, dict[str, Any]]:
        """The change of each workflow."""
        items = cluster.get("wfc", "-n", namespace)["items"]
        return {c["spec"]["profileRef"]["name"].removeprefix("cronjob-"): c for c in items}

    def all_are(phase: str) -> dict[str, dict[str, Any]]:
        """The change of each workflow once all are in this phase."""
        found = changes()
        there = {name for name, c in found.items() if (c.get("status") or {}).get("phase") == phase}
        return found if there == {of.name for of in WORKFLOWS} else {}

    def limits() -> dict[str, int]:
        items = cluster.get("cronjob", "-n", namespace)["items"]
        return {c["metadata"]["name"]: c["spec"]["jobTemplate"]["spec"]["parallelism"] for c in items}

    with operator(cluster, tmp_path, config) as op:
        # Where nobody says what runs were given, their times vary without a cause, and a person is asked.
        asked = wait_for("the question", lambda: changes().get("untold", {}).get("status"), pause=1.0)
        assert "runs vary by " in condition({"status": asked}, "Approved")["message"]
        decision = json.dumps({"spec": {"decision": "Approve", "decidedBy": "ana"}})
        cluster.kubectl(
            "patch", "wfc", changes()["untold"]["metadata"]["name"], "-n", namespace, "--type=merge", "-p", decision
        )
        wait_for("a change of each workflow", lambda: all_are("Verifying"), pause=1.0)
        assert set(limits().values()) == {THEN}
        op.stop()
    with operator(cluster, tmp_path, config, first=LATE.format(working_days(present) + LATER - present)):
        judged = wait_for("a verdict on each", lambda: all_are("Completed"), pause=1.0)
    status = {name: change["status"] for name, change in judged.items()}
    assert {name: s["verdict"] for name, s in status.items()} == {of.name: of.verdict for of in WORKFLOWS}
    assert limits() == {of.name: THEN if of.verdict == "Improved" else NOW for of in WORKFLOWS}
    said = {name: condition(change, "Verified")["message"] for name, change in judged.items()}
    assert {name: "of what they were at equal input" in text for name, text in said.items()} == {
        of.name: of.known for of in WORKFLOWS
    }, said
    assert "faster: " in said["grown"] and "slower: " in said["shrunk"]
    for of in WORKFLOWS:
        effect = 1.0 + float(status[of.name]["measured"]["likely"]) / 100.0
        right = of.slower * NOW / THEN if of.known else ratios[of.name]
        assert effect == pytest.approx(right, rel=0.1), of.name
