"""``degradation`` after a holiday, and at the end of a month: days before the window show that runs took as long then."""

from __future__ import annotations

import pytest

from concertmaster.core.analysis.daily.rows import daily_rows
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import DailyPeaks
from concertmaster.core.model.policy import Pricing
from concertmaster.core.rules import Evidence, recommend
from concertmaster.core.units import DAY, HOUR
from tests.support.builders import NOW
from tests.support.core.scenario_builder import Pod, Scenario, Work, noise, scenario
from tests.support.core.scenarios import STEPS, etl, measured

EVERY = 6 * HOUR
RUNS = 42 * 4  # of six weeks, two of which are in the window


def lives(first: float, last: float, *, released: bool = False) -> Scenario:
    """Runs take half as long from ``first`` to ``last`` (days before the last run). ``released``: with another image
    since."""
    value = noise(spread=0.05)

    def work(i: int) -> Work:
        ago = (RUNS - i) * EVERY / (24 * HOUR)
        level = 0.5 if last <= ago < first else 1.0
        image = "registry.example/etl:2" if released and ago < last else "registry.example/etl:1"
        return {name: Pod(value(s) * level, containers=measured(image=image)) for name, s in STEPS.items()}

    return scenario(etl(), RUNS, work, every=EVERY)


def slow_days(days: dict[int, float]) -> Scenario:
    """A run every two hours for six weeks; on these ``days`` before today, they take so many times as long."""
    value, every, runs = noise(spread=0.05), 2 * HOUR, 42 * 12

    def work(i: int) -> Work:
        ago = int(NOW // DAY) - int((NOW - (runs - i) * every) // DAY)
        return {name: Pod(value(s) * days.get(ago, 1.0), containers=measured()) for name, s in STEPS.items()}

    return scenario(etl(), runs, work, every=every)


def reported(of: Scenario, *, known: bool = True) -> list[str]:
    """By the runs of two weeks and, if they are ``known``, the rows of all days."""
    rows = daily_rows(of.runs, Pricing(), RunFigures(), covered=0.0, until=NOW) if known else []
    days = [row for row in rows if row.step == ""]
    evidence = Evidence(analyze(of.definition, of.runs, now=NOW), "wfp", peaks=DailyPeaks(every_day=False), days=days)
    return [r.id for r in recommend(evidence) if r.rule == "degradation"]


@pytest.mark.parametrize("back", [3.0, 6.0])
def test_the_end_of_a_holiday_is_no_regression(back: float) -> None:
    """The window has fewer days before it than the holiday was long."""
    of = lives(back + 9.0, back)
    assert reported(of) == []
    assert reported(of, known=False) != []


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(lives(50.0, 4.0), id="runs were faster for as long as is known"),
        pytest.param(lives(30.0, 4.0), id="runs were faster for most of the time"),
        pytest.param(lives(11.0, 2.5, released=True), id="an image changed with it"),
    ],
)
def test_a_regression_is_reported_beside_what_is_known_of_the_days_before(of: Scenario) -> None:
    assert reported(of) == reported(of, known=False) != []


@pytest.mark.parametrize(
    "days",
    [
        pytest.param([0, 1], id="two days"),
        pytest.param([0, 1, 2, 3, 4], id="five days"),
    ],
)
def test_days_as_slow_as_those_a_month_before_are_no_regression(days: list[int]) -> None:
    of = slow_days(dict.fromkeys([*days, *(day + 31 for day in days)], 3.0))
    assert reported(of) == []
    assert reported(of, known=False) != []


@pytest.mark.parametrize(
    "then",
    [
        pytest.param({}, id="no such day before"),
        pytest.param({31: 3.0}, id="fewer days a month before"),
        pytest.param({21: 3.0, 22: 3.0, 23: 3.0}, id="three weeks before"),
        pytest.param(dict.fromkeys([31, 32, 33, 24, 22, 20, 18], 3.0), id="more days at other times"),
        pytest.param(dict.fromkeys([31, 32, 33], 1.3), id="not as slow"),
    ],
)
def test_slow_days_are_reported_beside_other_days_before(then: dict[int, float]) -> None:
    of = slow_days({0: 3.0, 1: 3.0, 2: 3.0} | then)
    assert reported(of) == reported(of, known=False) != []
