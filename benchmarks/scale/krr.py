"""``make bench-krr KRR=DIR``: KRR and ``concertmaster analyze`` on the same Prometheus and API server, one after the
other.

CronJobs with one run a day over two weeks are loaded into a real Prometheus and created in a real API server. Both
tools read the same two weeks; wall time, queries, samples read by Prometheus and its CPU time are those of one process
each. Each tool runs twice and the second run counts: the first one warms the caches of the metrics source. KRR is not
part of this repository: ``KRR`` is a checkout of robusta-dev/krr, ``KRR_PYTHON`` an interpreter with its requirements.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from testbed.process import TemporaryDirectory
from testbed.series.lives import ContainerLife, Grid, JobLife, PodLife
from testbed.series.openmetrics import render
from testbed.services.controlplane import ControlPlane
from testbed.services.prometheus import PrometheusServer

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "krr.json"
DAY = 86400.0
MI = 2.0**20
RUNS = 14
NAMESPACES = 10
ROUNDS = 2
_ASKED = re.compile(r'^prometheus_http_requests_total\{.*handler="/api/v1/(query|query_range|series|labels?)"')


def cronjob(number: int) -> dict[str, Any]:
    """A CronJob whose requests are far above the usage of its runs."""
    container = {
        "name": "main",
        "image": "registry.example/job:1",
        "command": ["work"],
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    }
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": f"job-{number:04}", "namespace": f"team-{number % NAMESPACES}"},
        "spec": {"schedule": "7 3 * * *", "jobTemplate": {"spec": {"template": pod}}},
    }


def past(workflows: int, end: float) -> tuple[list[PodLife], list[JobLife]]:
    """Pods and Jobs of daily runs of each workflow, within a few hours of each other."""
    chance = random.Random(7)
    pods: list[PodLife] = []
    jobs: list[JobLife] = []
    for number in range(workflows):
        name, namespace = f"job-{number:04}", f"team-{number % NAMESPACES}"
        peak, cores = 200 * MI * chance.lognormvariate(0, 0.5), chance.uniform(0.05, 0.9)
        for run in range(RUNS):
            created = end - 1800 - (RUNS - 1 - run) * DAY - chance.uniform(0, 7200)
            job, begun = f"{name}-{int(created // 60)}", created + 4
            finished = float(round(begun + 300 * chance.lognormvariate(0, 0.2)))
            life = ContainerLife(
                "main",
                image="registry.example/job:1",
                started=begun,
                finished=finished,
                cpu_seconds=cores * (finished - begun),
                memory_peak=peak * chance.lognormvariate(0, 0.1),
                cpu_request=1.0,
                memory_request=1024 * MI,
                memory_limit=2048 * MI,
                terminated_reason="Completed",
            )
            pods.append(
                PodLife(
                    namespace=namespace,
                    pod=f"{job}-{chance.randrange(10**5):05}",
                    uid=str(UUID(int=chance.getrandbits(128), version=4)),
                    created=created,
                    containers=[life],
                    node=f"node-{number % 5}",
                    owner_kind="Job",
                    owner_name=job,
                    labels={"batch.kubernetes.io/job-name": job},
                    scheduled=created + 1,
                    started=created + 1,
                    finished=finished,
                    deleted=finished + 7200,
                )
            )
            jobs.append(
                JobLife(
                    namespace, job, created, finished, deleted=finished + 7200, owner_kind="CronJob", owner_name=name
                )
            )
    return pods, jobs


def _counters(url: str) -> dict[str, float]:
    """Data requests, samples read by queries, and CPU seconds of Prometheus so far."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()

    def total(pick: str) -> float:
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(pick, line))

    return {
        "queries": total(_ASKED.pattern),
        "samples": total(r"^prometheus_engine_query_samples_total"),
        "store_cpu_s": total(r"^process_cpu_seconds_total"),
    }


def _covered(name: str, output: str) -> int:
    """Number of workflows in the tool's output."""
    if name == "krr":
        return len(json.loads(output[output.index("{") :])["scans"]) if "{" in output else 0
    return output.count("\nCronJob ") + output.count("\nWorkflowTemplate ")


