"""``degradation`` after a holiday: the days before the window show that runs took as long before it."""

from __future__ import annotations

import pytest

from concertmaster.core.analysis.daily.rows import daily_rows
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import DailyPeaks
from concertmaster.core.model.policy import Pricing
from concertmaster.core.rules import Evidence, recommend
from concertmaster.core.units import HOUR
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
