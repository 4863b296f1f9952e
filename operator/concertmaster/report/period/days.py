"""A report out of daily rows: what ran in the period itself, which may be longer than any analysis window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from concertmaster.api.views.fleet import MonthRow, WorkflowRow
from concertmaster.core.analysis.daily.rows import combine
from concertmaster.core.model.daily import DailyRow
from concertmaster.core.times import month
from concertmaster.core.units import DAY, HOUR, MONTH
from concertmaster.report.workflows.fleet import FleetView

Days = Mapping[tuple[str, str], Sequence[DailyRow]]
"""Rows of whole runs by namespace and name of the profile."""


def within(days: Days, since: float, until: float) -> dict[tuple[str, str], list[DailyRow]]:
    """The days of a period (unix seconds), the one in which it begins included; workflows without any are left out."""
    first = since // DAY
    kept = {name: [r for r in rows if r.day >= first and r.start < until] for name, rows in days.items()}
    return {name: rows for name, rows in kept.items() if rows}


def counted(view: FleetView, days: Days, since: float, until: float) -> FleetView:
    """The same workflows with the figures of the period, where there are rows. Rates are those from the first day with a
    row on: the workflow or its history may be younger than the period."""
    made = replace(view)
    made.__dict__["rows"] = [
        _of_period(row, days.get((row.namespace, row.profile), ()), since, until) for row in view.rows
    ]
    made.__dict__["change_rows"] = view.change_rows
    return made


def _of_period(row: WorkflowRow, days: Sequence[DailyRow], since: float, until: float) -> WorkflowRow:
    whole = combine(days)
    if whole is None or not whole.count:
        return row
    span = max(DAY, until - max(since, min(r.start for r in days)))
    return row.model_copy(
        update={
            "runs": whole.count,
            "failed_runs": whole.failed,
            "success_percent": round(100.0 * whole.success, 1) if whole.success is not None else None,
            "p50_seconds": whole.p50,
            "p95_seconds": whole.p95,
            "runs_per_month": whole.count / span * MONTH,
            "cost_per_run": whole.cost / whole.count if whole.cost is not None else None,
            "cost_per_month": whole.cost / span * MONTH if whole.cost is not None else None,
            "queueing_seconds": whole.queue / whole.count if whole.queue is not None else None,
        }
    )


def months(view: FleetView, days: Days) -> tuple[MonthRow, ...]:
    """All workflows by calendar month, oldest first."""
    currency = {(r.namespace, r.profile): r.currency or "USD" for r in view.rows}
    by_month: dict[str, list[tuple[str, tuple[str, str], DailyRow]]] = {}
    for name, rows in days.items():
        for row in rows:
            if row.count:
                label = month(row.start)
                by_month.setdefault(label, []).append((currency.get(name, "USD"), name, row))
    return tuple(_month(label, of_month) for label, of_month in sorted(by_month.items()))


def _month(label: str, rows: Sequence[tuple[str, tuple[str, str], DailyRow]]) -> MonthRow:
    cost: dict[str, float] = {}
    wasted: dict[str, float] = {}
    for unit, _, row in rows:
        for sums, amount in ((cost, row.cost), (wasted, row.wasted)):
            if amount is not None:
                sums[unit] = sums.get(unit, 0.0) + amount
    succeeded, failed = sum(r.succeeded for *_, r in rows), sum(r.failed for *_, r in rows)
    return MonthRow(
        month=label,
        workflows=len({name for _, name, _ in rows}),
        runs=sum(r.count for *_, r in rows),
        success_percent=round(100.0 * succeeded / (succeeded + failed), 1) if succeeded + failed else None,
        cost=dict(sorted(cost.items())),
        wasted_cost=dict(sorted(wasted.items())),
        queueing_hours=sum(r.queue or 0.0 for *_, r in rows) / HOUR,
    )
