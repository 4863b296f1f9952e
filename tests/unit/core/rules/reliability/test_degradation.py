"""``degradation``: a level that went up and stays, distinguished from the hour, the day of the week and accident."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core import text
from concertmaster.core.changepoint import ChangePoint, Direction
from concertmaster.core.changepoint.clear import lasting_increase
from concertmaster.core.model import RunRecord
from concertmaster.core.rules.reliability.comparable_times import like_for_like
from concertmaster.core.rules.reliability.rise_context import median_before
from concertmaster.core.times import to_minute, weekend
from tests.support.builders import DAY, NOW, run_record
from tests.support.core import scenarios
from tests.support.core.scenario_builder import (
    Pod,
    Scenario,
    Work,
    argo,
    cron_job,
    define,
    noise,
    scenario,
    simulate,
    task,
)
from tests.support.core.scenarios import etl


def test_a_step_that_became_slower_is_named_with_its_time() -> None:
    item = scenarios.degradation().one("degradation")
    assert item.id == "degradation.transform"
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(120, rel=0.1)


def test_the_one_step_of_a_job_is_named_as_its_workflow() -> None:
    """Nobody calls it ``job``, the name that the step has for want of another."""
    value = noise(spread=0.03)
    made = scenario(cron_job(), 42, lambda i: {"job": value(300.0 if i < 28 else 420.0)})
    item = made.one("degradation")
    assert item.action.startswith("Investigate regression in report since ")
    assert "report went from 5m" in item.because


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        (lambda s, new: Pod(s, wait=200.0 if new else 1.0), " (most of it scheduling latency: 3m20s instead of 1s)"),
        (lambda s, new: Pod(s, startup=200.0 if new else 2.0), " (most of it startup: 3m20s instead of 2s)"),
        (lambda s, new: Pod(s * (1.6 if new else 1.0)), ""),
    ],
)
def test_a_step_that_only_waits_longer_is_not_said_to_have_become_slower(
    pod: Callable[[float, bool], Pod], said: str
) -> None:
    value = noise(spread=0.05)
    made = scenario(etl(), 42, lambda i: {"extract": value(60), "transform": pod(value(300), i >= 28), "load": 30.0})
    because = made.one("degradation").because
    assert "transform went from 5m" in because
    assert ("most of it" in because) is bool(said)
    assert said in because


def test_step_seconds_and_increase_are_those_of_the_trend() -> None:
    made = scenarios.degradation()
    item, analysis = made.one("degradation"), made.analysis()
    (cause,), (point,) = analysis.causes, analysis.trend.points
    assert cause.seconds is not None
    assert (
        f"{cause.step} went from {text.duration(cause.seconds[0])} to {text.duration(cause.seconds[1])}" in item.because
    )
    assert item.because.endswith(f"changed at the same time: {cause.what}")
    assert item.action.endswith(f"(+{text.percent(point.ratio - 1)})")


@pytest.mark.parametrize(("then", "found"), [(1.0, 1), (0.96, 1), (0.75, 1), (0.6, 0)])
def test_a_regression_is_reported_as_long_as_at_least_half_of_it_is_left(then: float, found: int) -> None:
    """Up by two thirds after half of the runs, and for the last fifth to ``then`` of that."""
    value = noise(spread=0.01)

    def work(i: int) -> Work:
        level = 1.0 if i < 30 else 2.0 if i < 48 else 2.0 * then
        return {"extract": value(60), "transform": value(240 * level), "load": value(60)}

    made = scenario(etl(), 60, work)
    assert len(made.analysis().trend.points) == (1 if then == 1.0 else 2), "the case must tempt the rule"
    assert len(made.recommended("degradation")) == found


@pytest.mark.parametrize(("since", "found"), [(1.0, 0), (1.7, 1)])
def test_runs_under_a_change_that_was_rolled_back_are_no_degradation(since: float, found: int) -> None:
    """The change made runs take 1.7 times as long for three days; those of the last day took ``since`` of that before it."""
    value = noise(spread=0.02)
    level = [1.0] * 30 + [1.7] * 9 + [since] * 3
    made = scenario(etl(), 42, lambda i: {"extract": value(60), "transform": value(300 * level[i]), "load": value(60)})
    assert len(made.recommended("degradation")) == 1, "the case must tempt the rule"
    start = [run.start or 0.0 for run in made.runs]
    known = replace(made, rolled_back=((start[30] - 60.0, start[39] - 60.0),))
    assert len(known.recommended("degradation")) == found


def test_of_a_regression_that_was_partly_reverted_the_rest_is_reported() -> None:
    """A step of five minutes takes ten for a third of the runs, and seven and a half since."""
    value = noise(spread=0.03)
    level = [1.0] * 30 + [2.0] * 15 + [1.5] * 15
    made = scenario(etl(), 60, lambda i: {"extract": value(60), "transform": value(300 * level[i]), "load": value(60)})
    item, (rise, fall) = made.one("degradation"), made.analysis().trend.points
    assert (
        f"since {to_minute(rise.time)}, partly reverted around {to_minute(fall.time)}: transform went from 4m5"
        in item.because
    )
    assert f"15 runs since {to_minute(fall.time)} against 12 before {to_minute(rise.time)} in 14d" in item.because
    assert re.search(r"to 7m[23]\ds$", item.because)
    assert item.gain_seconds is not None
    assert item.gain_seconds.low < 150 < item.gain_seconds.high
    assert item.gain_seconds.likely == pytest.approx(150, rel=0.15)
    assert len(item.evidence) == 1


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        pytest.param([(1.4, 1e-9, 1.3), (1.11, 9e-4, 1.06)], 0, id="a further rise that is not significant"),
        pytest.param([(1.4, 1e-9, 1.3), (1.2, 1e-9, 1.15)], 1, id="a further one that is"),
        pytest.param([(1.4, 1e-9, 1.3), (0.87, 2e-3, 0.81)], 0, id="a fall that is not significant"),
        pytest.param([(1.4, 1e-9, 1.3), (0.72, 2e-3, 0.6)], None, id="one that leaves nothing of it"),
        pytest.param([(1.4, 1e-9, 1.3), (0.87, 1e-9, 0.81)], 0, id="a clear fall that leaves more than half of it"),
        pytest.param([(1.4, 1e-9, 1.3), (0.82, 1e-9, 0.78)], None, id="one that leaves less"),
        pytest.param([(1.15, 1e-9, 1.1), (0.94, 1e-9, 0.93)], None, id="one that leaves less than is reported"),
        pytest.param(
            [(1.6, 1e-9, 1.5), (0.87, 1e-9, 0.81), (0.87, 1e-9, 0.81)], None, id="two that leave less than half"
        ),
        pytest.param([(1.4, 1e-9, 1.3), (1.11, 9e-4, 1.06), (0.7, 1e-9, 0.6)], None, id="reverted since"),
        pytest.param([(0.7, 1e-9, 0.6), (1.11, 9e-4, 1.06)], None, id="none but the one that is not significant"),
    ],
)
def test_the_last_significant_increase_stands(sizes: list[tuple[float, float, float]], found: int | None) -> None:
    """Changes by factor, p-value and lower bound."""
    points = [
        ChangePoint(i, NOW + i, r, low, r * r / low, Direction.UP if r > 1 else Direction.DOWN, 1 - p)
        for i, (r, p, low) in enumerate(sizes)
    ]
    assert lasting_increase(points, 0.1) == (None if found is None else points[found])


def test_working_days_after_a_weekend_are_no_degradation() -> None:
    """Every six hours from a Saturday to a Thursday."""
    value, every, count = noise(spread=0.03), DAY / 4, 22

    def work(i: int) -> Work:
        busy = not weekend(NOW - (count - i) * every)
        return {"extract": value(60), "transform": value(450 if busy else 300), "load": value(30)}

    week = scenario(etl(), count, work, every=every)
    assert week.analysis().trend.points, "the case must tempt the rule"
    assert week.recommended("degradation") == []


def _every(period: float, count: int, first: float, seconds: Callable[[float], float]) -> Scenario:
    """``count`` runs, one each ``period`` from ``first`` on (seconds); ``seconds`` by the start of a run."""
    manifest = argo(task("a"))
    graph = define(manifest).graph
    starts = [first + i * period for i in range(count)]
    return Scenario(
        manifest, tuple(simulate(graph, {"a": seconds(t)}, number=i, start=t) for i, t in enumerate(starts))
    )


def _hourly(seconds: Callable[[float], float]) -> Scenario:
    """The 200 runs up to a Tuesday morning, with one weekend among them; ``seconds`` by the start of a run."""
    return _every(DAY / 24, 200, NOW - 2 * DAY - 200 * DAY / 24, seconds)


@pytest.mark.parametrize("seed", [16, 44, 124])
def test_the_monday_after_the_only_weekend_is_no_degradation(seed: int) -> None:
    """A short weekend makes the change clear; against earlier working days alone the rise may be chance."""
    value = noise(seed, spread=0.28)
    week = _hourly(lambda start: value(210 if weekend(start) else 300))
    assert week.analysis().trend.points, "the case must tempt the rule"
    assert week.recommended("degradation") == []


@pytest.mark.parametrize("seed", range(3))
def test_a_step_on_a_monday_is_found_within_a_day_and_a_half(seed: int) -> None:
    value, monday = noise(seed, spread=0.1), NOW // DAY * DAY - 3 * DAY
    week = _hourly(lambda start: value(210 if weekend(start) else 375 if start >= monday else 300))
    assert week.one("degradation").id == "degradation.a"


def _half_a_day(step: float, *, days_before: int = 0) -> Scenario:
    """Every ten minutes from midnight to noon, half a day after the given days: since six o'clock on the last one ``step``
    times as long."""
    value, last = noise(3, spread=0.05), (NOW // DAY - 4) * DAY
    busy = last + DAY / 4
    count = days_before * 144 + 72
    return _every(600, count, last - days_before * DAY, lambda t: value(300 * (step if t >= busy else 1.0)))


@pytest.mark.parametrize(
    ("step", "days_before", "found"),
    [
        pytest.param(1.2, 0, 0, id="what the hour may be"),
        pytest.param(1.5, 0, 1, id="more than the hour makes"),
        pytest.param(1.2, 2, 1, id="at hours seen on other days"),
    ],
)
def test_within_a_day_a_change_is_not_taken_for_that_of_the_hour(step: float, days_before: int, found: int) -> None:
    day = _half_a_day(step, days_before=days_before)
    assert day.analysis().trend.points, "the case must tempt the rule"
    assert len(day.recommended("degradation")) == found


@pytest.mark.parametrize("swing", [0.4, 0.6])
def test_a_daily_cycle_seen_for_less_than_a_day_is_no_degradation(swing: float) -> None:
    """Every five minutes for 17 hours: the runs after a rise have only runs of the same day beside them."""
    for hour in range(24):
        value, first = noise(hour, spread=0.12), NOW // DAY * DAY - 5 * DAY + hour * DAY / 24
        day = _every(300, 200, first, lambda t, v=value: v(120 * (1.0 + swing * math.sin(2.0 * math.pi * t / DAY))))
        assert day.analysis().trend.points, "the case must tempt the rule"
        assert day.recommended("degradation") == []


def test_a_step_within_less_than_a_day_is_found_beside_a_small_daily_cycle() -> None:
    found = 0
    for hour in range(24):
        value, first = noise(hour, spread=0.12), NOW // DAY * DAY - 5 * DAY + hour * DAY / 24
        later = first + 10 * DAY / 24

        def seconds(t: float, value: Callable[[float], float] = value, later: float = later) -> float:
            return value(120 * (1.0 + 0.05 * math.sin(2.0 * math.pi * t / DAY)) * (1.6 if t >= later else 1.0))

        found += len(_every(300, 200, first, seconds).recommended("degradation"))
    assert found >= 22


@pytest.mark.parametrize(("mondays", "step", "found"), [(1.6, 1.0, 0), (1.6, 1.5, 1), (1.0, 1.3, 1)])
def test_a_monday_is_compared_with_the_monday_before(mondays: float, step: float, found: int) -> None:
    """Every hour for eight days to a Monday evening, from when on runs may also take ``step`` times as long."""
    value, monday = noise(2, spread=0.1), NOW // DAY * DAY - 3 * DAY

    def seconds(t: float) -> float:
        usual = 0.6 if weekend(t) else mondays if (t - monday) % (7 * DAY) < DAY else 1.0
        return value(300 * usual * (step if t >= monday else 1.0))

    case = _every(DAY / 24, 190, monday + 0.8 * DAY - 190 * DAY / 24, seconds)
    assert case.analysis().trend.points, "the case must tempt the rule"
    assert len(case.recommended("degradation")) == found


@pytest.mark.parametrize(("known", "found"), [(True, 1), (False, 0)])
def test_runs_at_the_same_hours_are_compared_at_equal_input(known: bool, found: int) -> None:
    """What larger and smaller inputs add to the noise hides a step of a quarter, unless they are known."""
    sizes = iter(map(noise(5, spread=0.4), [1e9] * 112))
    small = [next(sizes) for _ in range(112)]
    value, left = noise(6, spread=0.05), iter(small)
    case = _every(
        DAY / 8, 112, NOW - 14 * DAY, lambda t: value(next(left) / 1e6 * (1.25 if t >= NOW - 6 * DAY else 1.0))
    )
    runs = tuple(replace(r, input_size=size if known else None) for r, size in zip(case.runs, small, strict=True))
    assert len(Scenario(case.manifest, runs).recommended("degradation")) == found


def test_what_a_weekend_adds_to_the_medians_is_in_no_other_figure() -> None:
    """From Thursday to Monday evening, half as long at the weekend, and half as long again since Monday."""
    monday, value = NOW // DAY * DAY - 3 * DAY, noise(1, spread=0.05)
    manifest, starts = argo(task("a")), [NOW // DAY * DAY - 7 * DAY + i * DAY / 24 for i in range(114)]
    seconds = [150 if weekend(t) else 450 if t >= monday else 300 for t in starts]
    graph = define(manifest).graph
    runs = tuple(
        simulate(graph, {"a": value(s)}, number=i, start=t)
        for i, (s, t) in enumerate(zip(seconds, starts, strict=True))
    )
    item = Scenario(manifest, runs).one("degradation")
    assert "compared with runs at the same hours and days" in item.because
    assert item.gain_share is not None
    assert 0.0 < item.gain_share.low < 0.98 * item.gain_share.likely  # of the comparison, as its middle
    assert int(re.findall(r"\(\+(\d+)%\)", item.action)[0]) == pytest.approx(50, abs=8)
    gain, share = item.gain_seconds, item.gain_share
    assert gain is not None
    assert share is not None
    assert gain.low <= gain.likely <= gain.high
    assert gain.likely == pytest.approx(150, rel=0.15)
    assert share.likely == pytest.approx(1 / 3, rel=0.15)


@settings(max_examples=25)
@given(st.floats(0.2, 5.0), st.integers(0, 1000))
def test_the_length_of_weekends_is_no_part_of_the_comparison(factor: float, seed: int) -> None:
    """Whatever weekends do, runs are as many times as long as their like, and it is as clear."""
    value = noise(seed, spread=0.2)
    rows = [(NOW + (i - 72) * DAY / 6, value(300)) for i in range(72)]  # twelve days

    def compared(times: float) -> tuple[float, float]:
        runs: list[RunRecord] = [run_record(start=t, end=t + s * (times if weekend(t) else 1)) for t, s in rows]
        found = like_for_like(runs[:40], runs[40:])
        assert found is not None
        return found.ratio, found.p_value

    assert compared(factor) == pytest.approx(compared(1.0), rel=1e-4)


def _by_days(seed: int, spread: float, later: float = 1.0) -> Scenario:
    """Every two hours for two weeks: days differ by ``spread``, runs of a day by a twentieth. ``later``: times as long as
    runs take in the last five days."""
    value, rng = noise(seed, spread=0.05), random.Random(seed)
    days = [math.exp(rng.gauss(0.0, spread)) for _ in range(15)]
    first = NOW // DAY * DAY - 14 * DAY
    return _every(
        DAY / 12,
        168,
        first,
        lambda t: value(900.0 * days[int((t - first) // DAY)] * (later if t >= NOW - 5 * DAY else 1.0)),
    )


def test_days_that_differ_are_no_regression() -> None:
    """Runs of a day share what it brings: a busy day or two are no change of level, however many runs they have."""
    found = sum(bool(_by_days(seed, 0.12).recommended("degradation")) for seed in range(40))
    assert found <= 4  # 11 if runs count as independent


def test_a_regression_beside_days_that_differ_has_an_interval_that_holds() -> None:
    held = []
    for seed in range(40):
        for item in _by_days(seed, 0.1, later=1.5).recommended("degradation"):
            assert item.gain_share is not None
            held.append(item.gain_share.low <= 1 - 1 / 1.5 <= item.gain_share.high)
    assert len(held) >= 20
    assert fmean(held) >= 0.85


@pytest.mark.parametrize("seed", [1048, 1902])
def test_a_change_that_chance_brings_about_is_silent(seed: int) -> None:
    """One in 400 series without a change shows one that is significant by itself: nobody is sent after it."""
    value = noise(seed, spread=0.4)
    steady = scenario(argo(task("a")), 42, lambda _: {"a": value(300)})
    assert steady.analysis().trend.points, "the case must tempt the rule"
    assert steady.recommended("degradation") == []


@pytest.mark.parametrize(
    ("retries", "slower", "fail", "rules"),
    [
        pytest.param(True, 1.0, True, {"failing-step"}, id="only longer by retries of a step that fails"),
        pytest.param(True, 1.5, True, {"failing-step", "degradation"}, id="and by the step itself"),
        pytest.param(False, 1.5, True, {"failing-step", "degradation"}, id="by the step alone"),
        pytest.param(True, 1.0, False, {"failing-step"}, id="by retries that always help"),
    ],
)
def test_what_retries_add_is_left_to_the_step_that_fails(
    retries: bool, slower: float, fail: bool, rules: set[str]
) -> None:
    """From the middle on, a step of four minutes fails at first, and in every second run for good."""
    value = noise(spread=0.02)

    def work(i: int) -> Work:
        late = i >= 18
        failures = ((value(150), "Error"),) if late and retries else ()
        fails = "Error" if late and fail and i % 2 else None
        seconds = value(240 * (slower if late else 1.0))
        return {"extract": value(60), "transform": Pod(seconds, failures=failures, fails=fails), "load": value(60)}

    made = scenario(etl(), 42, work)
    assert made.analysis().trend.points, "the case must tempt the rule"
    assert {i.rule for i in made.recommended()} & {"failing-step", "degradation"} == rules
    assert made.recommended("degradation"), "without the other rule it is reported"


def test_the_interval_holds_beside_a_season_and_weekends() -> None:
    """Hours and weekends are known from two weeks only, and their error is in the interval as well."""
    within, found, later, period = 0, 0, NOW - 3.5 * DAY, DAY / 8
    for seed in range(60):
        value = noise(seed)

        def seconds(start: float, value: Callable[[float], float] = value) -> float:
            hour = 1.0 + 0.15 * math.sin(2.0 * math.pi * start / DAY)
            return value(900.0 * hour * (0.8 if weekend(start) else 1.0) * (1.3 if start >= later else 1.0))

        for item in _every(period, 112, NOW - 112 * period, seconds).recommended("degradation"):
            found += 1
            assert item.gain_share is not None
            within += item.gain_share.low <= 1 - 1 / 1.3 <= item.gain_share.high
    assert found >= 55
    assert within / found >= 0.9


def test_the_interval_spans_the_change_of_level_and_the_comparison_with_like_hours() -> None:
    wider, period = set(), DAY / 8
    for seed in range(12):
        value = noise(seed, spread=0.06)

        def seconds(start: float, value: Callable[[float], float] = value) -> float:
            return value(1200.0 if start >= NOW - 4 * DAY else 900.0)

        case = _every(period, 112, NOW - 112 * period, seconds)
        item, point = case.one("degradation"), case.analysis().trend.points[-1]
        runs = case.analysis().runs
        like = like_for_like([r for r in runs if r.end < point.time], [r for r in runs if r.end >= point.time])
        assert item.gain_share is not None
        assert like is not None
        assert item.gain_share.low == pytest.approx(1 - 1 / min(point.low, like.low))
        assert item.gain_share.high == pytest.approx(1 - 1 / max(point.high, like.high))
        wider |= {("low", point.low < like.low), ("high", point.high > like.high)}
    assert {("low", True), ("low", False), ("high", False)} <= wider


def test_an_increase_that_was_barely_noticed_is_less_than_it_looks() -> None:
    """Runs vary by a fifth, and take 1.3 times as long for six days: a third of such histories show it, and most of these
    because chance added to it."""
    shown, likely, held, said = [], [], [], []
    for seed in range(120):
        value = noise(seed, spread=0.2)

        def seconds(start: float, value: Callable[[float], float] = value) -> float:
            return value(1.3 * 900.0 if start >= NOW - 6 * DAY else 900.0)

        case = _every(DAY / 4, 56, NOW - 14 * DAY, seconds)
        for item in case.recommended("degradation"):
            assert item.gain_share is not None
            shown.append(1 - 1 / case.analysis().trend.points[-1].ratio)
            likely.append(item.gain_share.likely)
            held.append(item.gain_share.low <= 1 - 1 / 1.3 <= item.gain_share.high)
            said.append("because chance exaggerates what is noticed among runs that vary this much" in item.because)
    assert 25 <= len(shown) <= 60
    assert fmean(shown) > 1 - 1 / 1.3 + 0.03
    assert fmean(likely) == pytest.approx(1 - 1 / 1.3, abs=0.02)
    assert fmean(held) >= 0.9
    assert any(said)
    assert not all(said)


def test_what_tells_a_regression_is_in_its_evidence() -> None:
    item = scenarios.degradation().one("degradation")
    change, beside = item.evidence
    assert change.startswith("the median changed by a factor of 1.")
    assert beside.startswith("compared with earlier runs at similar times: a factor of 1.")


@pytest.mark.parametrize(("every", "count", "later"), [(1, 25, 9), (1, 20, 8), (0.5, 22, 8)])
def test_a_clear_step_is_found_within_the_first_day(every: float, count: int, later: int) -> None:
    """Every hour or half hour, so that an hour holds too few runs: the nearest ones tell that it came at once."""
    value, period = noise(3, spread=0.05), every * DAY / 24
    first = NOW // DAY * DAY - 3 * DAY
    cut = first + (count - later) * period
    case = _every(period, count, first, lambda t: value(900.0 if t >= cut else 300.0))
    assert len(case.recommended("degradation")) == 1


@pytest.mark.parametrize(
    ("likely", "was", "shown"),
    [(993.0, 993.4, "16m33s median, as before"), (1274.0, 1228.0, "about 21m14s median")],
)
def test_what_differs_from_the_median_before_is_not_said_to_be_as_before(likely: float, was: float, shown: str) -> None:
    """Runs of other hours or inputs, or a rise that chance has added to."""
    assert median_before(likely, was) == shown
