"""The forecast of demand for the next 72 hours beside what the pods then reserve."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.clusters.law import HOUR
from benchmarks.clusters.runs import Run
from concertmaster.core.rules import Fleet

HOURS = 72


@dataclass(frozen=True, slots=True)
class Forecast:
    """``hours``: of which demand is expected, or seen; ``within``: of them those with at most the 90th percentile that was
    forecast; ``expected`` and ``seen``: core-hours in all; ``absent``: hours with demand of which none was expected."""

    hours: int
    within: int
    absent: int
    expected: float
    seen: float


def forecast(fleet: Fleet, runs: Iterable[Run], now: float) -> Forecast:
    """The forecast at ``now`` (unix seconds) beside the ``runs`` that took place."""
    first = (math.floor(now / HOUR) + 1) * HOUR
    seen = _reserved(runs, first)
    hours = fleet.demand(now, HOURS).hours
    busy = [(hour, true) for hour, true in zip(hours, seen, strict=True) if hour.cores > 0.01 or true > 0.01]
    return Forecast(
        len(busy),
        sum(true <= hour.cores_high + 0.01 for hour, true in busy),
        sum(hour.cores <= 0.01 for hour, _ in busy),
        sum(hour.cores for hour in hours),
        sum(seen),
    )


def _reserved(runs: Iterable[Run], first: float) -> list[float]:
    """Mean cores in each hour from ``first`` on."""
    cores = [0.0] * HOURS
    for run in runs:
        for pod in run.pods:
            if pod.scheduled is None or pod.finished is None:
                continue
            for hour in range(max(0, int((pod.scheduled - first) // HOUR)), HOURS):
                low = first + hour * HOUR
                if low >= pod.finished:
                    break
                shared = min(pod.finished, low + HOUR) - max(pod.scheduled, low)
                cores[hour] += pod.step.cores * max(0.0, shared) / HOUR
    return cores
