"""Runs in progress with the forecasts of a status, and schedules whose next run is overdue."""

from __future__ import annotations

from concertmaster.api.views.fleet import RunningRow
from concertmaster.report.workflows.fields import Raw, entries, mapping, moment, named, seconds_of, text_of

_TIMES = {
    "deadline": "deadline",
    "started": "startTime",
    "expected_end": "expectedEnd",
    "earliest_end": "earliestEnd",
    "latest_end": "latestEnd",
}
_MIN_OVERDUE = 1800.0  # seconds that a scheduled run may be overdue


def running_rows(profile: Raw) -> list[RunningRow]:
    """Its runs in progress, in the order of the status: late ones first."""
    return [
        RunningRow(
            **named(profile),
            run=str(run.get("name") or ""),
            late=run.get("late") is True,
            step=text_of(run.get("step")),
            **{field: _time(run.get(key)) for field, key in _TIMES.items()},
        )
        for run in entries(mapping(profile, "status"), "running")
    ]


def _time(value: object) -> str | None:
    """A time of a status; None for anything else."""
    return str(value) if moment(value) is not None else None


def late_since(profile: Raw, now: float) -> float | None:
    """Since when the next scheduled run is overdue (unix seconds): its time has passed by more than half an hour or the
    usual duration of a run, and data reaches beyond that."""
    status = mapping(profile, "status")
    due = moment(mapping(status, "runs").get("nextExpected"))
    if due is None:
        return None
    usual = seconds_of(mapping(status, "summary").get("p95")) or 0.0
    limit, until = due + max(_MIN_OVERDUE, usual), moment(status.get("dataUntil"))
    return due if limit < now and (until is None or until > limit) else None
