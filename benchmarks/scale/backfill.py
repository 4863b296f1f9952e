"""``python -m benchmarks.scale.backfill``: the cost of the first analysis of a workflow, and of reading a huge live run.

1,000 finished runs of 10 steps over two weeks are in a real Prometheus; they are collected newest first, assigned to
runs and stored, as in the operator's first cycle. Then the status of a Workflow with 10,000 nodes is read, plain and
compressed. Samples touched are Prometheus' own count, memory is the peak of this process.
"""

from __future__ import annotations

import argparse
import base64
import gc
import gzip
import json
import os
import platform
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.scale.fleet_workflows import DAY, NAMESPACE, lives, template
from concertmaster.core.model import WorkflowKey
from concertmaster.engines import assign, define_all
from concertmaster.engines.argo.live import read_run
from concertmaster.history.store import Store
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import backfill
from concertmaster.settings import MetricsSource
from testbed.process import TemporaryDirectory, http_get
from testbed.series.openmetrics import Grid, render
from testbed.services.prometheus import PrometheusServer

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "backfill.json"
KEY = WorkflowKey(NAMESPACE, "WorkflowTemplate", "w000")


def memory_mib(key: str) -> int:
    """Resident size of this process in MiB: now (VmRSS) or its peak (VmHWM)."""
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return round(int(found.group(1)) / 1024) if found else 0


