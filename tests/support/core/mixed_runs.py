"""Random runs with all properties that engines produce: skipped steps, retries, fan-outs, delays for nodes, timestamps
that are missing or contradict the graph. Vectorised analysis must agree with analysis of single runs on them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from concertmaster.core.model import (
    ContainerFact,
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
)
from tests.support.builders import DAY, KEY, MI, NOW, definition, step


@dataclass(frozen=True)
class Mix:
    """How many of 1,000 executions have each property."""

    steps: int = 12
    runs: int = 16
    skipped: int = 0
    failed: int = 0
    fanned: int = 0
    unstamped: int = 0
    early: int = 0
    pending: int = 0
    cached: int = 0
    parallelism: int | None = None
    unknown_step: bool = False
    inputs: bool = False
    level_shift: float = 1.0


MIXES = {
    "plain": Mix(),
    "many-runs": Mix(steps=8, runs=70, level_shift=1.4),
    "skipped": Mix(skipped=150, cached=80),
    "failed": Mix(failed=80),
    "fan-out": Mix(fanned=200),
    "limited": Mix(parallelism=2, steps=9),
    "full-cluster": Mix(pending=100),
    "torn": Mix(unstamped=60, early=60, unknown_step=True, runs=24),
    "inputs": Mix(inputs=True, runs=30),
    "all": Mix(skipped=40, failed=40, fanned=60, unstamped=8, early=20, pending=8, cached=20, runs=40),
}


def mixed(name: str, seed: int = 7) -> tuple[WorkflowDefinition, list[RunRecord]]:
    """A workflow and its runs with these properties."""
    mix, chance = MIXES[name], random.Random(f"{name}{seed}")
    specs: list[StepSpec] = []
    for n in range(mix.steps):
        names = [spec.name for spec in specs]
        specs.append(step(f"s{n}", chance.sample(names, min(len(names), chance.randrange(3))), index=n))
    graph = WorkflowGraph(tuple(specs), parallelism=mix.parallelism)
    found = []
    for number in range(mix.runs):
        start = NOW - (mix.runs - number) * DAY / 6
        factor = mix.level_shift if number > mix.runs // 2 else 1.0
        found.append(_run(specs, mix, chance, number, start, factor))
    return definition(*specs, graph=graph), found


def _run(specs: list[StepSpec], mix: Mix, chance: random.Random, number: int, start: float, factor: float) -> RunRecord:
    ends: dict[str, float] = {}
    rows: list[StepExecution] = []

    def happens(of_1000: int) -> bool:
        return chance.randrange(1000) < of_1000

    extra = [StepSpec("unheard-of")] if mix.unknown_step and number % 3 == 0 else []
    size = chance.lognormvariate(20, 0.8) if mix.inputs else None
    broken = False
    for spec in [*specs, *extra]:
        ready = max((ends[d] for d in spec.depends_on), default=start)
        if happens(mix.early):
            ready = max(start, ready - 30.0)
        if happens(mix.skipped):
            rows.append(StepExecution(spec.name, outcome=Outcome.SKIPPED))
            ends[spec.name] = ready
            continue
        if happens(mix.cached):
            rows.append(StepExecution(spec.name, created=ready, finished=ready, outcome=Outcome.CACHED))
            ends[spec.name] = ready
            continue
        items = [f"{k}:x" for k in range(3)] if happens(mix.fanned) else [None]
        end = ready
        for item in items:
            begin, attempt = ready, 0
            while True:
                seconds = factor * 60.0 * chance.lognormvariate(0, 0.3) * (1.0 if size is None else size / 5e8)
                created = begin + chance.choice((0.0, 0.0, 1.0))
                scheduled = created + (40.0 if happens(mix.pending) else 1.0)
                started = scheduled + 2.0
                finished = started + seconds
                failed = attempt < 2 and happens(mix.failed)
                fact = ContainerFact(
                    "main",
                    cpu_request=1.0,
                    memory_request=1024 * MI,
                    cpu_seconds=0.4 * seconds,
                    cpu_sampled_seconds=seconds,
                    throttled_share=chance.choice((None, 0.2)),
                    memory_sampled_peak=300 * MI * chance.lognormvariate(0, 0.1) if not happens(50) else None,
                    memory_kernel_peak=500 * MI,
                    started=started,
                    finished=finished,
                    reason="OOMKilled" if failed else None,
                    ambiguous=happens(20),
                )
                rows.append(
                    StepExecution(
                        spec.name,
                        item=item,
                        attempt=attempt,
                        pod=f"p{number}{spec.name}{item}{attempt}",
                        ready=ready,
                        created=None if happens(mix.unstamped) else created,
                        scheduled=None if happens(mix.unstamped) else scheduled,
                        started=started,
                        finished=None if happens(mix.unstamped // 4) else finished,
                        outcome=Outcome.FAILED if failed else Outcome.SUCCEEDED,
                        containers=(fact,),
                        input_size=size,
                    )
                )
                begin, attempt, end = finished + 5.0, attempt + 1, max(end, finished)
                if not failed:
                    break
            broken = broken or (failed and attempt > 2)
        ends[spec.name] = end
    outcome = Outcome.FAILED if broken else Outcome.SUCCEEDED
    return RunRecord(KEY, f"run-{number}", start, max(ends.values()) + 1.0, outcome, Source.HISTORY, tuple(rows))
