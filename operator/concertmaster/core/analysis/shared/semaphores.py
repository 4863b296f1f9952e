"""Sufficient size of a semaphore for the runs of one workflow: its past replayed as a queue with more places.

Each execution holds the semaphore from the start of its pod to its end. With first come, first served, request times and
holding times determine the waits for any size. Where the current size does not explain the observed waits, other workflows
hold the semaphore too, and no size can be derived from these runs.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from concertmaster.core.model import Outcome, RunRecord

MAX_PLACES = 1000  # places
_TOLERATED_WAIT_SHARE = 0.05  # tolerated remaining share of the current wait
_EXPLAINED = 0.5  # share of the observed wait that the current size must explain


@dataclass(frozen=True, slots=True)
class SemaphoreUse:
    """One execution that needed the semaphore: when it could have begun, how long it waited beyond the usual delay, and how
    long it held the semaphore; seconds. ``place``: of the execution among the steps of its ``run``."""

    asked: float
    waited: float
    held: float
    run: str = ""
    place: int = 0


@dataclass(frozen=True, slots=True)
class EnoughPlaces:
    """``size``: the smallest with (almost) no wait; ``left``: mean wait (s) with it, ``now``: with the current size;
    ``saved``: by run and place in its steps, the seconds by which the wait of an execution is shorter."""

    size: int
    now: float
    left: float
    saved: Mapping[str, Mapping[int, float]]


def holdings(runs: Iterable[RunRecord], steps: frozenset[str], usual: float) -> list[SemaphoreUse]:
    """Executions of ``steps`` that held the semaphore; ``usual``: seconds from ready to created without any lock."""
    rows = []
    for run in runs:
        for place, e in enumerate(run.steps):
            if e.step not in steps or e.ready is None or e.created is None or e.finished is None or e.attempt:
                continue
            if e.outcome in (Outcome.SKIPPED, Outcome.CACHED):
                continue
            waited = max(0.0, e.created - e.ready - usual)
            rows.append(SemaphoreUse(e.ready, waited, max(0.0, e.finished - e.created), run.run, place))
    return sorted(rows, key=lambda h: h.asked)


def waits(rows: Sequence[SemaphoreUse], size: int) -> list[float]:
    """Wait of each in seconds with ``size`` places."""
    free = [float("-inf")] * size
    found = []
    for row in rows:
        begin = max(row.asked, heapq.heappop(free))
        found.append(begin - row.asked)
        heapq.heappush(free, begin + row.held)
    return found


def mean_wait(rows: Sequence[SemaphoreUse], size: int) -> float:
    """Mean wait in seconds with ``size`` places."""
    return sum(waits(rows, size)) / len(rows) if rows else 0.0


def enough_places(rows: Sequence[SemaphoreUse], size: int, most: int) -> EnoughPlaces | None:
    """The smallest size (at most ``most``) with almost no wait; None where more places would not help these runs, or other
    workflows hold the semaphore."""
    if most <= size:
        return None
    seen = sum(row.waited for row in rows) / len(rows) if rows else 0.0
    now = mean_wait(rows, size)
    if seen <= 0.0 or now < _EXPLAINED * seen:
        return None
    low, high = size + 1, max(size + 1, min(most, size + len(rows)))
    least = mean_wait(rows, high)
    if least >= now:
        return None
    enough = high
    if least <= _TOLERATED_WAIT_SHARE * now:
        enough = low + bisect_left(
            range(low, high), True, key=lambda n: mean_wait(rows, n) <= _TOLERATED_WAIT_SHARE * now
        )
    return EnoughPlaces(enough, now, mean_wait(rows, enough), _saved(rows, size, enough))


def _saved(rows: Sequence[SemaphoreUse], size: int, more: int) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for row, before, after in zip(rows, waits(rows, size), waits(rows, more), strict=True):
        found.setdefault(row.run, {})[row.place] = min(row.waited, before - after)
    return found
