"""What starts a workflow by a schedule, and how late it may."""

from __future__ import annotations

import math

from concertmaster.core.model import Scheduler, WorkflowDefinition


def scheduler_of(definition: WorkflowDefinition) -> Scheduler | None:
    """The object that starts the workflow by a schedule: another one, or the workflow itself."""
    if definition.scheduler is not None:
        return definition.scheduler
    own = "schedule" in definition.declared or "schedules" in definition.declared
    return Scheduler(definition.key.kind, definition.key.name, definition.declared) if own else None


def late_within(definition: WorkflowDefinition) -> float | None:
    """Seconds after which a start that ``concurrencyPolicy: Forbid`` held back may still take place, as the run in progress
    ends; None where starts do not wait for it. Controllers differ where ``startingDeadlineSeconds`` is not set."""
    by = scheduler_of(definition)
    if by is None or by.declared.get("concurrencyPolicy") != "Forbid":
        return None
    deadline = by.declared.get("startingDeadlineSeconds")
    if isinstance(deadline, int | float):
        return float(deadline)
    return math.inf if definition.engine.starts_late else 0.0
