"""How often a workflow runs, and what its runs cover, when there are times of which nothing was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from concertmaster.core.analysis.runs.coverage import covered_seconds, daily_rate, runs_per_month
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import RunRecord
from concertmaster.core.model.daily import RUN, DailyRow
from concertmaster.core.model.policy import AnalysisSettings, Policy
from concertmaster.core.pipeline import Environment, analyze_workflow
from concertmaster.core.rules import Evidence
from tests.support.builders import DAY, NOW, definition, run, step

HOUR = 3600.0
GRAPH = definition(step("load")).graph
MONDAY = NOW - NOW % DAY - 3 * DAY  # a Monday, 00:00 UTC
START = MONDAY - 14 * DAY


def at(moments: Iterable[float], seconds: float = 300.0) -> list[RunRecord]:
    return [run(GRAPH, {"load": seconds}, number=i, start=moment) for i, moment in enumerate(moments)]


def every(seconds: float, days: int = 14) -> list[float]:
    return [START + 2 * HOUR + i * seconds for i in range(int(days * DAY / seconds))]


def without(moments: Iterable[float], *spans: tuple[float, float]) -> list[float]:
    return [m for m in moments if not any(low <= m <= high for low, high in spans)]


def days(first: float, last: float) -> tuple[float, float]:
    """From the begin of one day of the history to that of another."""
    return START + first * DAY, START + last * DAY


@pytest.mark.parametrize("interval", [600.0, HOUR, 4 * HOUR, DAY])
@pytest.mark.parametrize("outage", [days(5, 8), days(5.1, 6.1), days(2, 9)])
def test_an_outage_of_the_metrics_source_does_not_lower_the_rate(interval: float, outage: tuple[float, float]) -> None:
    seen = at(without(every(interval), outage))
    assert runs_per_month(seen, MONDAY, None, [outage]) == pytest.approx(30 * DAY / interval, rel=0.01)
    assert (runs_per_month(seen, MONDAY) or 0.0) < 0.96 * 30 * DAY / interval


def test_what_was_read_after_the_outage_counts() -> None:
    """The operator was down, and the source has all of the time."""
    for moments in (every(HOUR), every(DAY), [m + i for m in every(DAY) for i in range(10)]):
        for outage in (days(5, 8), days(5, 6.5), days(1, 12)):
            seen = at(moments)
            assert runs_per_month(seen, MONDAY, None, [outage]) == runs_per_month(seen, MONDAY)


def test_a_pause_in_an_outage_of_which_the_rest_was_read_is_a_pause() -> None:
    """Three hours of eight: had nothing been seen of these, the runs around them would be missing too."""
    pause = START + 6 * DAY
    seen = at(without(every(HOUR), (pause + 1.0, pause + 3 * HOUR - 1.0)))
    assert runs_per_month(seen, MONDAY, None, [(pause - 2 * HOUR, pause + 6 * HOUR)]) == runs_per_month(seen, MONDAY)


def test_pods_that_outlive_the_outage_do_not_show_that_it_was_seen() -> None:
    """A CronJob keeps its last three Jobs."""
    outage = days(5, 8)
    kept = [m for m in every(HOUR) if not outage[0] <= m <= outage[1] - 3 * HOUR]
    assert runs_per_month(at(kept), MONDAY, None, [outage]) == pytest.approx(720.0, rel=0.01)


def test_runs_of_every_night_in_batches() -> None:
    outage = days(5, 8)
    moments = [m + i for m in every(DAY) for i in range(10)]
    seen = at(without(moments, outage), seconds=2.0)
    assert runs_per_month(seen, MONDAY, None, [outage]) == pytest.approx(300.0, rel=0.1)


@pytest.mark.parametrize("schedule", ["0 2 * * 1-5", None])
@pytest.mark.parametrize("outage", [(START + 5.2 * DAY, START + 5.8 * DAY), days(6, 6.5)])
def test_a_weekend_without_runs_is_no_gap(schedule: str | None, outage: tuple[float, float]) -> None:
    weekdays = at(m for i, m in enumerate(every(DAY)) if i % 7 < 5)
    of = definition(step("load"), schedule=schedule)
    assert runs_per_month(weekdays, MONDAY, of, [outage]) == runs_per_month(weekdays, MONDAY, of)


def test_only_what_the_schedule_had_due_was_missed() -> None:
    """Nothing seen from Friday to Sunday, of which one run was due."""
    weekdays = [m for i, m in enumerate(every(DAY)) if i % 7 < 5]
    of, outage = definition(step("load"), schedule="0 2 * * 1-5"), days(4, 7)
    seen = at(without(weekdays, outage))
    assert len(seen) == len(weekdays) - 1
    assert runs_per_month(seen, MONDAY, of, [outage]) == pytest.approx(runs_per_month(at(weekdays), MONDAY, of))


def test_a_pause_without_an_outage_counts() -> None:
    """Its schedule was suspended, as far as anybody knows."""
    paused = at(without(every(HOUR), days(5, 8)))
    of = definition(step("load"), schedule="0 * * * *")
    assert runs_per_month(paused, MONDAY, of) == pytest.approx(720.0 * 11 / 14, rel=0.01)
    elsewhere = [days(1, 1.02), days(12, 12.01)]
    assert runs_per_month(paused, MONDAY, of, elsewhere) == pytest.approx(720.0 * 11 / 14, rel=0.01)


def test_two_runs_on_both_sides_of_an_outage() -> None:
    seen = at([START, START + 10 * DAY])
    assert runs_per_month(seen, MONDAY, None, [(START - DAY, MONDAY)]) == pytest.approx(6.0), "at most half is left out"
    assert runs_per_month(seen, MONDAY, None, [days(2, 4)]) == pytest.approx(3.0), "explains too little of the pause"
    assert runs_per_month(seen, MONDAY, None, [days(2, 6), days(5, 8)]) == pytest.approx(30 / 5)


def test_the_rate_is_that_of_the_runs_kept_where_there_are_many() -> None:
    outage = days(9, 12)
    of, seen = definition(step("load")), at(without(every(HOUR), outage))
    policy = Policy(analysis=AnalysisSettings(max_runs=100))
    rate = analyze(of, seen, now=NOW, policy=policy, blind=[outage]).cost.runs_per_month
    assert rate == pytest.approx(720.0, rel=0.01)
    known = analyze_workflow(of, seen, policy, profile="p", now=NOW, environment=Environment(blind=(outage,)))
    assert known.analysis.cost.runs_per_month == rate


def newest(seconds: float, since: float, until: float = 0.0) -> list[RunRecord]:
    """A run each so many seconds, from so many days ago on."""
    return at([NOW - since * DAY + i * seconds for i in range(int((since - until) * DAY / seconds))])


@pytest.mark.parametrize(
    ("runs", "covered"),
    [
        (newest(DAY, 13.9), 14.0),
        (newest(DAY, 13.1), 14.0),
        (newest(HOUR, 13.99), 14.0),
        (newest(HOUR, 2), 2.0),
        (newest(600.0, 0.5), 0.5),
        (newest(DAY, 5), 5.0),
        (newest(HOUR, 5), 5.0),
        (newest(3.5 * DAY, 10.5), 14.0),  # twice a week: none was due before
        (newest(HOUR, 14, until=6), 14.0),  # and none since
        (newest(HOUR, 0.125), 0.125),  # three runs are enough
        (newest(DAY, 2), 14.0),  # too few to tell
        ([], 14.0),
    ],
)
def test_the_window_of_figures_is_the_time_that_runs_cover(runs: list[RunRecord], covered: float) -> None:
    assert covered_seconds(runs, NOW, 14 * DAY, 3) == pytest.approx(covered * DAY)


def test_a_recommendation_about_two_days_says_so() -> None:
    of = definition(step("load"))
    analysis = analyze(of, newest(HOUR, 2), now=NOW)
    assert Evidence(analysis, "p").runs(48) == "in 48 runs (2d)"
    few = analyze(of, newest(HOUR, 14), now=NOW, policy=Policy(analysis=AnalysisSettings(max_runs=24)))
    assert Evidence(few, "p").runs(24) == "in 24 runs (1d)"


@pytest.mark.parametrize(("interval", "ended"), [(HOUR, 3), (2 * HOUR, 10), (DAY, 5)])
def test_the_time_since_a_workflow_stopped_counts(interval: float, ended: int) -> None:
    """It ran for some days and was replaced, or suspended: it does not go on at that rate."""
    seen = at(m for m in every(interval) if m < MONDAY - ended * DAY)
    assert runs_per_month(seen, MONDAY) == pytest.approx(len(seen) * 30 * DAY / (MONDAY - every(interval)[0]), rel=0.01)
    assert runs_per_month(seen, MONDAY, None, [(MONDAY - ended * DAY, MONDAY)]) == pytest.approx(
        30 * DAY / interval, rel=0.01
    )


def test_no_start_for_as_long_as_at_every_weekend_is_no_end() -> None:
    """Ten hours on working days; the analysis is on a Sunday."""
    moments = [m for m in every(HOUR) if (m // DAY + 3) % 7 < 5 and 8 <= m % DAY / HOUR < 18]
    sunday = MONDAY - DAY / 2
    seen = [m for m in moments if m < sunday]
    span = seen[-1] - seen[0]
    assert runs_per_month(at(seen), sunday) == pytest.approx((len(seen) - 1) / span * 30 * DAY)


@pytest.mark.parametrize(("hours", "kept"), [(1, True), (20, True), (80, True), (80, False)])
def test_runs_in_progress_do_not_make_a_workflow_of_long_runs_look_as_if_it_had_stopped(hours: int, kept: bool) -> None:
    """Of one run a day of three days each, the last to have ended began more than three days ago."""
    runs = at(every(DAY, 14), hours * HOUR)
    now = MONDAY if kept else MONDAY + 4 * DAY  # none came any more
    seen = [r for r in runs if (r.end or 0.0) <= now]
    assert (runs_per_month(seen, now) == pytest.approx(30.0)) == kept


def counted(moments: Iterable[float]) -> list[DailyRow]:
    runs = at(moments)
    number, until = Counter(int(moment // DAY) for moment in moments), max((r.end or 0.0 for r in runs), default=0.0)
    return [DailyRow(day, RUN, count, succeeded=count, failed=0, until=until) for day, count in number.items()]


@pytest.mark.parametrize("hour", range(0, 24, 5))
def test_the_rate_of_runs_that_are_not_all_analysed_is_that_of_the_week(hour: int) -> None:
    """Every ten minutes on working days from eight to six, of which the newest 50 are analysed: these are of one
    day, of two, or have a weekend between them."""
    moments = [m for m in every(600.0) if (m // DAY + 3) % 7 < 5 and 8 <= m % DAY / HOUR < 18]
    policy, newest = Policy(analysis=AnalysisSettings(max_runs=50)), []
    for day in range(9, 14):
        now = START + day * DAY + hour * HOUR
        seen = [m for m in moments if m < now - 300.0]
        runs = at(seen[-50:])
        found = analyze(definition(step("load")), runs, now=now, policy=policy, days=counted(seen))
        assert found.cost.runs_per_month == pytest.approx(60 * 5 * 30 / 7)
        newest.append(runs_per_month(runs, now) or 0.0)
    assert max(newest) > 1.5 * min(newest)


def test_days_that_are_not_known_as_a_whole_do_not_count() -> None:
    hourly = every(HOUR)
    now = hourly[-1] + 1.0
    assert daily_rate(counted(hourly), (), now) == pytest.approx(720.0)
    assert daily_rate(counted(hourly[-20:]), (), now) is None  # of yesterday the last hours, and today
    assert daily_rate((), at(hourly), now) is None
    outage = (now - 3 * DAY, now - 2.5 * DAY)
    assert daily_rate(counted(without(hourly, outage)), (), now) == pytest.approx(720.0, abs=60.0)
    assert daily_rate(counted(without(hourly, outage)), (), now, [outage]) == pytest.approx(720.0)


def test_runs_that_are_analysed_and_not_counted_yet_are_part_of_the_rate() -> None:
    """The first analysis counts those that it does not take: of the last four days there is no row yet."""
    hourly = every(HOUR)
    policy, runs = Policy(analysis=AnalysisSettings(max_runs=100)), at(hourly)[-100:]
    found = analyze(definition(step("load")), runs, now=hourly[-1] + HOUR, policy=policy, days=counted(hourly[:-100]))
    assert found.cost.runs_per_month == pytest.approx(720.0)


def test_all_runs_that_are_analysed_say_how_often_they_come() -> None:
    rows, runs = counted(every(HOUR)), at(every(4 * HOUR))
    found = analyze(definition(step("load")), runs, now=MONDAY, days=rows)
    assert found.cost.runs_per_month == runs_per_month(runs, MONDAY)
