"""``degradation`` where too few of the runs analysed come before the change, or since: the rows of days show it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from concertmaster.core.analysis.daily.rows import daily_rows
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import DailyPeaks, Recommendation, RunRecord
from concertmaster.core.model.daily import DailyRow
from concertmaster.core.model.policy import AnalysisSettings, Policy, Pricing, RuleSettings
from concertmaster.core.rules import RULES, Evidence, recommend
from concertmaster.core.times import day
from concertmaster.core.units import DAY, HOUR
from tests.support.builders import NOW
from tests.support.core.scenario_builder import Scenario, Work, noise, scenario
from tests.support.core.scenarios import STEPS, etl

RUNS, KEPT = 19 * 24, 48
MIDNIGHT = NOW // DAY * DAY


def hourly(slower: Callable[[float], float], step: str = "transform") -> Scenario:
    """Of 19 days; ``slower``: factor of the step, by days since the midnight before the last run (negative)."""
    value = noise(spread=0.05)

    def work(i: int) -> Work:
        at = (NOW - (RUNS - i) * HOUR - MIDNIGHT) / DAY
        return {name: value(s * (slower(at) if name == step else 1.0)) for name, s in STEPS.items()}

    return scenario(etl(), RUNS, work, every=HOUR)


def rows_of(runs: Sequence[RunRecord]) -> list[DailyRow]:
    return daily_rows(runs, Pricing(), RunFigures(), covered=0.0, recorded=0.0, until=NOW, complete=None, score=None)


def reported(
    of: Scenario, *, published: Sequence[str] = (), days: Sequence[DailyRow] | None = None
) -> list[Recommendation]:
    """By the newest 48 runs and the rows of all days."""
    rules = {r.name: RuleSettings(enabled=r.name == "degradation") for r in RULES}
    policy = Policy(analysis=AnalysisSettings(max_runs=KEPT), rules=rules)
    analysis = analyze(of.definition, of.runs, now=NOW, policy=policy)
    known = rows_of(of.runs) if days is None else days
    return recommend(Evidence(analysis, "wfp", days=known, last_published=published))


def since(days_ago: float) -> Callable[[float], float]:
    return lambda at: 1.4 if at >= -days_ago else 1.0


@pytest.fixture(scope="module")
def slower() -> Scenario:
    """For a week, from six o'clock in the evening on."""
    return hourly(since(6.25))


def test_it_is_reported_with_its_date_its_step_and_what_was_compared(slower: Scenario) -> None:
    assert reported(slower, days=()) == []
    (item,) = reported(slower)
    date = day(MIDNIGHT - 6.25 * DAY)
    assert item.id == "degradation.transform"
    assert item.action == f"Investigate regression in transform since {date} (+31%)"
    assert "runs take 8m3" in item.because
    assert "instead of 6m3" in item.because
    assert "(medians of 6 days after against 13 before)" in item.because
    assert "transform went from 5m" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.low < 120 < item.gain_seconds.high
    assert item.evidence[0].startswith("daily medians of 2025-10-03 to 2025-10-08 against 2025-09-")


def test_growth_is_reported_between_two_days_and_not_since_one() -> None:
    (item,) = reported(hourly(lambda at: 1.05 ** max(0.0, min(10.0, at + 12.0))))
    assert item.id == "degradation.transform"
    assert item.action.startswith("Investigate gradual regression in transform (+")
    first, last = (int(date[-2:]) for date in re.findall(r"\d{4}-\d\d-\d\d", item.because)[:2])
    begun, ended = (int(day(MIDNIGHT - ago * DAY)[-2:]) for ago in (12.0, 2.0))
    assert "; gradual increase between about 20" in item.because
    assert abs((first - begun + 15) % 30 - 15) <= 3
    assert abs((last - ended + 15) % 30 - 15) <= 3
    assert "transform went from" in item.because
    assert item.evidence[0].endswith("start and end days are approximate")


def test_what_was_published_stays_although_the_hours_of_today_so_far_take_less() -> None:
    newest = (NOW - MIDNIGHT - 3 * HOUR) / DAY
    of = hourly(lambda at: 1.0 if 0.0 <= at < newest else since(6.25)(at))
    assert [item.id for item in reported(of)] == ["degradation.transform"]
    for published in ("degradation.transform", "degradation"):
        assert [item.id for item in reported(of, published=[published])] == [published]


def test_growth_that_came_before_the_window_is_not_reported() -> None:
    assert reported(hourly(lambda at: 1.1 ** max(0.0, min(6.0, at + 19.0)))) == []


def test_it_keeps_the_id_under_which_it_was_published(slower: Scenario) -> None:
    (item,) = reported(slower, published=["degradation"])
    assert (item.id, "in transform since" in item.action) == ("degradation", True)


@pytest.mark.parametrize(
    "factor",
    [
        lambda _: 1.0,
        since(15.0),  # before the window
        lambda at: 1.4 if -6.25 <= at < 0.2 else 1.0,  # the newest four runs are back
        lambda at: 1.4 if -9 <= at < -1 else 1.0,
    ],
)
def test_it_is_not_reported(factor: Callable[[float], float]) -> None:
    assert reported(hourly(factor), published=["degradation.transform"]) == []


