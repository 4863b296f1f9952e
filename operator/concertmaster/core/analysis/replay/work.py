"""A run as bare work: tasks with durations and dependencies, the slots they ran on, and the makespan.

Used when individual start times are unknown or do not exist yet, as for a run to be forecast.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core.analysis.graph import MAX_SECONDS, levels, topological_order
from concertmaster.core.analysis.replay.run import ExecutedRun
from concertmaster.core.model import RunRecord


@dataclass(frozen=True, slots=True)
class Work:
    """One run. ``steps[i]``: step of task i; ``parents[i]``: tasks it waits for; ``durations[i]``: its seconds;
    ``inputs[i]``: its input in bytes (NaN: unknown). ``machines``: number of nodes, with ``slots`` cores in total (0:
    unknown). ``makespan`` in seconds; NaN for a run to be predicted."""

    workflow: str
    engine: str
    steps: Sequence[str]
    parents: Sequence[Sequence[int]]
    durations: Sequence[float]
    inputs: Sequence[float]
    machines: int
    slots: int
    makespan: float = math.nan


def depth(parents: Sequence[Sequence[int]]) -> int:
    """Number of tasks on the longest chain of dependencies."""
    return max(levels(parents), default=-1) + 1


def list_schedule(durations: Sequence[float], parents: Sequence[Sequence[int]], slots: int) -> float:
    """Makespan in seconds of greedy first-come-first-served scheduling on ``slots`` equal slots (0: no limit),
    without any overhead. Graham (1969): at most twice the optimum. NaN when the graph has a cycle."""
    order = topological_order(parents)
    if order.cyclic:
        return math.nan
    n = len(parents)
    spent = [d if 0.0 < d < MAX_SECONDS else 0.0 for d in durations]  # of a task that did not run it is not known
    missing = [len(above) for above in parents]
    ready = [(0.0, node) for node in order.order if not missing[node]]
    heapq.heapify(ready)
    since = [0.0] * n
    free = [0.0] * min(slots, n) if slots > 0 else [0.0] * n
    end = 0.0
    while ready:
        opened, node = heapq.heappop(ready)
        done = max(opened, free[0]) + spent[node]
        heapq.heapreplace(free, done)
        end = max(end, done)
        for child in order.children[node]:
            since[child] = max(since[child], done)
            missing[child] -= 1
            if not missing[child]:
                heapq.heappush(ready, (since[child], child))
    return end


def work_of(run: ExecutedRun, record: RunRecord, engine: str) -> Work:
    """An executed run as work: one task per fan-out item, its attempts summed. Items of a step wait for all items of the
    steps before it. ``record``: the record of the run; ``engine``: name of the engine."""
    nodes = {e.node for e in record.steps}
    machines = max(1, len(nodes) - (None in nodes))
    steps: list[str] = []
    parents: list[tuple[int, ...]] = []
    durations: list[float] = []
    inputs: list[float] = []
    last: list[tuple[int, ...]] = []
    for name, above, chains in zip(run.names, run.parents, run.chains, strict=True):
        before = tuple(dict.fromkeys(task for p in above for task in last[p]))
        mine = []
        for chain in chains:
            mine.append(len(steps))
            size = record.steps[chain[-1].source].input_size
            steps.append(name)
            parents.append(before)
            durations.append(sum(a.work for a in chain))
            inputs.append(math.nan if size is None else size)
        last.append(tuple(mine) or before)  # a step that did not run passes its dependencies on
    return Work(str(record.workflow), engine, steps, parents, durations, inputs, machines, 0, run.makespan)
