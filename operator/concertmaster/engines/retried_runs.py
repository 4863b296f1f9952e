"""Runs that were retried after they had ended, known by their pods alone.

``argo retry`` continues a run in place: the controller forgets the nodes that failed and everything after them, and creates
their pods again under the same names. As in the status of the run, these replace the earlier ones, and the time between is
no time of the run.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter

from concertmaster.core.attempts import begin
from concertmaster.core.model import StepExecution

Pause = tuple[float, float]
"""From the end of the last pod to the creation of the first one of the retry, in unix seconds."""

MAX_PAUSES = 100
"""Of one run: nobody retries a run more often."""


def pauses(executions: Sequence[StepExecution]) -> tuple[Pause, ...]:
    """The times between the attempts at one run, in order; empty for a run that was not retried."""
    if len({e.pod for e in executions}) == len(executions):
        return ()
    ordered = sorted(executions, key=lambda e: (begin(e), e.uid or ""))
    gaps = _gaps(ordered)
    known: dict[str | None, int] = {}
    found: list[Pause] = []
    since = float("-inf")
    for place, e in enumerate(ordered):
        earlier = known.get(e.pod) if e.pod is not None else None
        if earlier is not None and ordered[earlier].uid != e.uid and begin(ordered[earlier]) >= since:
            pause = _longest(gaps, earlier, place)
            if pause is not None and len(found) < MAX_PAUSES:
                found.append(pause)
                since = pause[1]
        known[e.pod] = place
    return tuple(found)


def remaining(executions: Sequence[StepExecution], between: Sequence[Pause]) -> list[StepExecution]:
    """The executions that no retry replaced: of each step and item those of its last attempt at the run, and of the pods
    of one name the last one."""
    if not between and len({e.pod for e in executions}) == len(executions):
        return list(executions)
    starts = [pause[1] for pause in between]
    part = {id(e): bisect_right(starts, begin(e)) for e in executions}
    last: dict[tuple[str, str | None], int] = {}
    newest: dict[str, float] = {}
    for e in executions:
        key = (e.step, e.item)
        last[key] = max(last.get(key, 0), part[id(e)])
        if e.pod is not None:
            newest[e.pod] = max(newest.get(e.pod, float("-inf")), begin(e))
    return [
        e for e in executions if part[id(e)] == last[e.step, e.item] and (e.pod is None or begin(e) == newest[e.pod])
    ]


def _gaps(ordered: Sequence[StepExecution]) -> list[tuple[int, Pause]]:
    """The times in which nothing ran, each with the place of the pod that ended it."""
    gaps: list[tuple[int, Pause]] = []
    latest = float("-inf")
    for place, e in enumerate(ordered):
        first = begin(e)
        if first >= latest:
            gaps.append((place, (latest, first)))
        latest = max(latest, e.finished if e.finished is not None else float("inf"))
    return gaps


def _longest(gaps: Sequence[tuple[int, Pause]], after: int, until: int) -> Pause | None:
    """The longest time in which nothing ran between two pods of one name; None if something always did."""
    low, high = (bisect_right(gaps, place, key=itemgetter(0)) for place in (after, until))
    return max((pause for _, pause in gaps[low:high]), key=lambda pause: pause[1] - pause[0], default=None)
