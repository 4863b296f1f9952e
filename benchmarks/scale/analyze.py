"""``make bench-analyze``: ``concertmaster analyze`` on a store of two weeks, without a cluster.

Workflows of 10 steps with about one run a day are loaded into a real Prometheus at every scrape; their definitions are
files. The command runs twice and the second run counts: the first one fills the caches of the metrics source, and the
bytecode.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.scale.fleet_workflows import DAY, NAMESPACE, lives, load, template
from benchmarks.scale.krr import timed
from testbed.process import TemporaryDirectory
from testbed.services.prometheus import PrometheusServer

RESULT = Path(__file__).resolve().parents[1] / "results" / "analyze.json"
STEPS = 10
RUNS = 13
DAYS = 14.0
ROUNDS = 2


def measure(workflows: int) -> dict[str, Any]:
    """Load the store and run the command; returns the figures of the last round."""
    end = time.time() + 60
    with TemporaryDirectory("concertmaster-analyze-") as directory:
        prometheus = PrometheusServer(progress=print)
        pods = load(prometheus, lives(workflows, STEPS, RUNS, end, DAYS), end - (DAYS + 1) * DAY, end)
        definitions = directory / "definitions.yaml"
        objects = (template(f"w{w:03}", STEPS) for w in range(workflows))
        definitions.write_text("\n---\n".join(map(json.dumps, objects)))
        with prometheus:
            time.sleep(max(0.0, end - time.time()))
            command = [sys.executable, "-m", "concertmaster", "analyze", "--prometheus", prometheus.url]
            command += ["--namespace", NAMESPACE, "--definitions", str(definitions)]
            found: dict[str, Any] = {}
            for _ in range(ROUNDS):
                found = timed("concertmaster", command, prometheus.url, "", directory / "bytecode")
                print(f"  {found}", flush=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "workflows": workflows,
        "pods": pods,
        "load": round(os.getloadavg()[1], 1),
        **found,
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The section of RESULTS.md."""
    return [
        "",
        "## `concertmaster analyze` without a cluster (`make bench-analyze`)",
        "",
        f"{result['covers']} workflows of {STEPS} steps with {result['pods']:,} pods in {DAYS:g} days, every scrape written:"
        f" {result['wall_s']} s, of which {result['own_cpu_s']} s of its own CPU; {result['queries']} queries that read"
        f" {result['samples']:,} samples in {result['store_cpu_s']} s of Prometheus' CPU. The second run counts. Measured"
        f" {result['date']}, load of the machine {result['load']}.",
    ]


def main() -> int:
    """Measure, print, and write the result file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.analyze", description=__doc__)
    parser.add_argument("--workflows", type=int, default=13)
    result = measure(parser.parse_args().workflows)
    print("\n".join(lines(result)))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
