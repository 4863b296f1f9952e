"""``make bench-fleet``: one operator, many workflows. Time to recommendations, steady cycles, queries, samples,
requests, memory.

Workflows of 10 steps with one run a day over two weeks are loaded into a real Prometheus, and created as
WorkflowTemplates in a real API server; the operator runs as a separate process with the defaults of the chart, except
for its interval. The history extends to an hour after its start, in which every workflow finishes one more run, so that
steady cycles have something to read. Measurements come from the operator's /metrics and log, Prometheus' own /metrics
and the process table.

Each size is a row of ``results/fleet.json``; a new measurement of a size replaces its row. The row is copied to
docs/operations.md and benchmarks/RESULTS.md (a test compares them).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.scale.fleet_table import RESULT, STEADY, rows
from benchmarks.scale.fleet_workflows import AHEAD, DAY, MI, lives, load, namespace_of, template
from benchmarks.scale.operator_process import operator as operator_process
from testbed.process import Process, TemporaryDirectory, free_port, http_ok
from testbed.series.lives import PodLife
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.prometheus import PrometheusServer

ROOT = Path(__file__).resolve().parents[2]
PREPARED = 0.0019  # seconds per pod to load it into the metrics source; what it takes longer is missing from ``ahead``
INTERVAL = 60.0
_PAUSE = 5.0  # a longer pause between two cycles is the interval, a shorter one is the backfill


def _text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def _rss(pid: int) -> dict[str, float]:
    """Current and peak resident memory in MiB, of the process alone."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return {name: int(value) / 1024 for name, value in found.items()}


class _Memory:
    """Peak memory of a process with those it has started, looked at every second: what they share counts for each."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self.peak = 0.0  # MiB
        threading.Thread(target=self._look, daemon=True).start()

    def close(self) -> None:
        self._over.set()

    def _look(self) -> None:
        while not self._over.wait(1.0):
            with suppress(OSError):
                children = Path(f"/proc/{self._pid}/task").glob("*/children")
                pids = [self._pid, *(int(child) for of in children for child in of.read_text().split())]
                self.peak = max(self.peak, sum(_rss(pid).get("VmRSS", 0.0) for pid in pids))


def _cycles(log: Path) -> list[dict[str, Any]]:
    """The operator's log line for each cycle."""
    found = []
    for line in log.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("msg") == "cycle":
            found.append(entry)
    return found


