"""Speed of the analysis on synthetic workflows: median CPU time of repeated calls, in several rounds."""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.options import by_kind, target
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.malloc import collect_afterwards, collect_seldom
from concertmaster.controller.profiles.analysis.analyzer import analyze_profile
from concertmaster.controller.profiles.request import AnalysisRequest
from concertmaster.core.analysis.graph import drags, longest_path
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.analysis.replay.gain import gain
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.changepoint import detect
from concertmaster.core.model import (
    ContainerFact,
    ContainerSpec,
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from concertmaster.core.model.policy import Policy
from concertmaster.core.sizing import MemoryUse, memory_request, memory_requests
from concertmaster.engines.argo.traits import ARGO
from concertmaster.history import RunCache, Store

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "speed.json"
DAY = 86400.0
NOW = 1.76e9
MI = 2.0**20
MOST_CALLS = 30  # per case
ROUNDS = 10


def layered(steps: int, width: int) -> WorkflowGraph:
    """A graph of layers; each step depends on two steps of the previous layer."""
    specs = []
    for n in range(steps):
        layer, place = divmod(n, width)
        after = () if layer == 0 else tuple(f"s{(layer - 1) * width + (place + i) % width}" for i in range(2))
        specs.append(
            StepSpec(
                f"s{n}", depends_on=after, containers=(ContainerSpec("main", cpu_request=1.0, memory_request=1e9),)
            )
        )
    return WorkflowGraph(tuple(specs))


def runs_of(
    graph: WorkflowGraph, count: int, seed: int = 1, every: float = DAY / 3
) -> tuple[WorkflowDefinition, list[RunRecord]]:
    """A workflow with ``count`` runs of that graph, ``every`` so many seconds, with log-normal step times."""
    chance = random.Random(seed)
    key = WorkflowKey("bench", "WorkflowTemplate", "w")
    found = []
    for i in range(count):
        start = NOW - (count - i) * every
        ends: dict[str, float] = {}
        rows = []
        for spec in graph.steps:
            ready = max((ends[d] for d in spec.depends_on), default=start)
            seconds = 60.0 * chance.lognormvariate(0, 0.3)
            ends[spec.name] = ready + 3 + seconds
            fact = ContainerFact(
                "main",
                cpu_request=1.0,
                memory_request=1e9,
                cpu_seconds=0.4 * seconds,
                cpu_sampled_seconds=seconds,
                memory_sampled_peak=300 * MI * chance.lognormvariate(0, 0.1),
                started=ready + 3,
                finished=ends[spec.name],
            )
            rows.append(
                StepExecution(
                    spec.name,
                    pod=f"p{i}{spec.name}",
                    uid=f"u{i}{spec.name}",
                    ready=ready,
                    created=ready,
                    scheduled=ready + 1,
                    started=ready + 3,
                    finished=ends[spec.name],
                    outcome=Outcome.SUCCEEDED,
                    containers=(fact,),
                )
            )
        found.append(RunRecord(key, f"r{i}", start, max(ends.values()), Outcome.SUCCEEDED, Source.HISTORY, tuple(rows)))
    return WorkflowDefinition(key, ARGO, graph), found


def _median_ms(call: Callable[[], object], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()  # CPU time excludes other processes of the machine
        call()
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times)


def _workflow() -> Callable[[], object]:
    definition, runs = runs_of(layered(20, 4), 30)

    def call() -> object:
        analysis = analyze(definition, runs, now=NOW)
        return [gain(analysis.executed, WhatIf.scale_step(f"s{n}", 0.5)) for n in range(10)]

    return call


def _status(steps: int, count: int, *, kept: bool) -> Callable[[], object]:
    """The work of a cycle for a workflow with one finished run: store the run, read all runs, build a status document.
    ``kept``: the other runs are cached from earlier analyses; without it, as after a start or in a large fleet."""
    definition, runs = runs_of(layered(steps, 4), count + MOST_CALLS, every=DAY / 15)
    store, cache, further = Store(":memory:"), RunCache() if kept else None, iter(runs[count:])

    def ended(runs: Iterable[RunRecord]) -> None:
        # Metrics lack ready times: these are computed for each run as it is read.
        store.add({definition.key: {run.run: [replace(e, ready=None) for e in run.steps] for run in runs}})

    ended(runs[:count])
    meta = {"namespace": "bench", "name": "w"}
    ref = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "w"}
    profile = WorkflowProfile.parse({"metadata": meta, "spec": {"workflowRef": ref}})

    @collect_afterwards()  # as the operator does
    def call() -> object:
        run = next(further)
        ended([run])
        now = run.end or NOW
        since = now - 14 * DAY
        found = store.runs(definition.key, limit=count, since=since, definition=definition, as_of=now, cache=cache)
        figures = cache.figures(definition.key) if cache is not None else RunFigures()
        return analyze_profile(AnalysisRequest(profile, Policy(), definition, found, now, now, figures=figures))

    call()  # fills the cache before the measurement
    return call


