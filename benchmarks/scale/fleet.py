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

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.scale.earlier_runs import deepen, forget_analyses
from benchmarks.scale.figures import Memory as _Memory
from benchmarks.scale.figures import cycles as _cycles
from benchmarks.scale.figures import must_run as _must_run
from benchmarks.scale.figures import others as _others
from benchmarks.scale.figures import rss as _rss
from benchmarks.scale.figures import wait_for_pause as _wait_for_pause
from benchmarks.scale.figures import work as _own
from benchmarks.scale.fleet_table import RESULT, STEADY, rows
from benchmarks.scale.fleet_workflows import MI, Load, create
from benchmarks.scale.operator_process import operator as operator_process
from testbed.process import Process, TemporaryDirectory
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.operator import OperatorProcess
from testbed.services.prometheus import PrometheusServer

INTERVAL = 60.0


def measure(played: Load) -> dict[str, Any]:
    """Run the benchmark; returns one row of figures."""
    workflows, steps = played.workflows, played.steps
    with TemporaryDirectory("concertmaster-bench-") as directory, ControlPlane(progress=print) as plane:
        cluster = plane.cluster
        prometheus = PrometheusServer(progress=print, arguments=["--storage.tsdb.max-block-duration=2h"])
        create(cluster, workflows, steps)
        count, end = played.play(prometheus)
        with prometheus:
            time.sleep(max(0.0, end - played.ahead - time.time()))
            before = _others(prometheus.url, cluster)

            def used() -> dict[str, float]:
                since = _others(prometheus.url, cluster)
                return {
                    **_own(operator.port, operator.pid),
                    **{name: value - before[name] for name, value in since.items()},
                }

            operator = operator_process(cluster, directory, prometheus.url, INTERVAL)
            begin = time.monotonic()
            operator.start()
            watched = _Memory(operator.pid)
            try:
                operator.wait_ready(operator.live)
                idle = _rss(operator.pid)
                print(f"  ready after {time.monotonic() - begin:.1f} s, {idle['VmRSS']:.0f} MiB", flush=True)
                limit = begin + max(0.0, end - time.time())
                with_recommendations = _wait_for_recommendations(cluster, workflows, begin, limit, operator)
                whole = _wait_for_pause(operator.log, begin, limit, operator)
                cold = used()
                peak = {"all_peak": watched.peak}
                found = {"advice_s": with_recommendations, "whole_s": whole, **cold, **_rss(operator.pid), **peak}
                print(f"  {json.dumps(found)}", flush=True)  # should steady cycles be interrupted
                cycles, steady = _steady(operator, used, limit)
                memory = _rss(operator.pid)
                size = _history_mib(directory)
                watched.close()
                restart = _restarted(operator, limit)
                deep = {}
                if played.kept > played.runs:
                    deep = {"kept": _deepened(played, directory, operator, used, limit)}
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
                    "steady": steady,
                    "restart": restart,
                    **deep,
                    "problems": sorted({p for c in cycles for p in c.get("problems", ())}),
                    "idle_rss_mib": round(idle["VmRSS"]),
                    "rss_mib": round(memory["VmRSS"]),
                    "peak_rss_mib": round(max(watched.peak, memory["VmHWM"])),
                    "history_mib": size,
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


