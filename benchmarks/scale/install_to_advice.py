"""From ``helm install`` to recommendations: time until every discovered workflow has its first analysis.

``python -m benchmarks.scale.install_to_advice --workflows 50 --every 3600`` starts a real API server and a real Prometheus
with two weeks of simulated runs, installs the chart with its defaults, runs the operator with the chart's
ServiceAccount, applies one policy that discovers CronJobs, and waits. ``tests/chart`` runs a smaller version.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from testbed.series.lives import Grid
from testbed.series.openmetrics import render
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import OTHER_KINDS, Audit, Bed, Helm, deployed, source
from tests.support.cluster.operator_bed import Operator, apply, cronjob, runs_of_cronjob

DAYS = 14
NAMESPACE = "jobs"
_QUIET = 20.0  # seconds without a cycle: the operator waits for its interval
_DISCOVER = [{"apiVersion": "batch/v1", "kind": "CronJob"}]


@dataclass(frozen=True, slots=True)
class Result:
    """The measurements. Times in seconds since the end of ``helm install``."""

    workflows: int
    pods: int
    first: float
    all: float
    whole: float
    cycles: int
    queries: int
    requests: int
    rss_mib: float


def _history(workflows: int, every: float, end: float) -> tuple[int, Iterator[str]]:
    """Two weeks of ``workflows`` CronJobs with starts spread over the hour; number of pods, and OpenMetrics text."""
    pods, jobs = [], []
    for i in range(workflows):
        last = end - 60.0 * (i % 60)
        more = runs_of_cronjob(
            NAMESPACE, f"job-{i:03d}", int(DAYS * 86400 / every) - 1, last, every=every, seconds=240.0
        )
        # Deleted soon after they finish, otherwise their series would make the history a hundred times larger.
        pods += [replace(pod, deleted=(pod.finished or last) + 180.0) for pod in more[0]]
        jobs += [replace(job, deleted=job.created + 900.0) for job in more[1]]
    return len(pods), render(pods, Grid(end - DAYS * 86400.0, end), jobs)


def _recommended(bed: Bed) -> int:
    """Number of profiles with an analysis."""
    found = 0
    for item in bed.cluster.get("wfp", "-n", NAMESPACE)["items"]:
        status: dict[str, Any] = item.get("status") or {}
        ready: dict[str, Any] = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})
        found += ready.get("reason") == "Analyzed"
    return found


def _settled(op: Operator, begin: float, patience: float) -> float:
    """Seconds from ``begin`` to the end of the backfill, whose cycles follow each other without a pause."""
    seen, since = len(op.cycles()), time.monotonic()
    while time.monotonic() - since < _QUIET and time.monotonic() - begin < patience:
        time.sleep(0.5)
        if len(op.cycles()) != seen:
            seen, since = len(op.cycles()), time.monotonic()
    return since - begin


def measure(
    bed: Bed, directory: Path, *, workflows: int, every: float, patience: float = 300.0, interval: str = "5m"
) -> Result:
    """Install, wait for recommendations on all workflows, then for the end of the backfill. Raises TimeoutError after
    ``patience`` seconds."""
    end = time.time() - 30.0
    count, text = _history(workflows, every, end)
    prometheus = PrometheusServer()
    prometheus.load_openmetrics(text)
    bed.namespace(NAMESPACE)
    with prometheus:
        bed.install("cm", NAMESPACE, {"sources": [source(prometheus.url)], "config": {"interval": interval}})
        begin = time.monotonic()
        wide = {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "ClusterOptimizationPolicy",
            "metadata": {"name": "baseline"},
            "spec": {"discover": _DISCOVER},
        }
        apply(bed.cluster, wide, *(cronjob(NAMESPACE, f"job-{i:03d}") for i in range(workflows)))
        with deployed(bed, "cm", NAMESPACE, directory) as op:
            first = 0.0
            while True:
                done = _recommended(bed)
                now = time.monotonic() - begin
                first = first or (now if done else 0.0)
                if done == workflows:
                    break
                if now > patience or op.process.poll() is not None:
                    raise TimeoutError(
                        f"{done} of {workflows} workflows after {now:.0f} s; {op.log.read_text()[-2000:]}"
                    )
                time.sleep(0.5)
            everything, cycles = now, len(op.cycles())
            whole = _settled(op, begin, patience)
            lines = op.cycles()
            _, exposition = op.get("/metrics")
            requests = sum(
                float(line.rpartition(" ")[2])
                for line in exposition.splitlines()
                if line.startswith("concertmaster_kubernetes_requests_total{")
            )
            return Result(
                workflows=workflows,
                pods=count,
                first=round(first, 1),
                all=round(everything, 1),
                whole=round(whole, 1),
                cycles=cycles + 1,
                queries=sum(int(line["queries"]) for line in lines),
                requests=int(requests),
                rss_mib=round(op.rss(), 1),
            )


def main() -> int:
    """Run one measurement and print it as JSON."""
    parser = argparse.ArgumentParser(description="Measure the time from helm install to advice.")
    parser.add_argument("--workflows", type=int, default=50)
    parser.add_argument("--every", type=float, default=3600.0, help="seconds between runs of one workflow")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        audit = Audit(directory)
        with ControlPlane(Options(controller_manager=True, apiserver_args=audit.arguments())) as plane:
            plane.cluster.apply(*OTHER_KINDS)
            bed = Bed(plane, plane.cluster, Helm(directory, plane.cluster.kubeconfig()), audit, directory)
            found = measure(bed, directory, workflows=options.workflows, every=options.every, patience=900.0)
    print(json.dumps(asdict(found), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
