"""Simulated runs of a workflow. Equal seeds yield equal random events, so that fixing a problem in the model shows its
effect."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np

from benchmarks.advice.law import DAY, HOUR, NOW, WINDOW, Flow
from benchmarks.advice.pods import RunOfPods, execute, gamma
from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution, WorkflowKey


@dataclass(slots=True)
class _Run:
    """State of a run: what its pods have in common, their records, and whether any failed for good."""

    of_pods: RunOfPods
    rows: list[StepExecution] = field(default_factory=list)
    failed: bool = False


def starts(flow: Flow, until: float = NOW, span: float = WINDOW) -> list[tuple[int, float]]:
    """Number and time of the runs that begin in the span before ``until`` (unix seconds); numbers do not depend on the
    span."""
    base = (NOW - 400 * DAY) // DAY * DAY + flow.begin
    first = math.ceil((until - span - base) / flow.every)
    last = math.floor((until - 2 * HOUR - base) / flow.every)
    return [(n, base + n * flow.every) for n in range(first, last + 1)]


def play_all(flow: Flow, key: WorkflowKey, names: dict[str, str], until: float, span: float) -> list[RunRecord]:
    """All runs of the span. ``names``: the product's names of the steps and, with "/", of their containers."""
    due = starts(flow, until, span)
    if flow.meets is None:
        return [play(flow, key, names, n, t) for n, t in due]
    runs: list[RunRecord] = []
    free, missed = -math.inf, None
    for number, time in due:
        if missed is not None and free < time:  # a CronJob's newest missed start takes place as soon as it may
            runs.append(play(flow, key, names, missed, free + 1.0))
            free, missed = runs[-1].end or free, None
        if time < free and flow.meets == "Forbid":
            missed = number if flow.engine == "cronjob" else None
            continue
        runs.append(play(flow, key, names, number, time, flow.crowding if time < free else 1.0))
        free = max(free, runs[-1].end or free)
    return _cut(runs, Outcome.FAILED if flow.engine == "cron" else Outcome.UNKNOWN) if flow.meets == "Replace" else runs


def _cut(runs: list[RunRecord], outcome: Outcome) -> list[RunRecord]:
    """Truncate runs that end when the next one is due: Argo stops them, and their pods fail; a CronJob deletes them, and
    their outcome is unknown."""
    reason = "Error" if outcome is Outcome.FAILED else None
    found = []
    for run, after in zip_longest(runs, runs[1:]):
        cut = after.start if after is not None else None
        if cut is None or (run.end or 0.0) <= cut:
            found.append(run)
            continue
        rows = tuple(
            e if (e.finished or 0.0) <= cut else replace(e, finished=cut, outcome=outcome, reason=reason)
            for e in run.steps
            if (e.started or 0.0) < cut
        )
        found.append(replace(run, end=cut, outcome=outcome, steps=rows))
    return found


def play(
    flow: Flow, key: WorkflowKey, names: dict[str, str], number: int, start: float, crowding: float = 1.0
) -> RunRecord:
    """Simulate one run."""
    rng = np.random.default_rng((flow.seed, number))
    hour = start % DAY / HOUR
    weekend = int(start // DAY + 3) % 7 >= 5
    size = gamma(flow.noise, float(rng.standard_normal()))
    size *= crowding * (1.0 + flow.daily * math.sin(2 * math.pi * hour / 24.0)) * (1.0 - flow.weekly * weekend)
    run = _Run(RunOfPods(flow, number, start, size, names))
    end = _schedule(run)
    outcome = Outcome.FAILED if run.failed else Outcome.SUCCEEDED
    run.rows.sort(key=lambda e: (e.created or 0.0, e.uid or ""))
    return RunRecord(
        key, f"{flow.name}-{number}", start, end, outcome, Source.HISTORY, tuple(run.rows), fingerprint="f"
    )


def _schedule(run: _Run) -> float:
    """Simulate the steps in the order in which pods become ready; returns the end of the last pod."""
    flow, start = run.of_pods.flow, run.of_pods.start
    open_ = {s.name: s.items for s in flow.steps}
    ready_at = {s.name: start for s in flow.steps}
    missing = {s.name: set(s.after) for s in flow.steps}
    slots = [start] * (flow.parallelism or 10_000 if flow.parallelism else 1)
    room = [start] * (flow.capacity or 1)
    locks: dict[str, float] = {}
    creator, last = start, start
    order = {s.name: i for i, s in enumerate(flow.steps)}
    queue: list[tuple[float, int, int, int]] = []
    for s in flow.steps:
        if not s.after:
            for item in range(s.items):
                heapq.heappush(queue, (start + 1.0, order[s.name], item, 0))
    while queue:
        ready, at, item, attempt = heapq.heappop(queue)
        step = flow.steps[at]
        created = max(ready, heapq.heappop(slots)) if flow.parallelism else ready
        created = max(created, creator, locks.get(step.lock, 0.0) if step.lock else 0.0)
        creator = created + 0.05
        free = max(created, heapq.heappop(room)) if flow.capacity else created
        execution = execute(
            run.of_pods, at, item, attempt, ready_at[step.name] if attempt == 0 else ready, created, free
        )
        run.rows.append(execution)
        finished = execution.finished or created
        gone = finished + step.sidecar_late
        if flow.parallelism:
            heapq.heappush(slots, gone)
        if flow.capacity:
            heapq.heappush(room, gone)
        if step.lock:
            locks[step.lock] = gone
        last = max(last, gone)
        if execution.outcome is Outcome.FAILED:
            if attempt < step.retries:
                heapq.heappush(queue, (finished + 10.0, at, item, attempt + 1))
            else:
                run.failed = True
            continue
        open_[step.name] -= 1
        for other in flow.steps:
            if other.pipelined and step.name in other.after:
                heapq.heappush(queue, (gone + 0.5, order[other.name], item, 0))
        ready_at.update({s.name: max(ready_at[s.name], gone) for s in flow.steps if step.name in s.after})
        if open_[step.name] == 0:
            for other in flow.steps:
                missing[other.name].discard(step.name)
                if step.name in other.after and not missing[other.name] and not other.pipelined:
                    for k in range(other.items):
                        heapq.heappush(queue, (ready_at[other.name] + 0.5, order[other.name], k, 0))
    return last
