"""What ``concertmaster analyze --trends`` prints through a change of the clocks and an outage, pinned."""

from __future__ import annotations

import json
import math
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from concertmaster.core.analysis.periods import Period
from concertmaster.core.analysis.trends import Trends, trends
from concertmaster.core.model import Outcome
from concertmaster.core.units import HOUR
from concertmaster.report import trends as table
from tests.support.builders import DAY, definition, run, step
from tests.support.golden import check

ZONE = ZoneInfo("Europe/Berlin")
ETL = definition(step("extract"), step("load", ["extract"], 1))


def found(*periods: Period) -> list[Trends]:
    """Four weeks of a run every two hours up to the 27th of October, slower from the 26th on, with a dark day."""
    until = datetime(2026, 10, 27, 9, 30, tzinfo=ZONE).timestamp()
    since = until - 28 * DAY
    runs = []
    for i in range(int(28 * DAY / (2 * HOUR))):
        end = since + 2 * HOUR * (i + 1) - 900
        slow = 1.4 if end >= datetime(2026, 10, 26, tzinfo=ZONE).timestamp() else 1.0
        seconds = {"extract": 60 + 5 * math.sin(i), "load": slow * (300 + 20 * math.cos(i))}
        outcome = Outcome.FAILED if i % 29 == 3 else Outcome.SUCCEEDED
        runs.append(run(ETL.graph, seconds, number=i, start=end - 700, outcome=outcome))
    dark = (datetime(2026, 10, 20, 6, tzinfo=ZONE).timestamp(), datetime(2026, 10, 22, 12, tzinfo=ZONE).timestamp())
    runs = [r for r in runs if not dark[0] < (r.end or 0) <= dark[1]]
    return [trends(runs, p, ZONE, since=since, until=until, blind=[dark]) for p in periods]


def test_tables(request: pytest.FixtureRequest) -> None:
    text = table.render(found(*Period), ZONE, "USD") + "\n"
    check("analyze/trends.txt", text, request.config.getoption("--update-golden"))


def test_json(request: pytest.FixtureRequest) -> None:
    document = table.document(found(Period.DAILY), ZONE, "Europe/Berlin", "USD")
    days = {day["period"]: day for day in document["daily"]["periods"]}
    assert days["2026-10-21 Wed"]["runs"] is None
    assert days["2026-10-21 Wed"]["figures"] == {}
    assert days["2026-10-25 Sun"]["start"] == "2026-10-25T00:00:00+02:00"
    assert days["2026-10-25 Sun"]["end"] == "2026-10-26T00:00:00+01:00"
    assert days["2026-10-25 Sun"]["runs"]["total"] == 13  # 25 hours, a run every two
    assert document["daily"]["comparison"]["figures"]["durationSeconds"]["changed"] is True
    text = json.dumps(document["daily"]["comparison"], indent=2, allow_nan=False) + "\n"
    check("analyze/trends-comparison.json", text, request.config.getoption("--update-golden"))
