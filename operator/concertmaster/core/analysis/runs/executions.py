"""Executions of one run, grouped by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from concertmaster.core.model import Outcome, RunRecord, StepExecution

_ABSENT = frozenset({Outcome.SKIPPED, Outcome.CACHED, Outcome.RUNNING})

BySteps = Mapping[str, Sequence[StepExecution]]


class Executions(NamedTuple):
    """By step: executions that ``ran``, whatever their outcome; the ``succeeded`` among them; and the ``timed`` among those,
    whose duration is known."""

    ran: BySteps
    succeeded: BySteps
    timed: BySteps


def executions_by_step(run: RunRecord) -> Executions:
    """All three groups in one pass; equal groups share one object to save memory."""
    ran: dict[str, list[StepExecution]] = {}
    whole = known = True
    for e in run.steps:
        outcome = e.outcome
        if outcome in _ABSENT:
            continue
        if e.step in ran:
            ran[e.step].append(e)
        else:
            ran[e.step] = [e]
        if outcome is not Outcome.SUCCEEDED and outcome is not Outcome.ENDED:
            whole = False
        elif e.started is None or e.finished is None:
            known = False
    succeeded: BySteps = ran if whole else _those(ran, lambda e: e.outcome.timed)
    timed = succeeded if known else _those(succeeded, lambda e: e.started is not None and e.finished is not None)
    return Executions(ran, succeeded, timed)


def _those(rows: BySteps, chosen: Callable[[StepExecution], bool]) -> BySteps:
    selected = {step: [e for e in of_step if chosen(e)] for step, of_step in rows.items()}
    return {step: of_step for step, of_step in selected.items() if of_step}