def _steady(
    operator: OperatorProcess, used: Callable[[], dict[str, float]], limit: float
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """The next cycles, and their means."""
    had, before = len(_cycles(operator.log)), used()
    while len(_cycles(operator.log)) < had + STEADY:
        _must_run(operator, limit)
        time.sleep(1)
    after = used()
    cycles = _cycles(operator.log)[had : had + STEADY]
    if time.monotonic() > limit:
        raise SystemExit("the history ended before the steady cycles did: enlarge --ahead")
    return cycles, {
        "seconds": round(sum(c["seconds"] for c in cycles) / STEADY, 2),
        "longest_s": round(max(c["seconds"] for c in cycles), 2),
        "analyzed": round(sum(c["analyzed"] for c in cycles) / STEADY, 1),
        **{name: round((after[name] - before[name]) / STEADY, 1) for name in before},
    }


def _deepened(
    played: Load,
    directory: Path,
    operator: OperatorProcess,
    used: Callable[[], dict[str, float]],
    limit: float,
) -> dict[str, Any]:
    """The same with as many runs in the history as the load wants kept: figures of a start on it, of cycles after that, in
    which each analysis is the first one of its workflow with all these runs, of a second analysis of all, and of the cycles
    after it, in which too few runs have ended for a further one."""
    operator.stop()
    begin = time.monotonic()
    pods = deepen(directory / "history.db", played.runs * played.every, round(played.kept / played.runs) - 1)
    print(f"  {pods} pods in the history after {time.monotonic() - begin:.0f} s", flush=True)
    restart = _restarted(operator, limit)
    watched = _Memory(operator.pid)
    try:
        _steady(operator, used, limit)  # runs that ended meanwhile are analysed
        _, steady = _steady(operator, used, limit)
        memory = _rss(operator.pid)
    finally:
        watched.close()
    size = _history_mib(directory)
    again = _analyzed_again(played, directory, operator, limit)
    _steady(operator, used, limit)  # runs that ended meanwhile are read
    _, few = _steady(operator, used, limit)
    return {
        "runs": round(pods / played.workflows / played.steps),
        "pods": pods,
        "restart": restart,
        "steady": steady,
        "again": again,
        "few": few,
        "rss_mib": round(memory["VmRSS"]),
        "peak_rss_mib": round(max(watched.peak, memory["VmHWM"])),
        "history_mib": size,
    }


def _analyzed_again(played: Load, directory: Path, operator: OperatorProcess, limit: float) -> dict[str, float]:
    """Start it anew on a history without analyses; what it takes until as many are made as there are workflows."""
    operator.stop()
    forget_analyses(directory / "history.db")
    had, begin = len(_cycles(operator.log)), time.monotonic()
    operator.start_live()
    while (analyzed := sum(c["analyzed"] for c in _cycles(operator.log)[had:])) < played.workflows:
        _must_run(operator, limit)
        time.sleep(1.0)
    passed, own = time.monotonic() - begin, _own(operator.port, operator.pid)
    found = {"seconds": passed, "analyzed": analyzed, **own, "rss_mib": _rss(operator.pid)["VmRSS"]}
    print(f"  all analysed again: {json.dumps(found)}", flush=True)
    return {name: round(value, 1) for name, value in found.items()}


def _history_mib(directory: Path) -> float:
    return round(sum(p.stat().st_size for p in directory.glob("history.db*")) / MI, 1)


def _restarted(operator: OperatorProcess, limit: float) -> dict[str, float]:
    """Start it anew on the same history; figures of the time until the end of its first cycle."""
    operator.stop()
    had, begin = len(_cycles(operator.log)), time.monotonic()
    operator.start_live()
    while len(_cycles(operator.log)) == had:
        _must_run(operator, limit)
        time.sleep(0.2)
    passed, own = time.monotonic() - begin, _own(operator.port, operator.pid)
    print(f"  started anew: first cycle over after {passed:.0f} s, {_cycles(operator.log)[had]}", flush=True)
    figures = {
        "seconds": passed,
        "analyzed": _cycles(operator.log)[had]["analyzed"],
        **own,
        "rss_mib": _rss(operator.pid)["VmRSS"],
    }
    return {name: round(value, 1) for name, value in figures.items()}


def _wait_for_recommendations(cluster: Cluster, workflows: int, begin: float, limit: float, operator: Process) -> float:
    """Seconds until every profile has a score: the moment before the list that shows it. The API server is asked once the
    operator has logged as many analyses, since a list of all statuses costs the server as much as writing some hundred of
    them, and takes long while there are more to write."""
    while True:
        analyzed, passed = sum(c["analyzed"] for c in _cycles(operator.log)), time.monotonic() - begin
        print(f"  {passed:.0f} s: {analyzed} of {workflows} analysed", flush=True)
        if analyzed >= workflows:
            items = cluster.get("wfp", "-A")["items"]
            done = sum(bool((i.get("status") or {}).get("score")) for i in items)
            print(f"  {time.monotonic() - begin:.0f} s: {done} of {len(items)} profiles have a score", flush=True)
            if done >= workflows:
                return passed
        _must_run(operator, limit)
        time.sleep(2.0)


def _status_sizes(cluster: Any) -> dict[str, int]:
    sizes = sorted(
        len(json.dumps(i.get("status") or {}, separators=(",", ":")).encode())
        for i in cluster.get("wfp", "-A")["items"]
    )
    return {"median": sizes[len(sizes) // 2], "largest": sizes[-1]}


def main() -> int:
    """Measure and write the row."""
    row = measure(Load.asked(__doc__))
    print(json.dumps(row, indent=1))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    others = [r for r in rows() if r["workflows"] != row["workflows"]]
    RESULT.write_text(json.dumps({"rows": sorted([*others, row], key=lambda r: int(r["workflows"]))}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
