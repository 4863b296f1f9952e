"""Trends that reach beyond the runs at hand by means of daily rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from concertmaster.core.analysis.daily.rows import daily_rows
from concertmaster.core.analysis.daily.trends import extended
from concertmaster.core.analysis.periods import Period
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.trends import trends
from concertmaster.core.model import RunRecord
from concertmaster.core.model.policy import Pricing
from concertmaster.core.units import DAY
from tests.support.builders import run_record
from tests.support.data.history_rows import KEY, ran

FIRST = 19723  # 2024-01-01, a Monday
PRICES = Pricing()


def run_on(day: int, seconds: float) -> RunRecord:
    at = (FIRST + day) * DAY + 3600.0
    step = ran(str(day), at, started=at, finished=at + seconds)
    return run_record((step,), workflow=KEY, run=f"r{day}", start=at, end=at + seconds)


RUNS = [run_on(day, 100.0 + day) for day in range(40)]
ROWS = daily_rows(
    RUNS, PRICES, RunFigures(), covered=0.0, until=(FIRST + 40) * DAY, complete=None, recorded=0.0, score=None
)
SINCE, UNTIL = (FIRST + 30) * DAY, (FIRST + 40) * DAY
HELD = [r for r in RUNS if (r.end or 0.0) > SINCE]


def extend(period: Period) -> list[tuple[int, bool, float | None]]:
    seen = trends(HELD, period, UTC, since=SINCE, until=UNTIL)
    longer = extended(seen, ROWS, UTC, since=SINCE, until=UNTIL)
    assert longer.workflow.difference == seen.workflow.difference
    assert [b.total for b in longer.steps["a"].buckets] == [b.total for b in longer.workflow.buckets]
    return [
        (b.total, b.whole, (b.figures or {})["durationSeconds"].mean if b.total else None)
        for b in longer.workflow.buckets
    ]


def test_days_before_the_runs_come_from_the_rows() -> None:
    assert extend(Period.DAILY) == [(1, True, 100.0 + day) for day in range(40)]


def test_months_put_rows_and_runs_together() -> None:
    """January is half in the runs; the rows know all of it. February is not over."""
    assert extend(Period.MONTHLY) == [(31, True, 115.0), (9, False, 135.0)]


def test_weeks_covered_by_runs_stay_theirs() -> None:
    weeks = extend(Period.WEEKLY)
    assert [(count, whole) for count, whole, _ in weeks] == [(7, True)] * 5 + [(5, False)]


def test_hours_are_not_extended_and_nothing_changes_without_rows() -> None:
    for period, rows in ((Period.HOURLY, ROWS), (Period.DAILY, [])):
        seen = trends(HELD, period, UTC, since=SINCE, until=UNTIL)
        assert extended(seen, rows, UTC, since=SINCE, until=UNTIL) == seen


def test_days_without_a_row_after_the_first_had_no_run() -> None:
    rows = [r for r in ROWS if r.day not in (FIRST + 3, FIRST)]
    seen = trends(HELD, Period.DAILY, UTC, since=SINCE, until=UNTIL)
    days = extended(seen, rows, UTC, since=SINCE, until=UNTIL).workflow.buckets
    assert (days[0].start, days[0].total) == ((FIRST + 1) * DAY, 1)
    assert (days[2].known, days[2].whole, days[2].total) == (True, True, 0)


def test_unknown_outcomes_are_neither_success_nor_failure() -> None:
    rows = [replace(r, succeeded=0) for r in ROWS]
    seen = trends(HELD, Period.DAILY, UTC, since=SINCE, until=UNTIL)
    first = extended(seen, rows, UTC, since=SINCE, until=UNTIL).workflow.buckets[0]
    assert (first.total, first.unknown, first.success) == (1, 1, None)