def _own(port: int, pid: int) -> dict[str, float]:
    """Work of the operator so far: queries, requests, status writes, CPU seconds with those of processes it has ended."""
    own = _text(f"http://127.0.0.1:{port}/metrics")
    stat = Path(f"/proc/{pid}/stat").read_text()
    return {
        "queries": _total(own, "concertmaster_queries_total"),
        "requests": _total(own, "concertmaster_kubernetes_requests_total"),
        "writes": _total(own, 'concertmaster_status_writes_total{kind="profile",outcome="written"}'),
        "cpu_s": sum(map(int, stat.rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK"),
    }


def _others(prometheus: str, cluster: Cluster) -> dict[str, float]:
    """Samples read by the metrics source, and CPU seconds of both servers, that loading the fleet took included."""
    store = _text(f"{prometheus}/metrics")
    return {
        "samples": _total(store, "prometheus_engine_query_samples_total"),
        "store_cpu_s": _total(store, "process_cpu_seconds_total"),
        "api_cpu_s": _total(cluster.kubectl("get", "--raw", "/metrics"), "process_cpu_seconds_total"),
    }


def _total(exposition: str, name: str) -> float:
    """Sum of all series whose text begins with ``name``."""
    lines = [line for line in exposition.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    lines = lines or [line for line in exposition.splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@dataclass(frozen=True, slots=True)
class Load:
    """The simulated load. ``days``: period in which each workflow has its ``runs``; ``spread``: seconds over which the
    starts of one round are spread; ``ahead``: seconds by which the history extends beyond the start of the operator."""

    workflows: int
    steps: int
    runs: int
    days: float
    spread: float
    ahead: float

    def pods(self, end: float) -> Iterator[PodLife]:
        """All pods created before ``end`` (unix seconds)."""
        return lives(
            self.workflows, self.steps, self.runs, end, self.days, namespace_of, spread=self.spread, ahead=self.ahead
        )

    @property
    def every(self) -> float:
        """Seconds between two runs of a workflow."""
        return self.days * DAY / self.runs


def measure(played: Load) -> dict[str, Any]:
    """Run the benchmark; returns one row of figures."""
    workflows, steps = played.workflows, played.steps
    end = time.time() + played.ahead
    with TemporaryDirectory("concertmaster-bench-") as directory, ControlPlane(progress=print) as plane:
        cluster = plane.cluster
        prometheus = PrometheusServer(progress=print, arguments=["--storage.tsdb.max-block-duration=2h"])
        made = time.monotonic()
        for files in ("crds", "examples/demo/argo-crds.yaml"):
            cluster.kubectl("apply", "--server-side", f"-f{ROOT / files}")
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        for space in dict.fromkeys(map(namespace_of, range(workflows))):
            cluster.kubectl("create", "namespace", space)
        for first in range(0, workflows, 200):
            group = range(first, min(first + 200, workflows))
            cluster.apply(*(template(f"w{w:03}", steps, namespace_of(w)) for w in group))
        cluster.kubectl("apply", "-f", str(ROOT / "examples" / "policy.yaml"))
        print(f"  {workflows} workflows made in {time.monotonic() - made:.0f} s", flush=True)
        made = time.monotonic()
        span = played.days * DAY + played.ahead
        end += PREPARED * workflows * steps * played.runs  # until the history is loaded
        count = load(prometheus, played.pods(end), end - span, end)
        print(f"  {count} pods loaded in {time.monotonic() - made:.0f} s, {end - time.time():.0f} s ahead", flush=True)
        with prometheus:
            time.sleep(max(0.0, end - played.ahead - time.time()))
            port, before = free_port(), _others(prometheus.url, cluster)

            def used() -> dict[str, float]:
                since = _others(prometheus.url, cluster)
                return {**_own(port, operator.pid), **{name: value - before[name] for name, value in since.items()}}

            log = directory / "operator.log"
            operator = operator_process(cluster, directory, prometheus.url, port, INTERVAL)
            begin = time.monotonic()
            operator.start()
            watched = _Memory(operator.pid)
            try:
                operator.wait_ready(lambda: http_ok(f"http://127.0.0.1:{port}/healthz"), timeout=60)
                idle = _rss(operator.pid)
                print(f"  ready after {time.monotonic() - begin:.1f} s, {idle['VmRSS']:.0f} MiB", flush=True)
                limit = begin + max(0.0, end - time.time())
                with_recommendations = _wait_for_recommendations(cluster, workflows, log, begin, limit, operator)
                whole = _wait_for_pause(log, begin, limit, operator)
                cold = used()
                peak = {"all_peak": watched.peak}
                found = {"advice_s": with_recommendations, "whole_s": whole, **cold, **_rss(operator.pid), **peak}
                print(f"  {json.dumps(found)}", flush=True)  # should steady cycles be interrupted
                had = len(_cycles(log))
                while len(_cycles(log)) < had + STEADY:
                    _must_run(operator, limit)
                    time.sleep(1)
                warm = used()
                cycles = _cycles(log)[had : had + STEADY]
                if time.time() > end:
                    raise SystemExit("the history ended before the steady cycles did: enlarge --ahead")
                memory = _rss(operator.pid)
                restart = _restarted(operator, log, port, limit)
                return {
                    "workflows": workflows,
                    "steps": steps,
                    "runs": played.runs,
                    "every_s": round(played.every),
                    "finished_a_minute": round(60 * workflows / played.spread, 1),
                    "pods": count,
                    "advice_s": round(with_recommendations),
                    "whole_s": round(whole),
                    "cold": {name: round(value) for name, value in cold.items()},
                    "steady": {
                        "seconds": round(sum(c["seconds"] for c in cycles) / STEADY, 2),
                        "longest_s": round(max(c["seconds"] for c in cycles), 2),
                        "analyzed": round(sum(c["analyzed"] for c in cycles) / STEADY, 1),
                        **{name: round((warm[name] - cold[name]) / STEADY, 1) for name in cold},
                    },
                    "restart": restart,
                    "problems": sorted({p for c in cycles for p in c.get("problems", ())}),
                    "idle_rss_mib": round(idle["VmRSS"]),
                    "rss_mib": round(memory["VmRSS"]),
                    "peak_rss_mib": round(max(watched.peak, memory["VmHWM"])),
                    "history_mib": round(sum(p.stat().st_size for p in directory.glob("history.db*")) / MI, 1),
                    "status_bytes": _status_sizes(cluster),
                    "load": round(os.getloadavg()[2], 1),
                    "date": datetime.now(UTC).date().isoformat(),
                }
            except BaseException:
                print(f"  until then: {json.dumps(used())}, {json.dumps(_rss(operator.pid))}", flush=True)
                raise
            finally:
                watched.close()
                operator.stop()


def _restarted(operator: Process, log: Path, port: int, limit: float) -> dict[str, float]:
    """Start it anew on the same history; figures of the time until the end of its first cycle."""
    operator.stop()
    had, begin = len(_cycles(log)), time.monotonic()
    operator.start()
    operator.wait_ready(lambda: http_ok(f"http://127.0.0.1:{port}/healthz"), timeout=60)
    while len(_cycles(log)) == had:
        _must_run(operator, limit)
        time.sleep(0.2)
    passed, own = time.monotonic() - begin, _own(port, operator.pid)
    print(f"  started anew: first cycle over after {passed:.0f} s, {_cycles(log)[had]}", flush=True)
    figures = {
        "seconds": passed,
        "analyzed": _cycles(log)[had]["analyzed"],
        **own,
        "rss_mib": _rss(operator.pid)["VmRSS"],
    }
    return {name: round(value, 1) for name, value in figures.items()}


def _must_run(operator: Process, limit: float) -> None:
    if not operator.running or time.monotonic() > limit:
        raise SystemExit(f"it takes too long, or ended:\n{operator.tail(30)}")


def _wait_for_recommendations(
    cluster: Cluster, workflows: int, log: Path, begin: float, limit: float, operator: Process
) -> float:
    """Seconds until every profile has a score: the moment before the list that shows it. The API server is asked once the
    operator has logged as many analyses, since a list of all statuses costs the server as much as writing some hundred of
    them, and takes long while there are more to write."""
    while True:
        analyzed, passed = sum(c["analyzed"] for c in _cycles(log)), time.monotonic() - begin
        print(f"  {passed:.0f} s: {analyzed} of {workflows} analysed", flush=True)
        if analyzed >= workflows:
            items = cluster.get("wfp", "-A")["items"]
            done = sum(bool((i.get("status") or {}).get("score")) for i in items)
            print(f"  {time.monotonic() - begin:.0f} s: {done} of {len(items)} profiles have a score", flush=True)
            if done >= workflows:
                return passed
        _must_run(operator, limit)
        time.sleep(2.0)


def _wait_for_pause(log: Path, begin: float, limit: float, operator: Process) -> float:
    """Seconds until the end of the first cycle that was followed by a pause: the whole history has been read then."""
    while True:
        _must_run(operator, limit)
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


def main() -> int:
    """Measure and write the row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workflows", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--runs", type=int, default=14)
    parser.add_argument("--days", type=float, default=14)
    parser.add_argument("--every", type=float, help="seconds between two runs of a workflow, evenly spread over them")
    parser.add_argument("--ahead", type=float, default=AHEAD, help="seconds the history goes on after the start")
    options = parser.parse_args()
    days = options.days if options.every is None else options.every * options.runs / DAY
    spread = AHEAD if options.every is None else options.every
    row = measure(Load(options.workflows, options.steps, options.runs, days, spread, options.ahead))
    print(json.dumps(row, indent=1))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    others = [r for r in rows() if r["workflows"] != row["workflows"]]
    RESULT.write_text(json.dumps({"rows": sorted([*others, row], key=lambda r: int(r["workflows"]))}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
