"""A scenario whose steps wait for a semaphore, as in Argo: a waiting step begins when a holder has ended."""

from __future__ import annotations

import heapq
from dataclasses import replace

from concertmaster.core.model import RunRecord
from tests.support.core.scenario_builder import Scenario, argo, noise, scenario, task

LOCK = {"synchronization": {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "db"}}]}}
HOLDERS = ("b", "c", "d", "e")


def waiting_scenario(size: int, runs: int = 20, beside: float = 0.0) -> Scenario:
    """``a``, then four steps of about 300 s that need the semaphore ``limits/db`` of this size, then ``z``; ``beside``:
    seconds of one more step between these, which needs none."""
    value = noise()
    others = ("f",) if beside else ()
    tasks = [task("a"), *(task(name, "a") for name in (*HOLDERS, *others)), task("z", *HOLDERS, *others)]
    of = argo(*tasks, templates=dict.fromkeys(HOLDERS, LOCK))
    works = {"a": 60.0, **dict.fromkeys(HOLDERS, 300.0), **dict.fromkeys(others, beside), "z": 60.0}
    plain = scenario(of, runs, lambda _: {name: value(seconds) for name, seconds in works.items()})
    return replace(plain, runs=tuple(_queued(r, size) for r in plain.runs))


def _queued(run: RunRecord, size: int) -> RunRecord:
    free = [float("-inf")] * size
    rows = []
    before = after = 0.0  # when the last step but z ended, and now ends
    for e in run.steps:
        assert e.created is not None
        assert e.finished is not None
        by = after - before if e.step == "z" else 0.0
        if e.step in HOLDERS:
            by = max(0.0, heapq.heappop(free) - e.created)
            heapq.heappush(free, e.finished + by)
        if e.step != "z":
            before, after = max(before, e.finished), max(after, e.finished + by)
        moved = {n: (getattr(e, n) or 0.0) + by for n in ("created", "scheduled", "started", "finished")}
        rows.append(replace(e, **moved, ready=e.ready if e.step != "z" else (e.ready or 0.0) + by))
    return replace(run, steps=tuple(rows), end=(run.end or 0.0) + after - before)
