"""The report over a period as Markdown and as a table for spreadsheets. ``--update-golden`` renews the files."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.api.views.fleet import PeriodReport
from concertmaster.core.model.daily import ROLLED_BACK, DailyRow, RecommendationOutcome
from concertmaster.core.times import parse_time
from concertmaster.core.units import DAY
from concertmaster.report.costs.groups import PricedWorkflow
from concertmaster.report.period.document import ReportScope, period_report
from concertmaster.report.period.render import document
from concertmaster.report.workflows.fleet import FleetView
from tests.support.golden import check
from tests.support.web.objects import change, profile, recommendation, result

NOW = parse_time("2027-01-31T01:00:00Z")


def day(back: int, count: int, failed: int, **more: Any) -> DailyRow:
    return DailyRow(int(NOW // DAY) - back, "", count, count - failed, failed, **more)


def quarter() -> PeriodReport:
    """Three months of a workflow with everything, of two copies of another, of one in a currency of its own, and of one that
    never ran."""
    slow = recommendation(
        id="degradation.search",
        action="Investigate regression in search",
        because="image 1 to 2",
        impact="3 run-hours, 2 failed runs a month",
        severity="High",
    )
    busy = profile(
        0,
        recommendations=[slow, recommendation()],
        results=[
            result(),
            result(id="timeout.load", action="Limit load", verdict="Worse", undone=True),
            result(id="right-size.load", action="Lower the CPU request of load", verdict=None, measured=None),
        ],
        insights=["Plan for 5 cores (demand-forecast)", "The next run will take about 21m04s"],
        objectives=["success: Missed, 80% (target >= 99%), degrading", "duration p95: Met, 7m11s (target <= 10m00s)"],
        caches=[
            {"name": "etl-cache", "lookups": 40, "hits": 30, "savedSeconds": 7200, "entries": 12, "stale": 2},
            {"name": "unused", "lookups": 0, "hits": 0, "savedSeconds": 0},
        ],
    )
    copies = [profile(1, namespace=place) for place in ("ml", "ml-test")]
    euro = profile(2, namespace="fin", recommendations=[recommendation(impact="4 EUR (3 to 5) a month")], score=None)
    fresh = profile(3, namespace="new") | {"status": {}}
    days = {
        ("etl", "nightly-0"): [
            day(62, 10, 4, cost=20.0, wasted=8.0, queue=7200.0, timed=10, seconds=6000.0, p50=600.0, p95=900.0),
            day(2, 40, 3, cost=30.0, wasted=2.5, queue=1800.0, timed=40, seconds=48_000.0, p50=1200.0, p95=2000.0),
        ],
        ("fin", "nightly-2"): [day(2, 5, 0, cost=7.0)],
        ("ml", "nightly-1"): [day(95, 9, 9)],
    }
    since = NOW - 90 * DAY
    outcomes = [
        RecommendationOutcome(f"timeout.{n}", state, NOW - first * DAY, NOW - changed * DAY, verdict=verdict)
        for n, (state, first, changed, verdict) in enumerate(
            [
                ("Implemented", 80, 60, "Improved"),
                ("Implemented", 120, 60, "Worse"),
                ("Implemented", 200, 120, "Improved"),
                ("Dismissed", 50, 40, None),
                ("Obsolete", 50, 40, None),
                (ROLLED_BACK, 50, 40, None),
            ]
        )
    ]
    load = {"step": "load", "component": "main", "kind": "main", "perRun": 0.75, "perMonth": 18.0, "afterPerMonth": 9.0}
    proxy = load | {"component": "proxy", "kind": "sidecar", "perRun": 0.25, "perMonth": 6.0, "afterPerMonth": 3.0}
    return period_report(
        FleetView((busy, *copies, euro, fresh), (change(), change(1, phase="Kept")), NOW),
        ReportScope(since, NOW, "cluster", "All namespaces", "team"),
        priced=[
            PricedWorkflow("etl/nightly-0", "USD", 50, 24.2, [load, proxy]),
            PricedWorkflow("fin/nightly-2", "EUR", 5, 73.5, [load | {"perRun": 1.4}]),
        ],
        days=days,
        adoptions=outcomes,
        notes=["the history of ml begins in December", "the history of ml begins in December"],
    )


@pytest.mark.parametrize("form", ["md", "csv"])
def test_the_report_of_a_quarter(form: str, request: pytest.FixtureRequest) -> None:
    check(f"report/period.{form}", document(quarter(), form), request.config.getoption("--update-golden"))