def _critical_path() -> Callable[[], object]:
    graph = layered(2122, 40)
    chance = random.Random(2)
    place = {s.name: i for i, s in enumerate(graph.steps)}
    durations = [chance.expovariate(0.01) for _ in graph.steps]
    parents = [[place[name] for name in s.depends_on] for s in graph.steps]
    return lambda: drags(longest_path(durations, parents), durations, parents)


def _changes() -> Callable[[], object]:
    chance = random.Random(3)
    values = [100 * chance.lognormvariate(0, 0.1) * (1.3 if i > 120 else 1.0) for i in range(200)]
    times = [NOW - (200 - i) * DAY / 8 for i in range(200)]
    return lambda: detect(times, values)


def _sizing() -> Callable[[], object]:
    chance = random.Random(4)
    peaks = [5e8 * chance.lognormvariate(0, 0.1) for _ in range(200)]
    return lambda: memory_request(peaks, [60.0] * 200)


def _use_by_input(seed: int) -> MemoryUse:
    chance = random.Random(seed)
    inputs = [2e9 * chance.lognormvariate(0, 0.8) for _ in range(30)]
    peaks = [1e8 + 0.2 * size * chance.lognormvariate(0, 0.1) for size in inputs]
    return MemoryUse(peaks, [60.0] * 30, inputs=inputs, current_request=2e9)


def _sizing_by_input(steps: int) -> Callable[[], object]:
    uses = [_use_by_input(5 + step) for step in range(steps)]
    return lambda: memory_requests(uses)


def _additions() -> Callable[[], object]:
    def call() -> object:
        total = 0
        for number in range(1_000_000):
            total += number
        return total

    return call


Measured = tuple[str, float | None, Callable[[], Callable[[], object]], int]
"""What is measured, its target in ms, what makes it ready to be called, and how often it is called in a round."""


def _statuses() -> Iterator[tuple[str, Measured]]:
    for steps, runs, goal in ((20, 30, 25.0), (10, 200, 40.0)):
        for name, which, kept in (("new", "one of them new", True), ("read", "all of them read", False)):
            what = f"a status from the history ({steps} steps, {runs} runs), {which}"
            yield f"status-{steps}x{runs}-{name}", (what, goal, partial(_status, steps, runs, kept=kept), 20)


CASES: dict[str, Measured] = {
    "analysis": ("full analysis of one workflow (20 steps, 30 runs, ten what-ifs)", 10.0, _workflow, 20),
    **dict(_statuses()),
    "critical-path": ("critical path of 2,122 tasks", 50.0, _critical_path, 20),
    "changes": ("change points on 200 values", 1.5, _changes, 50),
    "sizing": ("memory size of a step from 200 runs", 0.2, _sizing, 50),
    "sizing-by-input": ("memory size by input of a step from 30 runs", 0.2, partial(_sizing_by_input, 1), 50),
    "sizes-by-input": (
        "memory sizes by input of the 20 steps of a workflow from 30 runs, at once",
        4.0,
        partial(_sizing_by_input, 20),
        20,
    ),
    "additions": ("a million additions in a loop, to compare the cores of two days by", None, _additions, 5),
}


def measure(only: Iterable[str], rounds: int) -> list[dict[str, Any]]:
    """Name, target, and median of each case in the quietest and in the slowest round, in milliseconds."""
    collect_seldom()  # as the operator does
    cases = [CASES[name] for name in only]
    # One after the other: what another holds takes time to look through.
    times = [[_median_ms(make(), repeats) for _, _, make, repeats in cases] for _ in range(rounds)]
    return [
        {"what": what, "goal_ms": goal, "median_ms": round(min(medians), 3), "slowest_ms": round(max(medians), 3)}
        for (what, goal, _, _), medians in zip(cases, zip(*times, strict=True), strict=True)
    ]


def _goal(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:g} ms"


def lines(result: dict[str, Any]) -> list[str]:
    """The section of RESULTS.md."""
    rounds = result.get("rounds", ROUNDS)
    return [
        "",
        "## Speed (`make bench-speed`)",
        "",
        f"Medians of repeated calls, CPU time, in the quietest of {rounds} rounds, and in the slowest, since the cores",
        f"are shared with other machines. Measured {result['date']}, load of the machine {result['load']}.",
        "",
        "| what | goal | measured | slowest round |",
        "|---|---|---|---|",
        *(
            f"| {row['what']} | {_goal(row['goal_ms'])} | {row['median_ms']:.2f} ms | {row['slowest_ms']:.2f} ms |"
            for row in result["rows"]
        ),
    ]


def main() -> None:
    """Measure, print, and write the result file."""
    parser = by_kind(__doc__, CASES)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of all kinds (default: %(default)s)")
    options = parser.parse_args()
    load = round(os.getloadavg()[0], 1)
    rows = measure(options.only, options.rounds)
    result = {"date": datetime.now(UTC).date().isoformat(), "load": load, "rounds": options.rounds, "rows": rows}
    print("\n".join(lines(result)))
    path = target(options, RESULT, whole=options.rounds == ROUNDS)
    if path is not None:
        path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
