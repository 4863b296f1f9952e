"""``make bench-fleet``: one operator, many workflows. Cold and steady cycles, queries, writes, memory, status size.

200 workflows of 10 steps with 30 runs each over two weeks (60,000 pods) go into a real Prometheus, as WorkflowTemplates into
a real API server; the operator runs as a process of its own. What it measures is what its /metrics and its log say, and what
the API server and the process table show.
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
    """The pods of all runs, evenly spread over the days, with log-normal run times."""
    chance = random.Random(1)
    every = days * DAY / runs
    for w in range(workflows):
        for r in range(runs):
            run = f"w{w:03}-{''.join(chance.choice('bcdfghjkmn2456789') for _ in range(5))}"
            start = end - days * DAY + r * every + w * every / workflows * 0.8
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


def measure(workflows: int, steps: int, runs: int, days: int) -> dict[str, Any]:
    """Run it all; figures as a dict."""
    end = time.time()
    with TemporaryDirectory("concertmaster-bench-") as directory, ControlPlane(progress=print) as plane:
        cluster = plane.cluster
        prometheus = PrometheusServer(progress=print)
        started = time.monotonic()
        prometheus.load_openmetrics(render(list(lives(workflows, steps, runs, end, days)), Grid(end - days * DAY, end)))
        loaded = time.monotonic() - started
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
                f"interval: 60s\nhistoryPath: {directory / 'history.db'}\nlisten: {{address: 127.0.0.1, port: {port}}}\n"
                "limits: {backfillPerCycle: 14d, statusWritesPerSecond: 100}\n"
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
                _wait_for_quiet(log)
                return {
                    "workflows": workflows,
                    "steps": steps,
                    "runs": runs,
                    "pods": workflows * steps * runs,
                    "history_load_s": round(loaded),
                    "advice_after_s": round(advised),
                    "idle_rss_mib": round(idle["VmRSS"]),
                    "after_rss_mib": round(_rss(operator.pid)["VmRSS"]),
                    "peak_rss_mib": round(_rss(operator.pid)["VmHWM"]),
                    "history_mib": round(sum(p.stat().st_size for p in directory.glob("history.db*")) / MI, 1),
                    "status_bytes": _status_sizes(cluster),
                    "cycles": _cycles(log),
                }
            finally:
                operator.stop()


def _wait_for_advice(cluster: Any, workflows: int, begin: float, operator: Process) -> float:
    """Seconds until every profile is Ready."""
    while True:
        items = cluster.get("wfp", "-A")["items"]
        done = sum(bool((i.get("status") or {}).get("score")) for i in items)
        print(f"  {time.monotonic() - begin:.0f} s: {done} of {len(items)} profiles have advice", flush=True)
        if done >= workflows:
            return time.monotonic() - begin
        if not operator.running or time.monotonic() - begin > 1800:
            raise SystemExit(f"no advice:\n{operator.tail(30)}")
        time.sleep(10)


def _wait_for_quiet(log: Path, cycles: int = 2) -> None:
    """Until the log shows some more cycles."""
    had = len(_cycles(log))
    limit = time.monotonic() + 600
    while len(_cycles(log)) < had + cycles and time.monotonic() < limit:
        time.sleep(5)


def _status_sizes(cluster: Any) -> dict[str, int]:
    sizes = sorted(
        len(json.dumps(i.get("status") or {}, separators=(",", ":")).encode())
        for i in cluster.get("wfp", "-A")["items"]
    )
    return {"median": sizes[len(sizes) // 2], "largest": sizes[-1]}


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workflows", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--days", type=int, default=14)
    options = parser.parse_args()
    result = measure(options.workflows, options.steps, options.runs, options.days)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
