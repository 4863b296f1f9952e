"""Step executions as stored in the history."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.model import Outcome, StepExecution, WorkflowKey

KEY = WorkflowKey("data", "WorkflowTemplate", "etl")


def ran(uid: str, at: float = 0.0, step: str = "a", **fields: object) -> StepExecution:
    base = StepExecution(
        step, uid=uid, pod=f"pod-{uid}", created=at, started=at + 1, finished=at + 10, outcome=Outcome.SUCCEEDED
    )
    return replace(base, **fields)  # type: ignore[arg-type]
