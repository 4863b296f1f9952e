"""How often a workflow is going to run: since its rate changed, without a single event, and how well that is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from concertmaster.core.analysis.runs.coverage import runs_per_month
from concertmaster.core.analysis.runs.run_rate import present_rate
from concertmaster.core.model import Interval, RunRecord
from tests.support.builders import DAY, NOW, definition, run, step

HOUR = 3600.0
GRAPH = definition(step("load")).graph
MONDAY = NOW - NOW % DAY - 3 * DAY  # a Monday, 00:00 UTC
START = MONDAY - 14 * DAY


def at(moments: Iterable[float]) -> list[RunRecord]:
    return [run(GRAPH, {"load": 60.0}, number=i, start=moment) for i, moment in enumerate(sorted(moments))]


def hours(of: Callable[[float], bool]) -> list[float]:
    """The whole hours of the window that are chosen by the hours since it began."""
    return [START + h * HOUR for h in range(14 * 24) if of(h)]


def rate(moments: Iterable[float], now: float = MONDAY) -> Interval:
    found = present_rate(at(moments), now)
    assert found is not None
    return found


def by_chance(a_day: float, seed: int) -> list[float]:
    draws = random.Random(seed)
    moments, moment = [], START
    while (moment := moment + draws.expovariate(a_day) * DAY) < MONDAY:
        moments.append(moment)
    return moments


@pytest.mark.parametrize("ago", [3.5, 5.0, 8.0])
def test_the_rate_is_that_since_it_changed(ago: float) -> None:
    begun = (14 - ago) * 24
    slower = hours(lambda h: h < begun or h % 12 == 0)
    faster = hours(lambda h: h >= begun or h % 12 == 0)
    assert rate(slower).likely == pytest.approx(60.0, rel=0.03)
    assert rate(faster).likely == pytest.approx(720.0, rel=0.03)
    assert rate(slower).high < 70.0


@pytest.mark.parametrize("length", [1, 2])
def test_a_backfill_counts_at_the_upper_end_only(length: int) -> None:
    backfill = [START + 5 * DAY + 1.0 + i * 0.5 * HOUR for i in range(length * 48)]
    found = rate([*hours(lambda h: h % 12 == 2), *backfill])
    assert (found.low, found.likely) == (pytest.approx(60.0, rel=0.05), pytest.approx(60.0, rel=0.03))
    assert found.high > 150.0


def test_a_day_of_each_week_with_many_runs_is_no_event() -> None:
    found = rate(hours(lambda h: h % 24 == 2 or (h // 24) % 7 == 3))
    assert found == Interval(*[pytest.approx((6 + 24) / 7 * 30)] * 3)


@pytest.mark.parametrize("now", [MONDAY, MONDAY - 0.5 * DAY, MONDAY - 2.2 * DAY])
def test_what_comes_back_each_week_is_known(now: float) -> None:
    """One run on each working day: between the first and the last of two weeks there is only one weekend, as a rule."""
    nightly = [m for m in hours(lambda h: h % 24 == 2 and (h // 24) % 7 < 5) if m < now]
    found = rate(nightly, now)
    assert found.likely == pytest.approx(30 * 5 / 7, rel=0.02)
    assert (runs_per_month(at(nightly), now) or 0.0) > 1.1 * found.likely or now < MONDAY - 2 * DAY


@pytest.mark.parametrize("a_day", [1.5, 4.0])
def test_the_interval_of_runs_that_come_by_chance(a_day: float) -> None:
    held = [rate(by_chance(a_day, seed)) for seed in range(150)]
    assert 0.8 <= sum(i.low <= 30 * a_day <= i.high for i in held) / len(held) <= 0.97


def test_the_interval_of_a_few_runs_at_a_time_that_come_by_chance() -> None:
    """Some have not come for longer than ever at the time of the analysis, which does not make their rate known."""
    draws = random.Random(3)
    held = []
    for seed in range(150):
        moments = [m + i * 400.0 for m in by_chance(0.5, seed) for i in range(draws.randint(5, 30))]
        if len(moments := [m for m in moments if m < MONDAY - 300.0]) > 4:
            found = rate(moments)
            held.append(found.low <= 30 * 0.5 * 17.5 <= found.high)
    assert 0.8 <= sum(held) / len(held) <= 0.97


def test_regular_starts_have_a_known_rate() -> None:
    found = rate(START + n * 7.3 * HOUR for n in range(46))
    assert found == Interval(*[pytest.approx(720 / 7.3)] * 3)


def test_the_spacing_counts_where_runs_were_not_seen_or_stopped() -> None:
    stopped = hours(lambda h: h < 100)
    outage = [(START + 100 * HOUR, MONDAY)]
    for blind in ((), outage):
        spaced = runs_per_month(at(stopped), MONDAY, None, blind)
        found = present_rate(at(stopped), MONDAY, None, blind)
        assert found == Interval(*[spaced] * 3)


def test_an_outage_that_hid_no_run_changes_nothing() -> None:
    runs = at(hours(lambda h: h < 9 * 24 or h % 12 == 0))
    outage = [(START + 10.1 * DAY, START + 10.1 * DAY + 300.0)]
    assert present_rate(runs, MONDAY, None, outage) == present_rate(runs, MONDAY)


def test_runs_of_a_day_and_one_that_has_just_ended_have_a_rate() -> None:
    """Shorter than most: it began when a long one would still be in progress."""
    lengths = {MONDAY - 9 * DAY + i * HOUR: HOUR for i in range(3)} | {MONDAY - 1200.0: 600.0}
    runs = [run(GRAPH, {"load": long}, number=i, start=moment) for i, (moment, long) in enumerate(lengths.items())]
    found = present_rate(runs, MONDAY)
    assert found is not None
    assert 0.0 < found.low < found.likely < found.high
    assert found.likely == pytest.approx(10.0, rel=0.02)


def test_a_batch_that_began_before_any_of_it_ended_tells_no_pauses() -> None:
    """Twenty runs of an hour, begun one a minute, of which the last has just ended: 20 in a day, and not one a minute."""
    moments = [MONDAY - HOUR - 60.0 * (20 - i) for i in range(20)]
    runs = [run(GRAPH, {"load": HOUR}, number=i, start=moment) for i, moment in enumerate(moments)]
    assert present_rate(runs, MONDAY) == Interval(600.0, 600.0, 600.0)