def measure(workflows: int, krr: Path, python: str) -> dict[str, Any]:
    """Run both tools; returns the figures of the last round."""
    end = time.time() + 1200
    with TemporaryDirectory("concertmaster-krr-") as directory, ControlPlane(progress=print) as plane:
        prometheus = PrometheusServer(progress=print)
        pods, jobs = past(workflows, end)
        prometheus.load_trusted(render(pods, Grid(end - RUNS * DAY, end), jobs))
        del pods, jobs
        with prometheus:
            for number in range(NAMESPACES):
                plane.cluster.kubectl("create", "namespace", f"team-{number}")
            objects = [cronjob(number) for number in range(workflows)]
            for first in range(0, workflows, 200):
                plane.cluster.apply(*objects[first : first + 200])
            definitions = directory / "definitions"
            definitions.mkdir()
            (definitions / "all.yaml").write_text("\n---\n".join(json.dumps(o) for o in objects))
            kubeconfig = str(plane.cluster.kubeconfig())
            ours = ["-m", "concertmaster", "analyze", "--prometheus", prometheus.url, "--definitions", str(definitions)]
            theirs = ["simple", "-p", prometheus.url, "--kubeconfig", kubeconfig, "-f", "json", "--logtostderr"]
            commands = {"concertmaster": [sys.executable, *ours], "krr": [python, str(krr / "krr.py"), *theirs]}
            found: dict[str, Any] = {}
            for _ in range(ROUNDS):
                for name, command in commands.items():
                    found[name] = timed(name, command, prometheus.url, kubeconfig, directory / "bytecode")
                    print(f"  {name}: {found[name]}", flush=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "workflows": workflows,
        "runs": RUNS,
        "load": round(os.getloadavg()[1], 1),
        "tools": found,
    }


def timed(name: str, command: Sequence[str], url: str, kubeconfig: str, bytecode: Path) -> dict[str, Any]:
    """Run one command against the Prometheus at ``url``: its time and CPU (seconds), queries and samples, and how many
    workflows its output covers. SystemExit with its error if it fails."""
    before, begun = _counters(url), time.monotonic()
    spent = os.times()
    # Both keep their byte code, as what is installed does; the first round fills it.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    env |= {"KUBECONFIG": kubeconfig, "PYTHONPATH": str(ROOT / "operator") if name != "krr" else ""}
    env |= {"PYTHONPYCACHEPREFIX": str(bytecode)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    wall, own, after = time.monotonic() - begun, os.times(), _counters(url)
    if done.returncode != 0:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return {
        "wall_s": round(wall, 1),
        "own_cpu_s": round(own.children_user + own.children_system - spent.children_user - spent.children_system, 1),
        "queries": round(after["queries"] - before["queries"]),
        "samples": round(after["samples"] - before["samples"]),
        "store_cpu_s": round(after["store_cpu_s"] - before["store_cpu_s"], 1),
        "covers": _covered(name, done.stdout),
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The section of RESULTS.md."""
    rows = [
        f"| {name} | {r['covers']} | {r['wall_s']} s | {r['own_cpu_s']} s | {r['queries']:,} | {r['samples']:,}"
        f" | {r['store_cpu_s']} s |"
        for name, r in result["tools"].items()
    ]
    return [
        "",
        "## `concertmaster analyze` and KRR on the same store (`make bench-krr KRR=DIR`)",
        "",
        f"{result['workflows']} CronJobs with {result['runs']} daily runs each, one after the other on the same Prometheus"
        f" and API server; the second run of each counts. Measured {result['date']}, load of the machine {result['load']}.",
        "",
        "| tool | workflows covered | time | its CPU | queries | samples read | Prometheus' CPU |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def main() -> int:
    """Measure, print, and write the result file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.krr", description=__doc__)
    parser.add_argument("--krr", type=Path, required=True, help="checkout of robusta-dev/krr")
    parser.add_argument("--python", default=sys.executable, help="interpreter with KRR's requirements")
    parser.add_argument("--workflows", type=int, default=500)
    options = parser.parse_args()
    result = measure(options.workflows, options.krr.resolve(), options.python)
    print("\n".join(lines(result)))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
