"""Shared by rules on waiting: the hour that stands out, and the requests of a pod."""

from __future__ import annotations

from collections.abc import Iterable

from concertmaster.core import text
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.known import median

_FEWEST = 3  # waits required in an hour


def worst_hour(waits: Iterable[tuple[float, float]]) -> int | None:
    """The hour of the day (UTC) with the longest waits, from (unix seconds, seconds waited) pairs; None unless it is twice
    as long as the others."""
    by_hour: dict[int, list[float]] = {}
    for moment, seconds in waits:
        by_hour.setdefault(int(moment % 86400 // 3600), []).append(seconds)
    medians = {h: median(v) or 0.0 for h, v in by_hour.items() if len(v) >= _FEWEST}
    if len(medians) < 2:
        return None
    worst = max(medians, key=medians.__getitem__)
    rest = median([v for h, v in medians.items() if h != worst]) or 0.0
    return worst if medians[worst] >= 2 * max(rest, 1.0) else None


def pod_requests(step: StepAnalysis) -> str:
    """CPU and memory requests of a pod of the step, as text; empty without either."""
    cores = sum(c.cpu_request or 0.0 for c in step.containers)
    memory = sum(c.memory_request or 0.0 for c in step.containers)
    return " and ".join([*([text.cores(cores)] if cores else []), *([text.memory(memory)] if memory else [])])
