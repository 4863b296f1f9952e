"""A scenario whose steps wait for a semaphore, as in Argo: a waiting step begins when a holder has ended."""

from __future__ import annotations

import heapq
from dataclasses import replace

from concertmaster.core.model import RunRecord
from tests.support.core.scenario_builder import Scenario, argo, noise, scenario, task

LOCK = {"synchronization": {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "db"}}]}}
HOLDERS = ("b", "c", "d", "e")


def waiting_scenario(size: int, runs: int = 20) -> Scenario:
    """``a``, then four steps of about 300 s that need the semaphore ``limits/db`` of this size, then ``z``."""
    value = noise()
    tasks = [task("a"), *(task(name, "a") for name in HOLDERS), task("z", *HOLDERS)]
    of = argo(*tasks, templates=dict.fromkeys(HOLDERS, LOCK))
    plain = scenario(of, runs, lambda _: {"a": value(60), **{n: value(300) for n in HOLDERS}, "z": value(60)})
    return replace(plain, runs=tuple(_queued(r, size) for r in plain.runs))


def _queued(run: RunRecord, size: int) -> RunRecord:
    free = [float("-inf")] * size
    rows = []
    late = 0.0
    for e in run.steps:
        assert e.created is not None
        assert e.finished is not None
        if e.step in HOLDERS:
            by = max(0.0, heapq.heappop(free) - e.created)
            heapq.heappush(free, e.finished + by)
            late = max(late, by)
        else:
            by = late if e.step == "z" else 0.0
        moved = {n: (getattr(e, n) or 0.0) + by for n in ("created", "scheduled", "started", "finished")}
        rows.append(replace(e, **moved, ready=e.ready if e.step != "z" else (e.ready or 0.0) + by))
    return replace(run, steps=tuple(rows), end=(run.end or 0.0) + late)
