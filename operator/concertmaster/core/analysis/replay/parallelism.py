"""How many pods at a time are enough.

More parallelism shortens a run until something else holds it up: the longest path, the nodes, a lock. Beyond that point
it only makes pods wait and neighbours suffer, so the aim is the smallest limit that is almost as good as none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core.analysis.replay.change import replay
from concertmaster.core.analysis.replay.executed import prepare
from concertmaster.core.analysis.replay.run import ExecutedRun
from concertmaster.core.analysis.replay.whatif import WhatIf
from concertmaster.core.model import RunRecord, WorkflowGraph

TOLERANCE = 0.02  # a run 2% longer than the best cannot be distinguished from it by its usual spread


@dataclass(frozen=True, slots=True)
class EnoughParallelism:
    """The smallest ``limit`` whose replay is within the tolerance of the best one.

    ``best``: mean makespan without any limit; ``now``: as the runs are; seconds. ``width``: the most pods that could ever
    run side by side. None when no run can be replayed or nothing runs side by side.
    """

    limit: int | None
    best: float | None
    now: float | None
    width: int


def enough_parallelism(
    runs: Sequence[RunRecord | ExecutedRun],
    graph: WorkflowGraph,
    step: str | tuple[str | None, ...] | None = None,
    tolerance: float = TOLERANCE,
) -> EnoughParallelism:
    """The smallest limit, of the run or of one fan-out ``step``, that costs at most ``tolerance`` (a share of time).

    A tuple sets several limits alike: those of several steps, or (None, step) where one field limits both.

    Makespan is taken as falling in the limit (Graham's anomalies are rare and small), so bisection finds it.
    """
    usable = [run for run in prepare(runs, graph) if run.usable]
    scopes = step if isinstance(step, tuple) else (step,)
    width = max((_width(run, scope) for run in usable for scope in scopes), default=0)
    if not usable:
        return EnoughParallelism(None, None, None, 0)
    now = sum(run.replayed for run in usable) / len(usable)
    if width < 2:
        return EnoughParallelism(None, None, now, width)

    def mean(limit: int | None) -> float:
        change = WhatIf(parallelism=tuple((scope, limit) for scope in scopes))
        return sum(replay(run, change) for run in usable) / len(usable)

    best = mean(None)
    limit = 1 + bisect_left(range(1, width), True, key=lambda n: mean(n) <= best * (1.0 + tolerance))
    return EnoughParallelism(limit, best, now, width)


def _width(run: ExecutedRun, step: str | None) -> int:
    if step is not None:
        return len(run.chains_of(step))
    return sum(len(chains) for chains in run.chains)
