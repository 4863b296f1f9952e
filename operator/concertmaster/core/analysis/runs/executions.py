"""Executions of one run, grouped by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from concertmaster.core.attempts import last_attempts
from concertmaster.core.model import Outcome, RunRecord, StepExecution

ABSENT = frozenset({Outcome.SKIPPED, Outcome.CACHED, Outcome.RUNNING})


class RunExecutions(NamedTuple):
    """Executions of a step in the run of that name: those that ``ran``, whatever their outcome; the ``succeeded`` among
    them; and the ``timed`` among those, whose duration is known."""

    step: str
    run: str
    ran: Sequence[StepExecution]
    succeeded: Sequence[StepExecution]
    timed: Sequence[StepExecution]


def executions_by_step(run: RunRecord) -> list[RunExecutions]:
    """The steps of which anything ran, and their executions; equal groups share one object to save memory."""
    ran: dict[str, list[StepExecution]] = {}
    whole = known = True
    succeeded, ended = Outcome.SUCCEEDED, Outcome.ENDED
    for e in run.steps:
        outcome = e.outcome
        if outcome in ABSENT:
            continue
        if e.step in ran:
            ran[e.step].append(e)
        else:
            ran[e.step] = [e]
        if outcome is not succeeded and outcome is not ended:
            whole = False
        elif e.started is None or e.finished is None:
            known = False
    if whole and known:
        return [RunExecutions(step, run.run, rows, rows, rows) for step, rows in ran.items()]
    return [_run_executions(step, run.run, rows) for step, rows in ran.items()]


def unseen_at(run: RunRecord, step: str) -> bool:
    """Whether the run may have failed at the step: neither its end was seen, nor that the step succeeded."""
    if not run.unseen:
        return False
    ends = last_attempts([e for e in run.steps if e.step == step])
    return not ends or any(e.outcome is not Outcome.SUCCEEDED for e in ends)


def _run_executions(step: str, run: str, ran: list[StepExecution]) -> RunExecutions:
    succeeded = [e for e in ran if e.outcome.timed]
    timed = [e for e in succeeded if e.started is not None and e.finished is not None]
    return RunExecutions(step, run, ran, succeeded, timed)
