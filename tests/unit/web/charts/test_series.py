"""The trend chart: marks of its time axis that differ."""

from __future__ import annotations

import pytest

from concertmaster.core.model import Outcome
from concertmaster.core.times import parse_time
from concertmaster.core.units import DAY, HOUR
from concertmaster.web.charts.series import series_chart

START = parse_time("2027-01-30T22:30:00Z")


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (20 * DAY, ["2027-01-30", "2027-02-09", "2027-02-19"]),
        (3 * HOUR, ["01-30 22:30", "01-31 00:00", "01-31 01:30"]),
    ],
)
def test_runs_of_a_day_are_marked_by_the_time_of_day(span: float, labels: list[str]) -> None:
    chart = series_chart([(START, 60.0, Outcome.SUCCEEDED), (START + span, 90.0, Outcome.FAILED)], ())
    assert chart is not None
    assert [label for _, label in chart.vertical] == labels
