"""``make bench-quiet``: cycles in which nothing has happened, with a real API server and a real Prometheus.

SIZE workflows of 10 steps had one run each, all of them over before the operator starts. Once they are read and analysed
nothing happens any more. Measured are, for each cycle from then on, CPU of all processes, requests by verb and whether the
history's files changed; and before that how many statuses are written a second where ``limits.statusWritesPerSecond`` does
not bound it.

``make bench-idle`` measures the operator's part in process, without the wire.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.scale.figures import cycles, must_run, others, rss, text, total, totals_by, work
from benchmarks.scale.fleet_workflows import DAY, Load, create, load
from benchmarks.scale.operator_process import operator as operator_process
from testbed.process import Process, TemporaryDirectory
from testbed.services.controlplane import ControlPlane
from testbed.services.operator import OperatorProcess
from testbed.services.prometheus import PrometheusServer

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "quiet.json"
INTERVAL = 60.0
CYCLES = 5
UNBOUND = {"statusWritesPerSecond": 1000}
PAST, FUTURE = 7200.0, 7200.0  # seconds of the history before and after the start of the operator
SPREAD = 3600.0  # seconds over which the starts of the runs are spread
_SETTLED = 2  # cycles without an analysis before the first that counts
_WINDOW = 10.0  # seconds over which written statuses are counted
_LIMIT = 3600.0  # seconds


def measure(workflows: int, steps: int) -> dict[str, Any]:
    """Run the benchmark; returns its row."""
    with TemporaryDirectory("concertmaster-bench-") as directory, ControlPlane(progress=print) as plane:
        prometheus = PrometheusServer(progress=print, arguments=["--storage.tsdb.max-block-duration=2h"])
        create(plane.cluster, workflows, steps)
        end = time.time() + FUTURE
        once = Load(workflows, steps, 1, PAST / DAY, SPREAD, FUTURE + PAST)
        count = load(prometheus, once.pods(end), end - FUTURE - PAST, end)
        print(f"  {count} pods loaded", flush=True)
        with prometheus:
            operator = operator_process(plane.cluster, directory, prometheus.url, INTERVAL, limits=UNBOUND)
            port, log, limit = operator.port, operator.log, time.monotonic() + _LIMIT
            try:
                operator.start_live()
                written = _written_a_second(operator, limit, workflows)
                _settle(operator, limit)

                def used() -> dict[str, float]:
                    return work(port, operator.pid) | others(prometheus.url, plane.cluster)

                had, before, asked, files = len(cycles(log)), used(), _requests(port), _files(directory)
                while len(cycles(log)) < had + CYCLES:
                    must_run(operator, limit)
                    time.sleep(0.5)
                after, asked_later, files_later = used(), _requests(port), _files(directory)
                quiet = cycles(log)[had : had + CYCLES]
                return {
                    "workflows": workflows,
                    "pods": count,
                    "written_a_second": round(written),
                    "seconds": round(sum(c["seconds"] for c in quiet) / CYCLES, 2),
                    "analyzed": sum(c["analyzed"] for c in quiet),
                    **{name: round((after[name] - before[name]) / CYCLES, 2) for name in after},
                    "requests_by_verb": {
                        verb: round((number - asked.get(verb, 0.0)) / CYCLES, 1)
                        for verb, number in sorted(asked_later.items())
                    },
                    "history_changed": files != files_later,
                    "problems": sorted({p for c in quiet for p in c.get("problems", ())}),
                    "rss_mib": round(rss(operator.pid)["VmRSS"]),
                    "load": round(os.getloadavg()[1], 1),
                    "date": datetime.now(UTC).date().isoformat(),
                }
            finally:
                operator.stop()


def _written_a_second(operator: OperatorProcess, limit: float, workflows: int) -> float:
    """Statuses written a second, at best over ``_WINDOW`` seconds, until all workflows have been analysed."""
    series = 'concertmaster_status_writes_total{kind="profile",outcome="written"}'
    seen: list[tuple[float, float]] = []
    best = 0.0
    while sum(c["analyzed"] for c in cycles(operator.log)) < workflows:
        must_run(operator, limit)
        seen.append((time.monotonic(), total(text(f"http://127.0.0.1:{operator.port}/metrics"), series)))
        seen = [s for s in seen if seen[-1][0] - s[0] <= _WINDOW]
        passed = seen[-1][0] - seen[0][0]
        if passed > 0.9 * _WINDOW:
            best = max(best, (seen[-1][1] - seen[0][1]) / passed)
        time.sleep(0.5)
    print(f"  {best:.0f} statuses written a second", flush=True)
    return best


def _settle(operator: Process, limit: float) -> None:
    """Wait until nothing was analysed for some cycles."""
    log = operator.log
    had = len(cycles(log))
    while len(cycles(log)) < had + _SETTLED or any(c["analyzed"] for c in cycles(log)[-_SETTLED:]):
        must_run(operator, limit)
        time.sleep(0.5)


def _requests(port: int) -> dict[str, float]:
    """Requests to the API server so far, by verb; without those of the watches and the Lease."""
    return totals_by(text(f"http://127.0.0.1:{port}/metrics"), "concertmaster_kubernetes_requests_total", "verb")


def _files(directory: Path) -> list[tuple[str, int, int]]:
    """Name, size and last change of the history's files; the index of its log (-shm) is memory that readers share."""
    files = [p for p in directory.glob("history.db*") if not p.name.endswith("-shm")]
    return sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files)


def lines(result: dict[str, Any]) -> list[str]:
    """The section of RESULTS.md."""
    rows = [
        f"| {r['workflows']:,} | {r['cpu_s']:g} s | {r['store_cpu_s']:g} s | {r['api_cpu_s']:g} s | {r['queries']:g}"
        f" | {r['requests_by_verb'].get('GET', 0):g} | {sum(n for v, n in r['requests_by_verb'].items() if v != 'GET'):g}"
        f" | {'yes' if r['history_changed'] else 'no'} | {r['written_a_second']} | {r['rss_mib']} MiB | {r['load']} |"
        for r in result["rows"]
    ]
    return [
        "",
        "## A cycle in which nothing has happened, on a real API server (`make bench-quiet`)",
        "",
        f"Means of {CYCLES} cycles of {INTERVAL:.0f} s. CPU is that of the minute from one cycle to the next, with watches,"
        " probes and what the servers do by themselves. Statuses a second: at best over"
        f" {_WINDOW:.0f} s of the first analyses, with `limits.statusWritesPerSecond` (50) raised.",
        "",
        "| workflows | CPU of the operator | of Prometheus | of the API server | queries | reads | writes | history written"
        " | statuses a second | memory | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def main() -> int:
    """Measure and write the row."""
    asked = Load.asked(__doc__)
    row = measure(asked.workflows, asked.steps)
    print(json.dumps(row, indent=1))
    known = json.loads(RESULT.read_text())["rows"] if RESULT.is_file() else []
    others_rows = [r for r in known if r["workflows"] != row["workflows"]]
    RESULT.write_text(
        json.dumps({"rows": sorted([*others_rows, row], key=lambda r: int(r["workflows"]))}, indent=1) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
