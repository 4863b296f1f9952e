"""``make bench-idle``: the cost of a cycle without any activity, by number of workflows.

Runs in process, with API server and history in memory: no network, no other process, CPU time of this one. Every
workflow has a discovered profile and a current analysis. Counts of writes and of complete reads are covered by tests
(tests/unit/controller/test_idle.py); this benchmark only measures time.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from concertmaster.controller.malloc import collect_seldom
from concertmaster.kube.objects import CLUSTER_POLICIES, NAMESPACES
from tests.support.controller.harness import INTERVAL, Bed, run

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "idle.json"
SIZES = (200, 1000, 10000)
PER_NAMESPACE = 100
CYCLES = 5


def measure(workflows: int) -> dict[str, Any]:
    """Median CPU seconds of idle cycles, and the number of their writes."""
    bed = Bed()
    for number in range(max(1, workflows // PER_NAMESPACE)):
        bed.client.put(NAMESPACES, None, f"team-{number}")
    for number in range(workflows):
        bed.cronjob(f"w{number}", f"team-{number // PER_NAMESPACE}")
        bed.history.runs_of[f"w{number}"] = [run(f"w{number}", 1)]
    discover = [{"apiVersion": "batch/v1", "kind": "CronJob"}]
    bed.client.put(CLUSTER_POLICIES, None, "all", spec={"discover": discover})
    bed.run()
    bed.run(seconds=INTERVAL)
    bed.writes()
    times = []
    with mock.patch.object(copy, "deepcopy", copy.copy):  # copies that a decoder would make are not the operator's work
        for _ in range(CYCLES):
            bed.now += 60.0
            begun = time.process_time()
            bed.cycle()
            times.append(time.process_time() - begun)
    return {
        "workflows": workflows,
        "cpu_s": round(statistics.median(times), 3),
        "least_cpu_s": round(min(times), 3),
        "writes": len(bed.writes()),
        "analyses": len(bed.analyzer.requests) - workflows,
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The section of RESULTS.md."""
    rows = [
        f"| {r['workflows']:,} | {r['cpu_s']:.3f} s | {r['least_cpu_s']:.3f} s | {r['writes']} | {r['analyses']} |"
        for r in result["rows"]
    ]
    return [
        "",
        "## A cycle in which nothing has happened (`make bench-idle`)",
        "",
        f"In process, without the wire: median and least of {CYCLES} cycles. Measured {result['date']}, load of the machine"
        f" {result['load']}.",
        "",
        "| workflows | CPU | least | writes to the API server | analyses |",
        "|---|---|---|---|---|",
        *rows,
    ]


def main() -> None:
    """Measure, print, and write the result file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.idle", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    collect_seldom()  # as the operator does
    rows = [measure(size) for size in parser.parse_args().sizes]
    result = {"date": datetime.now(UTC).date().isoformat(), "load": round(os.getloadavg()[0], 1), "rows": rows}
    print("\n".join(lines(result)))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
