"""``make bench-fleet``: one operator, many workflows. Time to advice, steady cycles, queries, samples, requests, memory.

Workflows of 10 steps with a run a day over two weeks go into a real Prometheus, as WorkflowTemplates into a real API
server; the operator runs as a process of its own with the defaults of the chart, except for its interval. The history goes
on for an hour after it starts, in which every workflow ends one more run: a steady cycle has something to read. What it
measures is what the operator's /metrics and log, Prometheus' own /metrics and the process table say.

Each size is a row of ``results/fleet.json``; a new measurement of a size replaces its row. The row is copied into
docs/operations.md and benchmarks/RESULTS.md (a test holds them equal).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from testbed.controlplane import ControlPlane
from testbed.demo.history import fnv32a
from testbed.lives import ContainerLife, Grid, PodLife
from testbed.openmetrics import render
from testbed.process import Process, TemporaryDirectory, free_port, http_ok
from testbed.prometheus import PrometheusServer

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "fleet.json"
DAY = 86400.0
MI = 2.0**20
NAMESPACE = "fleet"
AHEAD = 3600.0  # seconds the history goes on after it was made
STEADY = 5  # cycles that are measured once the past is read
INTERVAL = 60.0
_PAUSE = 5.0  # seconds between two cycles that tell waiting for the interval from reading the past at once


def template(name: str, steps: int) -> dict[str, Any]:
    """A WorkflowTemplate: a chain of two with the rest side by side between them."""
    tasks: list[dict[str, Any]] = [{"name": "s0", "template": "s0"}]
    tasks += [{"name": f"s{n}", "template": f"s{n}", "dependencies": ["s0"]} for n in range(1, steps - 1)]
    tasks.append(
        {"name": f"s{steps - 1}", "template": f"s{steps - 1}", "dependencies": [f"s{n}" for n in range(1, steps - 1)]}
    )
    containers = [
        {
            "name": f"s{n}",
            "container": {
                "image": "registry.example/fleet:1",
                "command": ["work"],
                "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}},
            },
        }
        for n in range(steps)
    ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}, *containers]},
    }


def lives(workflows: int, steps: int, runs: int, end: float, days: int) -> Iterator[PodLife]:
    """The pods of all runs over the days before ``end`` with log-normal run times, each round spread over an hour."""
    chance = random.Random(1)
    every = days * DAY / runs
    for w in range(workflows):
        for r in range(runs):
            run = f"w{w:03}-{''.join(chance.choice('bcdfghjkmn2456789') for _ in range(5))}"
            start = end - AHEAD - (runs - 1 - r) * every + w * AHEAD / workflows
            ready = [start] * steps
            for n in range(steps):
                created = ready[n] if n else start
                begun = created + 3
                finished = float(round(begun + max(5.0, 90 * chance.lognormvariate(0, 0.2))))
                for later in range(n + 1, steps):
                    if n == 0 or later == steps - 1:
                        ready[later] = max(ready[later], finished + 1)
                yield PodLife(
                    namespace=NAMESPACE,
                    pod=f"{run}-s{n}-{fnv32a(f'{run}.s{n}')}",
                    uid=str(UUID(int=chance.getrandbits(128), version=4)),
                    created=created,
                    scheduled=created + 1,
                    started=created + 1,
                    finished=finished,
                    deleted=finished + 300,
                    node=f"node-{chance.randrange(5)}",
                    owner_kind="Workflow",
                    owner_name=run,
                    containers=[
                        ContainerLife(
                            "main",
                            image="registry.example/fleet:1",
                            started=begun,
                            finished=finished,
                            cpu_seconds=0.2 * (finished - begun),
                            memory_peak=150 * MI * chance.lognormvariate(0, 0.1),
                            cpu_request=0.5,
                            memory_request=512 * MI,
                            terminated_reason="Completed",
                        )
                    ],
                )


def _text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def _rss(pid: int) -> dict[str, float]:
    """Resident and peak memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return {name: int(value) / 1024 for name, value in found.items()}


def _cycles(log: Path) -> list[dict[str, Any]]:
    """The one line per cycle of the operator's log."""
    found = []
    for line in log.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("msg") == "cycle":
            found.append(entry)
    return found


