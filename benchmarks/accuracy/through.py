"""``make bench-through BENCH_DATA=directory``: memory sizing through the operator, compared with the adapter's figures.

The scorers call the sizing methods with table rows (benchmarks/adapters.py). Here the same rows reach them as in a
cluster: each execution becomes a finished pod in a real Prometheus, each step a WorkflowTemplate in a real API server;
input sizes are a series that a policy refers to (``role: InputSize``). The operator, a separate process, reads
Prometheus, keeps its history and writes its statuses. Then it is stopped, and the sizes from its history and analysis
are scored like the adapter's.

A random 30% of each step's executions is the history (the scorer's protocol ``nextrun``, first seed), the rest is
predicted. Excluded are executions shorter than a minute, which scrapes every 30 s may miss, and steps with too few
remaining ones. The data are not copied; only figures are written here.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.sizing_adapters import SizingPolicy, in_template
from benchmarks.accuracy.through_workflows import DAY, NAMESPACE, SERIES, Row, Step, exposition, lives, template
from benchmarks.scale.operator_process import operator as operator_process
from concertmaster.core.analysis.drivers import memory_size
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model.enums import MetricRole
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.sizing import MemorySize
from concertmaster.engines.define import define
from concertmaster.history import Store
from testbed.process import TemporaryDirectory
from testbed.series.lives import Grid
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.kinds import ARGO_CRDS, CRDS, install_kinds
from testbed.services.prometheus import PrometheusServer

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "through.json"
SEED, SHARE = 1996, 0.3
SHORTEST = 60.0  # seconds
FEWEST = 20  # executions per step: six are its history
PATIENCE = 1800.0
AHEAD = 3600.0  # seconds the history goes on after it was made: metrics that end are reported as missing, rightly
WITHIN = 0.02  # largest relative difference from the adapter
METRIC = ExtraMetric("input", f"max by (run) (last_over_time({SERIES}[$window]))", role=MetricRole.INPUT_SIZE)
MEASURES = ("one request per step", "by input size")
POLICY: dict[str, Any] = {
    "apiVersion": "concertmaster.dev/v1alpha1",
    "kind": "OptimizationPolicy",
    "metadata": {"name": "recorded", "namespace": NAMESPACE},
    "spec": {
        "discover": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate"}],
        "extraMetrics": [{"name": METRIC.name, "role": "InputSize", "query": METRIC.query}],
    },
}


def scorer(data: Path) -> Any:
    """The scorer of the memory sets, from the data directory. Raises SystemExit with instructions if it is missing."""
    file = data / "memsizing" / "score.py"
    if not file.is_file():
        raise SystemExit(f"{data} holds no memsizing/score.py: give BENCH_DATA=directory with the data sets")
    spec = importlib.util.spec_from_file_location("memsizing_score", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def steps(score: Any, part: str) -> list[Step]:
    """The steps of all workflows with enough executions that last at least two scrapes."""
    found: list[Step] = []
    for recorded in score.load(part).values():
        by_step: dict[str, list[Row]] = {}
        for row in recorded:
            if score.usable(row, "peak") and row["T"] >= SHORTEST and row["peak"] > 0:
                by_step.setdefault(row["step"], []).append(row)
        for rows in by_step.values():
            if len(rows) >= FEWEST:
                done = sorted(rows, key=lambda r: (r["complete"], r["row"]))
                done = [done[i] for i in np.random.RandomState(SEED).permutation(len(done))]
                known = int(SHARE * len(done))
                found.append(Step(f"step-{len(found):03}", tuple(done[:known]), tuple(done[known:])))
    return found


def _all_read(cluster: Cluster, history: Path, found: Sequence[Step]) -> bool:
    """Whether every profile was analysed with all of its runs, and the input of every run is stored."""
    known = {
        item["spec"]["workflowRef"]["name"]: int(((item.get("status") or {}).get("runs") or {}).get("succeeded") or 0)
        for item in cluster.get("wfp", "-n", NAMESPACE)["items"]
    }
    with closing(sqlite3.connect(f"file:{history}?mode=ro", uri=True, timeout=30)) as db:
        (inputs,) = db.execute("SELECT count(*) FROM amounts").fetchone()
    runs = sum(len(step.history) for step in found)
    print(f"  {sum(known.values())} of {runs} runs are analysed, {inputs} inputs are kept", flush=True)
    return inputs >= runs and all(known.get(step.name, 0) >= len(step.history) for step in found)


def sizes_by_operator(found: Sequence[Step]) -> dict[str, MemorySize | None]:
    """Sizes of each step from the operator's history and analysis, once it has read everything. Raises SystemExit on a
    timeout."""
    end = time.time() - 120.0
    with TemporaryDirectory("concertmaster-bench-") as scratch, ControlPlane(progress=print) as plane:
        cluster = plane.cluster
        prometheus = PrometheusServer(progress=print)
        prometheus.load_openmetrics(exposition(list(lives(found, end)), Grid(end - 14 * DAY, time.time() + AHEAD)))
        with prometheus:
            install_kinds(cluster, CRDS, ARGO_CRDS)
            cluster.kubectl("create", "namespace", NAMESPACE)
            cluster.apply(*(template(step) for step in found), POLICY)
            operator = operator_process(cluster, scratch, prometheus.url, 15, limits={"extraQueriesPerCycle": 1000})
            try:
                operator.start_live()
                begin = time.monotonic()
                while not _all_read(cluster, scratch / "history.db", found):
                    if not operator.running or time.monotonic() - begin > PATIENCE:
                        raise SystemExit(f"the operator ended, or takes too long:\n{operator.tail(30)}")
                    time.sleep(5)
            finally:
                operator.stop()
            return {step.name: _size(scratch / "history.db", step) for step in found}


def _size(history: Path, step: Step) -> MemorySize | None:
    declared = define(template(step))
    assert declared is not None
    definition = replace(declared, metrics=(METRIC,))
    with Store(str(history)) as store:
        runs = store.runs(definition.key, definition=definition, as_of=time.time())
    sized = [run for run in runs if run.input_total is not None]
    if len(runs) != len(step.history) or len(sized) != len(runs):
        raise SystemExit(f"{step.name}: {len(runs)} runs, {len(sized)} with an input, of {len(step.history)}")
    analysis = analyze(definition, runs, now=time.time())
    (container,) = analysis.steps[0].containers
    return memory_size(container, analysis.options)


Sizes = Callable[[Step, float | None], float]


def adapted(found: Sequence[Step]) -> Sizes:
    """Sizes computed by the adapters directly from the rows."""
    policies: dict[str, SizingPolicy] = {}
    for step in found:
        policies[step.name] = SizingPolicy()
        for row in step.history:
            policies[step.name].observe(row["peak"], row["x"], row["T"], row["preset"])
    return lambda step, size: policies[step.name].allocate(size, step.preset) or step.preset


def reached(sizes: Mapping[str, MemorySize | None]) -> Sizes:
    """Sizes in the same form, from the data that the operator read."""

    def of(step: Step, size: float | None) -> float:
        known = sizes[step.name]
        if size is not None and known is not None and known.model is not None:
            return known.model.request(size)
        return step.preset if known is None else in_template(known)

    return of


def scored(score: Any, found: Sequence[Step], sizes: Sizes, *, by_input: bool) -> dict[str, float]:
    """Waste (GBh) and failed attempts per 100 executions, as the scorer counts them; requests double after an OOM
    kill."""
    total = score.blank()
    for step in found:
        for row in step.scored:
            request = sizes(step, row["x"] if by_input else None)
            score.charge(score.Policy(), request, row["peak"], row["T"], row["preset"], 1.0, total)
            total["tasks"] += 1
    return {"gbh": round(total["gbh"], 3), "failed_per_100": round(100 * total["failures"] / total["tasks"], 3)}


def lines(result: Mapping[str, Any]) -> list[str]:
    """The section of benchmarks/RESULTS.md."""
    rows = [
        f"| {name} | {row['adapter']['gbh']:.1f} @ {row['adapter']['failed_per_100']:.2f}"
        f" | {row['operator']['gbh']:.1f} @ {row['operator']['failed_per_100']:.2f} | {row['difference_percent']:+.2f}% |"
        for name, row in result["measures"].items()
    ]
    return [
        "",
        "## Sizing through the operator (`make bench-through`)",
        "",
        f"Measured at commit {result['commit']}."
        f" {result['history']} executions of {result['steps']} recorded steps as finished pods in a real Prometheus, read by"
        f" a running operator; {result['scored']} others are sized. GBh wasted @ failed attempts per 100. The adapter gets"
        f" the same rows directly; {result['left_out']} executions are left out as too short for scrapes of 30 s, or of"
        f" steps with too few. {result['by_input_models']} steps are sized by input. Largest difference of a"
        f" step's request: {result['largest_request_percent']:.2f}%.",
        "",
        "| measure | adapter | through the operator | difference |",
        "|---|---|---|---|",
        *rows,
    ]


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def measure(data: Path, part: str, most: int | None) -> dict[str, Any]:
    """Run both ways; returns their figures."""
    score = scorer(data)
    found = steps(score, part)[:most]
    sizes = sizes_by_operator(found)
    ways = {"adapter": adapted(found), "operator": reached(sizes)}
    measures: dict[str, Any] = {}
    for name in MEASURES:
        row: dict[str, Any] = {way: scored(score, found, of, by_input=name == MEASURES[1]) for way, of in ways.items()}
        row["difference_percent"] = round(100 * (row["operator"]["gbh"] / row["adapter"]["gbh"] - 1), 3)
        measures[name] = row
    apart = [abs(ways["operator"](s, None) / ways["adapter"](s, None) - 1) for s in found]
    used = sum(len(s.history) + len(s.scored) for s in found)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "set": part,
        "steps": len(found),
        "by_input_models": sum(size is not None and size.model is not None for size in sizes.values()),
        "history": sum(len(s.history) for s in found),
        "scored": sum(len(s.scored) for s in found),
        "left_out": sum(len(rows) for rows in score.load(part).values()) - used,
        "largest_request_percent": round(100 * max(apart), 3),
        "measures": measures,
    }


def main() -> int:
    """Measure, print, and write the result file; exit status 1 if the two ways differ by more than 2%."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.through", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with the data sets and their scorers")
    parser.add_argument("--set", default="dev", choices=["dev", "heldout"])
    parser.add_argument("--steps", type=int, help="only so many steps; nothing is written then")
    options = parser.parse_args()
    result = measure(options.data.resolve(), options.set, options.steps)
    print("\n".join(lines(result)))
    if options.steps is None and options.set == "dev":
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    return int(any(abs(row["difference_percent"]) > 100 * WITHIN for row in result["measures"].values()))


if __name__ == "__main__":
    sys.exit(main())
