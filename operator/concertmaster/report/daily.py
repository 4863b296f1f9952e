"""Daily rows as plain data, and put together by month as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from concertmaster.core import text
from concertmaster.core.analysis.daily.rows import combine
from concertmaster.core.model.daily import RUN, Baseline, DailyRow, RecommendationOutcome
from concertmaster.core.times import day, format_time, month, parse_time
from concertmaster.core.units import DAY
from concertmaster.report.tables import cell, table
from concertmaster.report.view import View, number

MONTHS = 13
RECENT_DAYS = 14  # that are compared with the baseline


def view(
    rows: Sequence[DailyRow],
    step: str,
    baseline: Baseline | None = None,
    adoptions: Sequence[RecommendationOutcome] = (),
) -> View:
    """What is served of a workflow (``step`` empty) or of a step."""
    first = None
    if baseline is not None:
        first = {
            "at": format_time(baseline.at),
            "runs": baseline.runs,
            "p50Seconds": number(baseline.p50),
            "p95Seconds": number(baseline.p95),
            "successRate": number(baseline.success, 4),
            "costPerRun": number(baseline.cost),
            "score": baseline.score,
        }
    return {
        "step": step,
        "timeZone": "UTC",
        "baseline": first,
        "adoptions": [
            {"id": a.recommendation, "state": a.state, "first": a.first, "since": a.since, "verdict": a.verdict}
            for a in adoptions
        ],
        "days": [_day(row) for row in rows],
    }


def adoptions(served: Sequence[Mapping[str, Any]]) -> list[RecommendationOutcome]:
    """What became of the recommendations that ``view`` served."""
    return [
        RecommendationOutcome(str(a["id"]), str(a["state"]), float(a["first"]), float(a["since"]), verdict=a["verdict"])
        for a in served
    ]


# Fields of a row by their names in what is served.
_COUNTS = {"runs": "count", "succeeded": "succeeded", "failed": "failed", "timed": "timed", "score": "score"}
_AMOUNTS = {"p50Seconds": "p50", "p95Seconds": "p95", "cost": "cost", "wastedCost": "wasted", "queueSeconds": "queue"}


def rows(days: Sequence[Mapping[str, Any]]) -> list[DailyRow]:
    """The rows of the workflow that ``view`` served."""
    names = _COUNTS | _AMOUNTS
    return [
        DailyRow(
            day=int(parse_time(str(d["day"])) // DAY),
            step=RUN,
            seconds=d["timed"] * (d["meanSeconds"] or 0.0),
            metrics=d.get("metrics") or {},
            **{field: d[key] for key, field in names.items()},
        )
        for d in days
    ]


def _day(row: DailyRow) -> View:
    return {
        "day": day(row.start),
        **{key: getattr(row, field) for key, field in _COUNTS.items()},
        **{key: number(getattr(row, field)) for key, field in _AMOUNTS.items()},
        "meanSeconds": number(row.mean),
        "metrics": {name: number(amount) for name, amount in row.metrics.items()},
    }


def by_month(rows: Sequence[DailyRow]) -> list[tuple[str, DailyRow]]:
    """The rows of each calendar month (UTC) as one, oldest first."""
    ordered = sorted(rows, key=lambda r: r.day)
    months = [(label, combine(same)) for label, same in groupby(ordered, key=lambda r: month(r.start))]
    return [(label, row) for label, row in months if row is not None]


def months(rows: Sequence[DailyRow]) -> tuple[list[str], list[list[str]]]:
    """The names of users' metrics in the newest months, and the cells of ``months_table``, which end with their sums."""
    shown = by_month(rows)[-MONTHS:]
    names = sorted({name for _, row in shown for name in row.metrics})
    return names, [
        [label, *_cells(row), *(cell(row.metrics.get(name), text.number) for name in names)] for label, row in shown
    ]


def months_table(rows: Sequence[DailyRow], currency: str) -> str:
    """The newest months, one line each; empty without rows."""
    header = ["MONTH", "RUNS", "SUCCESS", "P50", "P95", f"COST ({currency})", "UNUSED", "SCHEDULING LATENCY", "SCORE"]
    names, cells = months(rows)
    return table([*header, *names], cells) if cells else ""


def progress(baseline: Mapping[str, Any] | None, rows: Sequence[DailyRow], currency: str) -> str:
    """How the newest two weeks compare with the workflow as it was first seen; empty where either is unknown, or where they
    are not all after it: a workflow is not compared with itself."""
    ordered = sorted(rows, key=lambda r: r.day)
    if baseline is None or not ordered or ordered[-1].start < parse_time(str(baseline["at"])) + RECENT_DAYS * DAY:
        return ""
    now = combine([r for r in ordered if r.day > ordered[-1].day - RECENT_DAYS])
    if now is None:
        return ""
    cost = now.cost / now.count if now.cost is not None and now.count else None
    parts = [
        f"{name} {shown(before)} -> {shown(after)} ({round(100 * (after / before - 1)):+d}%{aim})"
        for name, before, after, shown, aim in (
            ("median duration", baseline.get("p50Seconds"), now.p50, text.duration, ", target -20 to -30%"),
            ("p95", baseline.get("p95Seconds"), now.p95, text.duration, ""),
            (
                "cost per run",
                baseline.get("costPerRun"),
                cost,
                lambda v: text.money(v, currency),
                ", target -15 to -25%",
            ),
        )
        if before and after is not None
    ]
    first = baseline.get("successRate")
    if first is not None and now.success is not None:
        parts.append(f"success {text.percent(first)} -> {text.percent(now.success)}")
    if not parts:
        return ""
    since = f"{str(baseline['at'])[:10]} ({text.count(int(baseline['runs']), 'run')})"
    return f"Since the baseline of {since}, last {RECENT_DAYS} days: {'; '.join(parts)}"


def _cells(row: DailyRow) -> list[str]:
    return [
        str(row.count),
        cell(row.success, text.percent),
        *(cell(v, text.duration) for v in (row.p50, row.p95)),
        *(cell(v, "{:.2f}".format) for v in (row.cost, row.wasted)),
        cell(row.queue, text.duration),
        cell(row.score, str),
    ]
