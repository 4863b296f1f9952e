"""Runs that were retried after they had ended, known by their pods alone.

``argo retry`` continues a run in place: the controller forgets the nodes that failed and everything after them, and creates
their pods again under the same names. As in the status of the run, these replace the earlier ones, and the time between is
no time of the run.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from concertmaster.core.model import StepExecution
from concertmaster.engines.common.ordering import begin

Pause = tuple[float, float]
"""From the end of the last pod to the creation of the first one of the retry, in unix seconds."""


def pauses(executions: Sequence[StepExecution]) -> tuple[Pause, ...]:
    """The times between the attempts at one run, in order; empty for a run that was not retried."""
    if len({e.pod for e in executions}) == len(executions):
        return ()
    ordered = sorted(executions, key=lambda e: (begin(e), e.uid or ""))
    known: dict[str | None, int] = {}
    found: list[Pause] = []
    since = float("-inf")
    for place, e in enumerate(ordered):
        earlier = known.get(e.pod) if e.pod is not None else None
        if earlier is not None and ordered[earlier].uid != e.uid and begin(ordered[earlier]) >= since:
            pause = _longest(ordered, earlier, place)
            if pause is not None:
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


def _longest(ordered: Sequence[StepExecution], after: int, until: int) -> Pause | None:
    """The longest time in which nothing ran between two pods of one name; None if something always did."""
    best: Pause | None = None
    latest = float("-inf")
    for place, e in enumerate(ordered[: until + 1]):
        if place > after and begin(e) >= latest and (best is None or begin(e) - latest > best[1] - best[0]):
            best = (latest, begin(e))
        latest = max(latest, e.finished if e.finished is not None else float("inf"))
    return best