def test_what_steps_do_not_explain_is_not_reported_unless_the_runs_showed_it(slower: Scenario) -> None:
    """More runs may take a step that others skip, or retry one."""
    days = [row for row in rows_of(slower.runs) if row.step != "transform"]
    assert reported(slower, days=days) == []
    (item,) = reported(slower, days=days, published=["degradation"])
    assert "no single step explains it" in item.because


def test_inputs_may_be_why_unless_the_runs_showed_it_at_equal_input(slower: Scenario) -> None:
    sized = replace(slower, runs=tuple(replace(run, input_size=1e9) for run in slower.runs))
    assert reported(sized) == []
    (item,) = reported(sized, published=["degradation.transform"])
    assert "inputs of those days are not recorded" in item.evidence[1]
    assert reported(sized, published=["degradation.extract"]) == [], "the regression of another step says nothing of it"


def test_twice_as_many_runs_a_day_may_be_others(slower: Scenario) -> None:
    fewer = [
        row if row.start >= MIDNIGHT - 6 * DAY else replace(row, timed=row.timed // 2) for row in rows_of(slower.runs)
    ]
    assert reported(slower, days=fewer) == []


def test_a_change_that_the_runs_show_is_theirs_to_judge() -> None:
    of = hourly(since(0.5))
    without_days, with_days = (reported(of, days=days) for days in ((), None))
    assert without_days == with_days


def nightly(nights: int, level: Callable[[int], float] | None = None, **more: float | None) -> Scenario:
    """One run a day for four weeks, a step of which takes 1.5 times as long in the newest ``nights``, or as the ``level``
    says by nights before the end."""
    value, factor = noise(spread=0.05), level or (lambda ago: 1.5 if ago < nights else 1.0)

    def work(i: int) -> Work:
        return {name: value(s * (factor(27 - i) if name == "transform" else 1.0)) for name, s in STEPS.items()}

    made = scenario(etl(), 28, work, every=DAY)
    return replace(made, runs=tuple(replace(run, **more) for run in made.runs))


def of_nights(
    of: Scenario,
    *,
    published: Sequence[str] = (),
    days: Sequence[DailyRow] | None = None,
    rolled_back: Sequence[tuple[float, float]] = (),
) -> list[str]:
    """What is reported by the runs of two weeks and the rows of three."""
    rules = {r.name: RuleSettings(enabled=r.name == "degradation") for r in RULES}
    analysis = analyze(of.definition, of.runs[-14:], now=NOW, policy=Policy(rules=rules))
    known = [row for row in rows_of(of.runs) if row.day >= (NOW - 21 * DAY) // DAY] if days is None else days
    peaks = DailyPeaks(every_day=False)
    evidence = Evidence(analysis, "wfp", peaks=peaks, days=known, last_published=published, rolled_back=rolled_back)
    return [r.action for r in recommend(evidence)]


@pytest.mark.parametrize("nights", [3, 4, 5])
def test_the_third_slow_night_is_reported(nights: int) -> None:
    """Six runs since a change are needed where runs alone are compared."""
    of = nightly(nights)
    assert of_nights(of, days=()) == []
    (action,) = of_nights(of)
    assert action.startswith(f"Investigate regression in transform since {day(NOW - nights * DAY)} (+")
    assert of_nights(nightly(2)) == []


@pytest.mark.parametrize("nights", [10, 12])
def test_a_regression_stays_where_the_window_has_too_few_nights_before_it(nights: int) -> None:
    of = nightly(nights)
    assert len(of_nights(of, published=["degradation.transform"])) == 1
    assert of_nights(of, published=["degradation.transform"], days=()) == []
    assert of_nights(of) == [], "the runs did not show it when they were enough"
    over = nightly(0, lambda ago: 1.5 if 4 <= ago < nights else 1.0)
    assert of_nights(over, published=["degradation.transform"]) == []


def test_nights_whose_runs_are_enough_on_both_sides_are_theirs_to_judge() -> None:
    of = nightly(7)
    assert of_nights(of) == of_nights(of, days=()) != []


def test_nights_with_other_inputs_say_nothing_of_their_own() -> None:
    assert of_nights(nightly(4, input_size=1e9)) == []


def test_a_few_slow_nights_among_others_are_not_reported() -> None:
    assert of_nights(nightly(0, lambda ago: 1.5 if ago in (0, 1, 2, 9, 13, 18) else 1.0)) == []


def test_nights_under_a_change_that_was_rolled_back_say_nothing() -> None:
    of = nightly(4)
    for published in ([], ["degradation.transform"]):
        assert len(of_nights(of, published=published)) == 1
        assert of_nights(of, published=published, rolled_back=[(NOW - 4.5 * DAY, NOW - 0.1 * DAY)]) == []


def test_what_days_have_shown_stays_where_the_runs_vary_too_much_to_show_it() -> None:
    """Of two weeks six runs are slow and eight are not, which differ less clearly than the days of three weeks do."""
    of = nightly(6, lambda ago: (1.3 if ago < 6 else 1.0) * (1.2 if ago in (3, 10, 13) else 1.0))
    assert of_nights(of, days=()) == []
    assert of_nights(of) == [], "the runs decide what is new"
    assert len(of_nights(of, published=["degradation.transform"])) == 1
    sized = replace(of, runs=tuple(replace(run, input_size=1e9) for run in of.runs))
    assert of_nights(sized, published=["degradation.transform"]) == []