def _counters(port: int, prometheus: str) -> dict[str, float]:
    """Work done so far: queries and requests of the operator, its CPU seconds, samples the store has read."""
    own, store = _text(f"http://127.0.0.1:{port}/metrics"), _text(f"{prometheus}/metrics")
    return {
        "queries": _total(own, "concertmaster_queries_total"),
        "requests": _total(own, "concertmaster_kubernetes_requests_total"),
        "writes": _total(own, 'concertmaster_status_writes_total{kind="profile",outcome="written"}'),
        "cpu_s": _total(own, "concertmaster_process_cpu_seconds_total"),
        "samples": _total(store, "prometheus_engine_query_samples_total"),
    }


def _total(exposition: str, name: str) -> float:
    """Sum of all series whose text begins with ``name``."""
    lines = [line for line in exposition.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    lines = lines or [line for line in exposition.splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def measure(workflows: int, steps: int, runs: int, days: int) -> dict[str, Any]:
    """Run it all; one row of figures."""
    end = time.time() + AHEAD
    with TemporaryDirectory("concertmaster-bench-") as directory, ControlPlane(progress=print) as plane:
        cluster = plane.cluster
        prometheus = PrometheusServer(progress=print)
        prometheus.load_openmetrics(render(list(lives(workflows, steps, runs, end, days)), Grid(end - days * DAY, end)))
        with prometheus:
            for files in ("crds", "examples/demo/argo-crds.yaml"):
                cluster.kubectl("apply", "--server-side", f"-f{ROOT / files}")
            cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
            cluster.kubectl("create", "namespace", NAMESPACE)
            cluster.apply(*(template(f"w{w:03}", steps) for w in range(workflows)))
            cluster.kubectl("apply", "-f", str(ROOT / "examples" / "policy.yaml"))
            port = free_port()
            config = directory / "concertmaster.yaml"
            config.write_text(
                f"interval: {INTERVAL:.0f}s\nhistoryPath: {directory / 'history.db'}\n"
                f"listen: {{address: 127.0.0.1, port: {port}}}\n"
                f"sources:\n- {{name: default, url: '{prometheus.url}', delaySeconds: 5}}\n"
            )
            log = directory / "operator.log"
            operator = Process(
                "operator",
                [sys.executable, "-m", "concertmaster", "run", "--config", str(config)],
                log=log,
                env=os.environ | {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", "KUBECONFIG": str(cluster.kubeconfig())},
            )
            begin = time.monotonic()
            operator.start()
            try:
                operator.wait_ready(lambda: http_ok(f"http://127.0.0.1:{port}/healthz"), timeout=60)
                idle = _rss(operator.pid)
                advised = _wait_for_advice(cluster, workflows, begin, operator)
                whole = _wait_for_pause(log, begin, operator)
                cold = _counters(port, prometheus.url)
                had = len(_cycles(log))
                while len(_cycles(log)) < had + STEADY:
                    _must_run(operator, begin)
                    time.sleep(1)
                warm = _counters(port, prometheus.url)
                cycles = _cycles(log)[had : had + STEADY]
                if time.time() > end:
                    raise SystemExit("the history ended before the steady cycles did: enlarge AHEAD")
                memory = _rss(operator.pid)
                return {
                    "workflows": workflows,
                    "steps": steps,
                    "runs": runs,
                    "pods": workflows * steps * runs,
                    "advice_s": round(advised),
                    "whole_s": round(whole),
                    "cold": {name: round(value) for name, value in cold.items()},
                    "steady": {
                        "seconds": round(sum(c["seconds"] for c in cycles) / STEADY, 2),
                        "longest_s": round(max(c["seconds"] for c in cycles), 2),
                        "analyzed": round(sum(c["analyzed"] for c in cycles) / STEADY, 1),
                        **{name: round((warm[name] - cold[name]) / STEADY, 1) for name in cold},
                    },
                    "problems": sorted({p for c in cycles for p in c.get("problems", ())}),
                    "idle_rss_mib": round(idle["VmRSS"]),
                    "rss_mib": round(memory["VmRSS"]),
                    "peak_rss_mib": round(memory["VmHWM"]),
                    "history_mib": round(sum(p.stat().st_size for p in directory.glob("history.db*")) / MI, 1),
                    "status_bytes": _status_sizes(cluster),
                    "load": round(os.getloadavg()[2], 1),
                }
            finally:
                operator.stop()


def _must_run(operator: Process, begin: float) -> None:
    if not operator.running or time.monotonic() - begin > AHEAD:
        raise SystemExit(f"it takes too long, or ended:\n{operator.tail(30)}")


def _wait_for_advice(cluster: Any, workflows: int, begin: float, operator: Process) -> float:
    """Seconds until every profile has a score."""
    while True:
        items = cluster.get("wfp", "-A")["items"]
        done = sum(bool((i.get("status") or {}).get("score")) for i in items)
        print(f"  {time.monotonic() - begin:.0f} s: {done} of {len(items)} profiles have advice", flush=True)
        if done >= workflows:
            return time.monotonic() - begin
        _must_run(operator, begin)
        time.sleep(5)


def _wait_for_pause(log: Path, begin: float, operator: Process) -> float:
    """Seconds until the end of the first cycle after which the operator rested: all of the past was read then."""
    while True:
        _must_run(operator, begin)
        spans = [(_unix(c["ts"]) - c["seconds"], _unix(c["ts"])) for c in _cycles(log)]
        rested = [over for (_, over), (start, _) in pairwise(spans) if start - over > _PAUSE]
        if rested:
            return rested[0] - (time.time() - (time.monotonic() - begin))
        time.sleep(0.5)


def _unix(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _status_sizes(cluster: Any) -> dict[str, int]:
    sizes = sorted(
        len(json.dumps(i.get("status") or {}, separators=(",", ":")).encode())
        for i in cluster.get("wfp", "-A")["items"]
    )
    return {"median": sizes[len(sizes) // 2], "largest": sizes[-1]}


def rows() -> list[dict[str, Any]]:
    """What was measured so far, smallest first."""
    return list(json.loads(RESULT.read_text())["rows"]) if RESULT.is_file() else []


def sizing(found: list[dict[str, Any]]) -> list[str]:
    """The measured rows as the table of docs/operations.md."""
    lines = [
        "| N workflows x R runs (pods) | All have recommendations; past read | Steady cycle: time, CPU |"
        " Queries, samples read | API requests | Memory: after, peak | History |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        steady = row["steady"]
        lines.append(
            f"| {row['workflows']} x {row['runs']} ({row['pods']:,}) | {row['advice_s']} s; {row['whole_s']} s"
            f" | {steady['seconds']} s, {steady['cpu_s']} s | {steady['queries']:.0f}, {steady['samples']:,.0f}"
            f" | {steady['requests']:.0f} | {row['rss_mib']}, {row['peak_rss_mib']} MiB | {row['history_mib']} MiB |"
        )
    return lines


def lines(found: list[dict[str, Any]]) -> list[str]:
    """The section of benchmarks/RESULTS.md."""
    if not found:
        return []
    largest = max(row["status_bytes"]["largest"] for row in found)
    sizes = ", ".join(f"{row['workflows']} x {row['steps']} steps x {row['runs']} runs" for row in found)
    return [
        "",
        f"## One operator, many workflows ({sizes}; `make bench-fleet`)",
        "",
        *sizing(found),
        "",
        f"Steady figures are means of {STEADY} cycles, one a minute, while every workflow ends one run per hour. The largest"
        f" status of a profile has {largest:,} bytes. Two cores shared with other work (load of 15 minutes"
        f" {min(r['load'] for r in found)} to {max(r['load'] for r in found)}), so times are upper bounds.",
    ]


def main() -> int:
    """Measure and write the row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workflows", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--runs", type=int, default=14)
    parser.add_argument("--days", type=int, default=14)
    options = parser.parse_args()
    row = measure(options.workflows, options.steps, options.runs, options.days)
    print(json.dumps(row, indent=1))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    others = [r for r in rows() if r["workflows"] != row["workflows"]]
    RESULT.write_text(json.dumps({"rows": sorted([*others, row], key=lambda r: int(r["workflows"]))}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
