"""Rules that compare workflows, in the running operator: on the real API server, from the series of a real Prometheus."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from concertmaster.cli import cli
from testbed.series.lives import JobLife, PodLife
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    apply,
    condition,
    cronjob,
    get_object,
    history,
    install_crds,
    operator,
    policy,
    runs_of_cronjob,
    settings,
    wait_for,
)
from tests.support.cluster.published import own_address, publish

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WAIT = 300.0  # seconds of scheduling latency in each run of ``report``


def hourly(
    namespace: str, name: str, end: float, *, cores: float, wait: float = 0.0
) -> tuple[list[PodLife], list[JobLife]]:
    """Thirty hourly runs of ten minutes on so many cores, each after so long a wait."""
    pods, jobs = runs_of_cronjob(namespace, name, 30, end)
    moved = []
    for pod in pods:
        (inside,) = pod.containers
        begun, finished = (inside.started or 0.0) + wait, (inside.finished or 0.0) + wait
        inside = replace(inside, started=begun, finished=finished, cpu_request=cores, cpu_seconds=550.0 * cores)
        ends = {"finished": finished, "deleted": finished + 1800.0}
        moved.append(
            replace(pod, containers=[inside], scheduled=(pod.scheduled or 0.0) + wait, started=begun - 3.0, **ends)  # type: ignore[arg-type]
        )
    return moved, [replace(job, finished=(job.finished or 0.0) + wait) for job in jobs]


def profile(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    return get_object(cluster, "wfp", namespace, f"cronjob-{name}")


def recommended(cluster: Cluster, namespace: str, name: str) -> dict[str, dict[str, Any]]:
    """The recommendations by id."""
    return {r["id"]: r for r in (profile(cluster, namespace, name).get("status") or {}).get("recommendations", ())}


def peaks(cluster: Cluster, namespace: str, name: str) -> list[str]:
    """Lines of a profile's insights about the busiest hour."""
    lines = (profile(cluster, namespace, name).get("status") or {}).get("insights", ())
    return [line for line in lines if "schedules and history" in line]


def demand(cluster: Cluster, namespace: str, name: str) -> dict[str, list[str]]:
    """The table of ``explain`` about the busiest hours ahead: its heading, then cores, GiB and runs by hour."""
    words = [
        "explain",
        f"cronjob-{name}",
        "demand-forecast",
        "-n",
        namespace,
        "--operator",
        f"{namespace}/concertmaster",
    ]
    place = ["--kubeconfig", str(cluster.kubeconfig("admin"))]
    said = CliRunner().invoke(cli, [*words, *place], catch_exceptions=False, standalone_mode=False).output
    rows = [re.split(r" {2,}", line.strip()) for line in said.splitlines() if re.search(r" UTC {2,}\d|HOUR {2,}", line)]
    return {hour: amounts for hour, *amounts in rows}


def test_the_operator_tells_of_clashes_and_peaks_and_asks_nothing_for_it(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    end = time.time() - 30.0
    parts = [
        hourly(namespace, "report", end, cores=1.0, wait=WAIT),
        hourly(namespace, "crawl", end, cores=8.0),
        hourly(namespace, "nightly", end, cores=40.0),
    ]
    prometheus = make_prometheus(
        history=history([p for pods, _ in parts for p in pods], [j for _, js in parts for j in js], end)
    )
    jobs = {name: cronjob(namespace, name) for name in ("report", "crawl", "nightly")}
    hour = (datetime.now(UTC).hour + 12) % 24
    for job in jobs.values():
        job["spec"]["suspend"] = False
    jobs["nightly"]["spec"]["schedule"] = f"0 {hour} * * *"
    apply(cluster, *jobs.values(), policy(namespace, discover=DISCOVER_CRONJOBS))
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])
    config["listen"]["address"] = "0.0.0.0"
    publish(cluster, namespace, own_address(), config["listen"]["port"])
    with operator(cluster, tmp_path, config) as op:
        clash = wait_for("the clash", lambda: recommended(cluster, namespace, "report").get("schedule-clash"))
        assert f"its runs wait {int(WAIT // 60)}m0" in clash["because"]
        assert "nightly and crawl reserve" in clash["because"]
        assert clash["current"] == "0 * * * *"
        minutes, rest = clash["proposed"].split(" ", 1)
        assert 10 <= int(minutes) <= 50
        assert rest == "* * * *"
        (peak,) = wait_for("the peak", lambda: peaks(cluster, namespace, "nightly"))
        assert f"{hour:02d}:00 UTC" in peak
        # 40 cores for ten of sixty minutes, and the crawl's 8 and the report's one with their parts of an hour
        assert "schedules and history" in peak
        table = demand(cluster, namespace, "nightly")
        assert table.pop("HOUR") == ["CPU", "MEMORY", "RUNS"]
        cores = {when: float(amounts[0].removesuffix(" cores")) for when, amounts in table.items()}
        nights = {when for when in cores if when.endswith(f" {hour:02d}:00 UTC")}
        assert len(nights) == 3  # of the next 72 hours
        assert all(40 / 6 <= cores[when] <= 41 / 6 + 8 / 6 + 1 for when in nights)
        assert max(used for when, used in cores.items() if when not in nights) < 40 / 6
        for quiet in ("crawl", "nightly"):  # they wait for nobody
            assert "schedule-clash" not in recommended(cluster, namespace, quiet)
        for small in ("crawl", "report"):
            assert not peaks(cluster, namespace, small)
        if (left := 3600.0 - time.time() % 3600.0) < 60.0:
            time.sleep(left)  # with each hour the demand of the next 72 changes
        op.next_cycles(3)  # one may be under way since the peak was written
        versions = {
            n: profile(cluster, namespace, n)["metadata"]["resourceVersion"] for n in ("report", "crawl", "nightly")
        }
        cycles = op.next_cycles(3)
        assert all(c["analyzed"] == 0 for c in cycles)
        assert all(c["queries"] <= 15 for c in cycles)
        assert versions == {n: profile(cluster, namespace, n)["metadata"]["resourceVersion"] for n in versions}

        op.stop()
    with operator(cluster, tmp_path, config) as op:  # a new process knows nobody yet, and takes nothing back
        wait_for("cycles of the new process", lambda: len(op.cycles()) >= 2)
        assert condition(profile(cluster, namespace, "report"), "Ready")["status"] == "True"
        assert {n: profile(cluster, namespace, n)["metadata"]["resourceVersion"] for n in versions} == versions