def forget_peak() -> int:
    """Reset the peak after releasing unused memory; returns the resident size in MiB at that point."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return memory_mib("VmRSS")


def samples_touched(prometheus: PrometheusServer) -> float:
    """Samples that all queries have loaded since the server started, from its own metrics."""
    found = re.search(
        r"^prometheus_engine_query_samples_total (\S+)$", http_get(f"{prometheus.url}/metrics").decode(), re.M
    )
    if found is None:
        raise SystemExit("this Prometheus does not export prometheus_engine_query_samples_total")
    return float(found.group(1))


def measure_backfill(runs: int, steps: int, days: int) -> dict[str, Any]:
    """Collect, assign and store all runs. Raises SystemExit if any run is missing afterwards."""
    end = float(int(time.time()))
    with TemporaryDirectory("concertmaster-bench-") as scratch:
        prometheus = PrometheusServer(progress=print)
        # The last run begins as long before the end as any other before the next: all are within the days that are read.
        pods = list(lives(1, steps, runs, end, days, ahead=days * DAY / runs))
        prometheus.load_openmetrics(render(pods, Grid(end - days * DAY, end)))
        with prometheus, Store(str(scratch / "history.db")) as store:
            client = PrometheusClient(MetricsSource.model_validate({"name": "default", "url": prometheus.url}))
            definition = define_all([template(KEY.name, steps)])[0]
            touched, memory = samples_touched(prometheus), forget_peak()
            started, processor = time.monotonic(), time.process_time()
            chunks = queries = unassigned = 0
            first: float | None = None
            for found in backfill(client, namespaces=[NAMESPACE], since=end - days * DAY, until=end, now=end + 120):
                placed = assign(found.facts, [definition], job_owners=found.job_owners)
                store.add(placed.executions)
                store.set_watermark("default", NAMESPACE, found.complete_until)
                chunks, queries = chunks + 1, queries + found.queries
                unassigned += sum(placed.unassigned.values())
                if first is None and store.stats().runs >= 5:
                    first = time.monotonic() - started
            seconds, processor = time.monotonic() - started, time.process_time() - processor
            peak = memory_mib("VmHWM")
            begun = time.process_time()
            rebuilt = store.runs(KEY, definition=definition)
            reading = time.process_time() - begun
            if len(rebuilt) != runs or any(len(run.steps) != steps for run in rebuilt):
                raise SystemExit(f"{len(rebuilt)} of {runs} runs came back whole")
            return {
                "runs": runs,
                "steps": steps,
                "days": days,
                "seconds": round(seconds, 1),
                "cpu_seconds": round(processor, 1),
                "seconds_to_first_five_runs": None if first is None else round(first, 2),
                "chunks": chunks,
                "queries": queries,
                "samples_touched": int(samples_touched(prometheus) - touched),
                "unassigned": unassigned,
                "memory_before_mib": memory,
                "memory_peak_mib": peak,
                "history_mib": round(store.stats().bytes / 2**20, 2),
                "cpu_seconds_to_rebuild_all_runs": round(reading, 2),
            }


def huge_workflow(nodes: int, *, compressed: bool = False) -> dict[str, Any]:
    """A finished Workflow with ``nodes`` nodes: a list step, a fan-out over its output, and a sum."""
    run, pods = "huge-x7k2z", nodes - 4
    begin = datetime(2026, 1, 1, tzinfo=UTC)

    def stamp(seconds: float) -> str:
        return (begin + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def node(identity: str, name: str, kind: str, start: float, stop: float, children: list[str]) -> dict[str, Any]:
        row = {"id": identity, "name": name, "displayName": name, "type": kind, "phase": "Succeeded"}
        times = {"startedAt": stamp(start), "finishedAt": stamp(stop)}
        rest: dict[str, Any] = {"children": children, "boundaryID": run, "templateScope": "local/"}
        if kind == "Pod":
            rest |= {"templateName": "work", "hostNodeName": "node-1", "outputs": {"exitCode": "0"}, "progress": "1/1"}
            rest |= {"inputs": {"parameters": [{"name": "file", "value": name[-8:]}]}}
            rest |= {"resourcesDuration": {"cpu": 3, "memory": 30}}
        return row | times | rest

    items = [f"{run}-{n}" for n in range(pods)]
    table = {
        run: node(run, run, "DAG", 0, 900, [f"{run}-list"]),
        f"{run}-list": node(f"{run}-list", f"{run}.list", "Pod", 0, 20, [f"{run}-each"]),
        f"{run}-each": node(f"{run}-each", f"{run}.each", "TaskGroup", 21, 600, items),
    }
    for n, identity in enumerate(items):
        name = f"{run}.each({n}:part-{n}.csv)"
        table[identity] = node(identity, name, "Pod", 21 + n / 20, 50 + n / 20, [f"{run}-sum"])
    table[f"{run}-sum"] = node(f"{run}-sum", f"{run}.sum", "Pod", 600, 700, [])
    status: dict[str, Any] = {"phase": "Succeeded", "startedAt": stamp(0), "finishedAt": stamp(900)}
    if compressed:
        status["compressedNodes"] = base64.b64encode(gzip.compress(json.dumps(table).encode())).decode()
    else:
        status["nodes"] = table
    meta = {"name": run, "namespace": NAMESPACE, "creationTimestamp": stamp(0)}
    spec = {"workflowTemplateRef": {"name": "huge"}}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": meta, "spec": spec, "status": status}


def best_of(work: Callable[[], Any], times: int = 5) -> float:
    """Least CPU seconds of several calls, because the machine is shared."""
    found = []
    for _ in range(times):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def measure_parsing(nodes: int) -> dict[str, Any]:
    """Time to read a live run with that many nodes. Raises SystemExit if a node is missing."""
    key = WorkflowKey(NAMESPACE, "WorkflowTemplate", "huge")
    result: dict[str, Any] = {"nodes": nodes}
    for name, compressed in (("plain", False), ("compressed", True)):
        raw = huge_workflow(nodes, compressed=compressed)
        before = forget_peak()
        read = read_run(raw, key)
        if not read.complete or read.problems or len(read.record.steps) != nodes - 2:
            raise SystemExit(f"the run was not read whole: {len(read.record.steps)} steps, {read.problems}")
        result[f"{name}_memory_mib"] = memory_mib("VmHWM") - before
        result[f"{name}_object_mib"] = round(len(json.dumps(raw)) / 2**20, 2)
        result[f"{name}_cpu_seconds"] = round(best_of(partial(read_run, raw, key)), 3)
    return result


def main() -> None:
    """Measure, print, and write the result file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.backfill", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--nodes", type=int, default=10_000)
    given = parser.parse_args()
    result = {
        "command": f"python -m benchmarks.scale.backfill --runs {given.runs} --steps {given.steps} --days {given.days} "
        f"--nodes {given.nodes}",
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),  # times on a busy machine are upper bounds
        "parsing": measure_parsing(given.nodes),
        "backfill": measure_backfill(given.runs, given.steps, given.days),
    }
    text = json.dumps(result, indent=2)
    print(text)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text + "\n")


if __name__ == "__main__":
    main()
