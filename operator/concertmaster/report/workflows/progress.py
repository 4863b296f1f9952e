"""Runs in progress with the forecasts of a status, and schedules whose next run is overdue."""

from __future__ import annotations

from collections.abc import Mapping

from concertmaster.api.views.fleet import RunningRow
from concertmaster.report.workflows.fields import Raw, full_name, moment, seconds_of, workflow_name

_TIMES = {
    "started": "startTime",
    "expected_end": "expectedEnd",
    "earliest_end": "earliestEnd",
    "latest_end": "latestEnd",
}
_MIN_OVERDUE = 1800.0  # seconds that a scheduled run may be overdue


def running_rows(profile: Raw) -> list[RunningRow]:
    """Its runs in progress, in the order of the status: late ones first."""
    namespace, name = full_name(profile)
    status = profile.get("status")
    running = status.get("running") if isinstance(status, Mapping) else None
    return [
        RunningRow(
            namespace=namespace,
            profile=name,
            workflow=workflow_name(profile),
            run=str(run.get("name") or ""),
            late=run.get("late") is True,
            step=str(run["step"]) if run.get("step") else None,
            deadline=_time(run.get("deadline")),
            **{field: _time(run.get(key)) for field, key in _TIMES.items()},
        )
        for run in (running if isinstance(running, list) else ())
        if isinstance(run, Mapping)
    ]


def _time(value: object) -> str | None:
    """A time of a status; None for anything else."""
    return str(value) if moment(value) is not None else None


def late_since(profile: Raw, now: float) -> float | None:
    """Since when the next scheduled run is overdue (unix seconds): its time has passed by more than half an hour or the
    usual duration of a run, and data reaches beyond that."""
    status = profile.get("status")
    if not isinstance(status, Mapping):
        return None
    runs, summary = status.get("runs"), status.get("summary")
    due = moment(runs.get("nextExpected")) if isinstance(runs, Mapping) else None
    if due is None:
        return None
    usual = (seconds_of(summary.get("p95")) if isinstance(summary, Mapping) else None) or 0.0
    limit, until = due + max(_MIN_OVERDUE, usual), moment(status.get("dataUntil"))
    return due if limit < now and (until is None or until > limit) else None
