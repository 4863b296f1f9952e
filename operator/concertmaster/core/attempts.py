"""Which of several executions of one step and item came last."""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core.model import StepExecution


def begin(e: StepExecution) -> float:
    """Begin of an execution in unix seconds, as exactly as known; infinity if unknown, so that it sorts last."""
    created, scheduled, started, finished = e.created, e.scheduled, e.started, e.finished
    first = math.inf if created is None else created
    if scheduled is not None and scheduled < first:
        first = scheduled
    if started is not None and started < first:
        first = started
    return finished if finished is not None and finished < first else first


def last_attempts(executions: Sequence[StepExecution]) -> Sequence[StepExecution]:
    """The last attempt of every step and item; of two that began at once, the one that ended later."""
    if len({(e.step, e.item) for e in executions}) == len(executions):
        return executions
    last: dict[tuple[str, str | None], StepExecution] = {}
    for e in executions:
        known = last.get((e.step, e.item))
        if known is None or _place(e) > _place(known):
            last[e.step, e.item] = e
    return list(last.values())


def _place(e: StepExecution) -> tuple[int, float, float, str]:
    return e.attempt, begin(e), math.inf if e.finished is None else e.finished, e.uid or ""
