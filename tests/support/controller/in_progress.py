"""Earlier runs of the bed's CronJob, and its runs in progress."""

from __future__ import annotations

from concertmaster.core.model import Outcome, RunRecord, StepExecution, WorkflowKey
from tests.support.builders import NOW, run_record

KEY = WorkflowKey("demo", "CronJob", "etl")
HOUR = 3600.0


def ended(number: int, seconds: float = 1800.0) -> RunRecord:
    """A run of ``seconds`` that ended more than ``number`` hours ago."""
    at = NOW - (number + 2) * HOUR
    step = StepExecution("job", pod=f"p{number}", created=at, finished=at + seconds, outcome=Outcome.SUCCEEDED)
    return run_record((step,), workflow=KEY, run=f"etl-{number}", start=at, end=at + seconds)


def going(since: float, name: str = "etl-now") -> RunRecord:
    """A run that began ``since`` seconds ago."""
    at = NOW - since
    step = StepExecution("job", pod=name, created=at, outcome=Outcome.RUNNING)
    return run_record((step,), workflow=KEY, run=name, start=at, end=None, outcome=Outcome.RUNNING)
