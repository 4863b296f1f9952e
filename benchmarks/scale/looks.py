"""``make bench-looks``: the cost of one collection cycle for Prometheus and the operator, by number of terminated pods.

Workflows of 10 steps in 100 namespaces are loaded into a real Prometheus with every scrape: one hour in which that many
runs end, by default as many as of a million pods a day. Measured are collections of one minute and of five minutes, and
of 50 minutes as backfill (36,000 pods). No cluster is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.scale.fleet_workflows import lives
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import CollectOptions, backfill
from concertmaster.settings import MetricsSource
from testbed.series.lives import Grid
from testbed.series.openmetrics import render
from testbed.services.prometheus import PrometheusServer

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "looks.json"
NAMESPACES = 100
STEPS = 10
LABEL = "workflows.argoproj.io/workflow-template"
SPANS = (60, 300, 3000)  # seconds


def _store(url: str) -> tuple[float, float]:
    """CPU seconds used by Prometheus, and samples read by its queries."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = {line.partition(" ")[0]: line.rpartition(" ")[2] for line in lines if not line.startswith("#")}
    return float(found["process_cpu_seconds_total"]), float(found["prometheus_engine_query_samples_total"])


def look(url: str, end: float, span: float) -> dict[str, Any]:
    """Collect the ``span`` seconds before ``end`` (unix seconds) once."""
    source = MetricsSource.model_validate({"name": "default", "url": url, "scrapeInterval": "30s"})
    spaces = [f"team-{n}" for n in range(NAMESPACES)]
    with PrometheusClient(source) as client:
        (cpu, samples), wall, own = _store(url), time.monotonic(), time.process_time()
        facts: set[str] = set()
        for part in backfill(
            client,
            namespaces=spaces,
            since=end - span,
            until=end,
            now=end + 60,
            label_keys=(LABEL,),
            options=CollectOptions(),
        ):
            facts |= {fact.uid for fact in part.facts}
        own, wall, (after, read) = time.process_time() - own, time.monotonic() - wall, _store(url)
        return {
            "seconds": span,
            "pods": len(facts),
            "queries": client.requests,
            "prometheus_cpu_s": round(after - cpu, 2),
            "samples": round(read - samples),
            "own_cpu_s": round(own, 2),
            "wall_s": round(wall, 1),
        }


def measure(runs: int) -> dict[str, Any]:
    """Load an hour with that many runs, and collect it."""
    end, chance = float(int(time.time() / 60) * 60), random.Random(2)
    spaces: dict[str, str] = {}
    made = [
        replace(pod, namespace=spaces.setdefault(str(pod.owner_name), f"team-{chance.randrange(NAMESPACES)}"))
        for pod in lives(runs, STEPS, 1, end, 1)
    ]
    prometheus = PrometheusServer(progress=print)
    prometheus.load_trusted(render(made, Grid(end - 4500, end, constant_interval=30.0)))
    with prometheus:
        found = [look(prometheus.url, end - 600, span) for span in SPANS for _ in range(2)]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "runs_an_hour": runs,
        "pods": len(made),
        "load_average": round(os.getloadavg()[0], 1),
        "looks": found[1::2],  # the first one of each kind warms the caches of the metrics source
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The result as lines of RESULTS.md."""
    rows = [
        f"| {r['seconds']} s | {r['pods']:,} | {r['queries']} | {r['prometheus_cpu_s']:.2f} s | {r['samples']:,}"
        f" | {r['own_cpu_s']:.2f} s | {r['wall_s']} s |"
        for r in result["looks"]
    ]
    return [
        "",
        "## One analysis cycle (`make bench-looks`)",
        "",
        f"{result['runs_an_hour']} runs of {STEPS} steps in an hour, {result['pods']:,} pods in {NAMESPACES} namespaces,"
        f" every scrape written. Load of the machine {result['load_average']}.",
        "",
        "| span | pods that ended | queries | Prometheus' CPU | samples read | operator's CPU | time |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def main() -> None:
    """Measure, print, and write the result file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.looks", description=__doc__)
    parser.add_argument("--runs", type=int, default=4650)
    result = measure(parser.parse_args().runs)
    print("\n".join(lines(result)))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
