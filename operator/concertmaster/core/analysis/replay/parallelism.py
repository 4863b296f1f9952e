"""The smallest sufficient number of concurrent pods.

More parallelism shortens a run until something else limits it: the longest path, the nodes, a lock. Beyond that it only
adds queueing and contention, so the goal is the smallest limit that is almost as good as none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from concertmaster.core.analysis.replay.change import replay
from concertmaster.core.analysis.replay.run import ExecutedRun
from concertmaster.core.analysis.replay.whatif import WhatIf

TOLERANCE = 0.02  # 2% above the best is within the usual variation of a run


@dataclass(frozen=True, slots=True)
class EnoughParallelism:
    """The smallest ``limit`` whose replayed makespan is within the tolerance of the best.

    ``best``: mean makespan without any limit; ``now``: with the current ones; seconds. ``width``: the most pods that could
    ever run concurrently. None when no run can be replayed or nothing runs concurrently.
    """

    limit: int | None
    best: float | None
    now: float | None
    width: int


def enough_parallelism(runs: Sequence[ExecutedRun], scopes: Sequence[str | None]) -> EnoughParallelism:
    """The smallest limit that costs at most ``TOLERANCE`` (a share of time) where all of these ``scopes`` have it: a step,
    or the run (None)."""
    usable = [run for run in runs if run.usable]
    width = max((_width(run, scope) for run in usable for scope in scopes), default=0)
    if not usable:
        return EnoughParallelism(None, None, None, 0)
    now = sum(run.replayed for run in usable) / len(usable)
    if width < 2:
        return EnoughParallelism(None, None, now, width)

    def change(limit: int | None) -> WhatIf:
        return WhatIf(parallelism=tuple((scope, limit) for scope in scopes))

    best = sum([replay(run, change(None)) for run in usable]) / len(usable)
    return EnoughParallelism(smallest_limit(usable, change, width, best * (1.0 + TOLERANCE)), best, now, width)


def smallest_limit(
    runs: Sequence[ExecutedRun], change: Callable[[int], WhatIf], width: int, most: float, free: WhatIf | None = None
) -> int:
    """The smallest limit below ``width``, else that, whose ``change`` replays the runs within ``most`` seconds on average.
    ``free``: what of the change is not about limits.

    Bisection assumes that the makespan falls as the limit rises (Graham's anomalies are rare and small). Where the runs so
    far say that a limit is too small, whatever it does to the others, these are not replayed.
    """
    changed = free or WhatIf()
    least = [replay(replace(run, limits=()), changed) for run in runs]  # no limit makes a run any shorter
    enough = most * len(runs) * (1.0 + 1e-9)

    def suffices(limit: int) -> bool:
        makespans: list[float] = []
        left = sum(least)
        for run, shortest in zip(runs, least, strict=True):
            makespans.append(replay(run, change(limit)))
            left += makespans[-1] - shortest
            if left > enough:
                return False
        return sum(makespans) / len(runs) <= most

    return 1 + bisect_left(range(1, width), True, key=suffices)


def _width(run: ExecutedRun, step: str | None) -> int:
    if step is not None:
        return len(run.chains_of(step))
    return sum(len(chains) for chains in run.chains)
