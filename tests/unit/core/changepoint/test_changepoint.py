"""Change points, ramps, trends and outlooks on series of known make."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from concertmaster.core.changepoint import Direction, OutlookState, detect, outlook
from concertmaster.core.changepoint.ramps import goes_on
from concertmaster.core.changepoint.scores import best_split, split_p_value
from concertmaster.core.changepoint.segment import serial_dependence

DAY = 86400.0
MONDAY = 1_759_708_800.0  # 2025-10-06 00:00 UTC


def lognormal(rng: np.random.Generator, n: int, sigma: float = 0.15) -> np.ndarray:
    return 100.0 * np.exp(rng.normal(0, sigma, n))


def days(n: int) -> np.ndarray:
    return 1.7e9 + DAY * np.arange(n)


def test_a_step_is_found_with_place_size_and_direction() -> None:
    rng = np.random.default_rng(1)
    values = lognormal(rng, 60)
    values[35:] *= 1.4
    changes = detect(days(60), values)
    assert changes.enough
    assert len(changes.points) == 1
    point = changes.points[0]
    assert abs(point.index - 35) <= 2
    assert point.time == days(60)[point.index]
    assert point.direction is Direction.UP
    assert point.low < 1.4 < point.high
    assert point.confidence > 0.995
    assert changes.ramps == ()
    assert not changes.drifting


@pytest.mark.parametrize(("carried", "least"), [(0.0, 50), (0.5, 44)])
def test_intervals_hold_a_step_among_values_that_carry_over(carried: float, least: int) -> None:
    rng, held = np.random.default_rng(41), 0
    for _ in range(60):
        deviations = rng.standard_normal(120)
        for i in range(1, 120):
            deviations[i] += carried * deviations[i - 1]
        values = 100.0 * np.exp(0.1 * deviations)
        values[60:] *= 1.6
        held += any(abs(p.index - 60) <= 3 and p.low <= 1.6 <= p.high for p in detect(days(120), values).points)
    assert held >= least  # of those that carry over 39 where they count as independent


def test_trends_hold_growth_where_days_differ() -> None:
    rng, held = np.random.default_rng(43), 0
    times = DAY * np.arange(112) / 8.0
    for _ in range(60):
        day = np.repeat(rng.standard_normal(14), 8)
        deviations = rng.standard_normal(112) + 0.7 * day
        trend = detect(times, 100.0 * np.exp(0.05 * deviations + 0.1 * times / (7 * DAY))).trend_per_week
        held += trend is not None and trend.low <= math.expm1(0.1) <= trend.high
    assert held >= 37  # 31 without what the runs of a day have in common


def test_an_improvement_and_a_relapse_are_two_points() -> None:
    rng = np.random.default_rng(2)
    values = lognormal(rng, 90)
    values[30:60] *= 0.6
    points = detect(None, values).points
    assert [p.direction for p in points] == [Direction.DOWN, Direction.UP]
    assert points[0].ratio == pytest.approx(0.6, abs=0.08)
    assert all(math.isnan(p.time) for p in points)


def test_quiet_series_stay_quiet_for_any_noise() -> None:
    rng = np.random.default_rng(3)
    shapes = (
        lambda: lognormal(rng, 60, 0.3),
        lambda: 1.0 + rng.exponential(size=60),
        lambda: np.exp(rng.integers(3, size=60) + rng.normal(0, 0.03, 60)),
        lambda: np.abs(rng.standard_cauchy(60)) + 0.1,
    )
    alarms = sum(bool(detect(None, shape()).points) for _ in range(60) for shape in shapes)
    assert alarms <= 5  # 240 series at a designed rate of 0.5%


def test_long_quiet_series_of_rounded_values_stay_quiet() -> None:
    """Whole seconds about 20, and counts that are mostly zero: a few values at either end are no level."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(60):
        alarms += bool(detect(None, np.round(20.0 * np.exp(rng.normal(0, 0.03, 300)))).points)
        alarms += bool(detect(None, rng.poisson(0.3, 300).astype(float)).points)
    assert alarms <= 1


def test_a_single_outlier_is_no_change() -> None:
    values = lognormal(np.random.default_rng(4), 50)
    values[25] *= 50
    assert detect(None, values).points == ()


def test_a_small_shift_inside_clustered_noise_is_found() -> None:
    rng = np.random.default_rng(5)
    values = np.exp(rng.integers(2, size=120) * 2.0 + rng.normal(0, 0.04, 120))
    values[60:] *= 1.25
    points = detect(None, values).points
    assert len(points) == 1
    assert abs(points[0].index - 60) <= 4


def test_a_random_walk_is_not_chopped_up() -> None:
    rng = np.random.default_rng(6)
    found = [len(detect(None, np.exp(np.cumsum(rng.normal(0, 0.05, 150)))).points) for _ in range(20)]
    assert np.mean(found) <= 2.0


def test_a_drifting_series_reports_its_change_of_course() -> None:
    rng = np.random.default_rng(7)
    course = np.concatenate([np.linspace(0, 0.5, 60), np.linspace(0.5, 3, 60)])
    changes = detect(None, np.exp(course + rng.normal(0, 0.01, 120)))
    assert changes.drifting
    assert any(abs(point.index - 60) <= 6 for point in changes.points)


def test_a_ramp_is_distinguished_from_a_step() -> None:
    rng = np.random.default_rng(8)
    growth = np.clip((np.arange(120) - 40) / 40, 0, 1) * math.log(1.8)
    changes = detect(days(120), np.exp(growth) * lognormal(rng, 120, 0.12))
    assert len(changes.ramps) == 1
    ramp = changes.ramps[0]
    assert abs(ramp.start - 40) <= 10
    assert abs(ramp.end - 80) <= 10
    assert ramp.ratio == pytest.approx(1.8, abs=0.15)
    assert ramp.low < 1.8 < ramp.high
    assert ramp.points == tuple(range(len(changes.points)))


def test_the_size_of_growth_all_along_is_that_of_its_line() -> None:
    """Not that of its first and its last value."""
    for seed in range(20):
        values = 1.8 ** (np.arange(120) / 119) * lognormal(np.random.default_rng(seed), 120, 0.2)
        for ramp in detect(days(120), values).ramps:
            assert ramp.ratio == pytest.approx(1.8, abs=0.5)
            assert math.log(ramp.high / ramp.low) < 0.5


def test_trend_per_week() -> None:
    rng = np.random.default_rng(9)
    values = lognormal(rng, 40, 0.2) * np.exp(0.01 * np.arange(40))
    trend = detect(days(40), values).trend_per_week
    assert trend is not None
    assert trend.low < math.expm1(0.07) < trend.high


def test_order_of_the_input_does_not_matter_when_times_are_given() -> None:
    rng = np.random.default_rng(10)
    values = lognormal(rng, 60)
    values[30:] *= 1.5
    order = rng.permutation(60)
    straight, shuffled = detect(days(60), values), detect(days(60)[order], values[order])
    assert [p.time for p in straight.points] == [p.time for p in shuffled.points]
    assert [order[p.index] for p in shuffled.points] == [p.index for p in straight.points]


def test_missing_values_are_skipped_and_indices_refer_to_the_series_given() -> None:
    rng = np.random.default_rng(11)
    values: list[float | None] = [*lognormal(rng, 40), *(1.6 * lognormal(rng, 40))]
    values[3:3] = [None, float("nan"), float("inf")]
    points = detect(None, values).points
    assert len(points) == 1
    assert abs(points[0].index - 43) <= 2


@pytest.mark.parametrize(
    ("times", "values", "expected"),
    [
        (None, [], "0 of 12"),
        (None, [1.0], "1 of 12"),
        ([1.0], [1.0, 2.0], "one of each per run"),
        (None, [None] * 30, "0 of 12"),
    ],
)
def test_too_little_data_is_said(times: list[float] | None, values: list[float], expected: str) -> None:
    changes = detect(times, values)
    assert not changes.enough
    assert changes.points == ()
    assert expected in (changes.reason or "")


def test_zeros_and_constants() -> None:
    assert detect(None, [5.0] * 50).points == ()
    assert detect(None, [0.0] * 50).points == ()
    rng = np.random.default_rng(112)
    zeros = lognormal(rng, 60)
    zeros[::10] = 0.0
    zeros[30:] *= 2
    assert len(detect(None, zeros).points) == 1


def test_larger_inputs_are_not_a_change_of_the_step() -> None:
    rng = np.random.default_rng(14)
    sizes = np.exp(rng.normal(0, 0.5, 80))
    sizes[40:] *= 3.0
    values = 10.0 * sizes**0.8 * np.exp(rng.normal(0, 0.1, 80))
    raw = detect(days(80), values)
    assert len(raw.points) == 1
    adjusted = detect(days(80), values, inputs=sizes)
    assert adjusted.adjusted
    assert adjusted.points == ()


def test_few_runs_of_two_sizes_show_what_inputs_explain() -> None:
    """Two dozen runs proportional to their input, most of them of one size, until all inputs are three times as large."""
    adjusted = alarms = unrelated = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sizes = np.where(rng.random(24) < 0.3, 5.0, 0.5) * np.where(np.arange(24) < 12, 1.0, 3.0)
        noise = np.exp(rng.normal(0, 0.1, 24))
        found = detect(None, 100.0 * sizes * noise, inputs=sizes)
        adjusted += found.adjusted
        alarms += bool(found.points)
        unrelated += detect(None, 100.0 * noise, inputs=sizes).adjusted
    assert adjusted >= 40
    assert alarms <= 10
    assert unrelated <= 3


def test_what_inputs_do_not_explain_stays_a_change() -> None:
    rng = np.random.default_rng(15)
    sizes = np.exp(rng.normal(0, 0.5, 100))
    sizes[50:] *= 2.0
    values = 10.0 * sizes * np.exp(rng.normal(0, 0.08, 100))
    values[50:] *= 1.5
    assert detect(None, values, inputs=sizes).points[0].ratio == pytest.approx(1.5, abs=0.1)


def test_outlook_dates_a_rising_trend() -> None:
    rng = np.random.default_rng(17)
    times = days(60)
    values = 600.0 * np.exp(0.01 * np.arange(60) + rng.normal(0, 0.05, 60))
    now = times[-1] + DAY
    expected = now + DAY * (math.log(1500 / 600) - 0.60) / 0.01
    seen = outlook(times, values, 1500.0, now=now)
    assert seen.state is OutlookState.AT_RISK
    assert seen.at is not None
    assert seen.at.low <= seen.at.likely <= seen.at.high
    assert seen.at.low < expected < seen.at.high
    assert abs(seen.at.likely - expected) < 9 * DAY
    assert seen.level == pytest.approx(600 * math.exp(0.6), rel=0.08)


def test_outlook_holds_the_day_the_objective_is_missed_in_its_interval() -> None:
    """The level at the end of a trend is as uncertain as its slope: 95% promised, of about 50 series with a date."""
    dated = held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        days = np.arange(168) / 12 - 14
        growth, margin = rng.uniform(0.015, 0.03), np.log(rng.uniform(1.05, 1.15))
        values = 600 * np.exp(growth * days + 0.06 * rng.standard_normal(days.size))
        seen = outlook(days * DAY, values, 600 * float(np.exp(margin)), now=0.0)
        if seen.at is not None and seen.state is OutlookState.AT_RISK:
            dated += 1
            held += seen.at.low <= margin / growth * DAY <= seen.at.high
    assert dated >= 40
    assert held >= 0.88 * dated


def test_outlook_of_growth_by_an_amount_holds_the_day_too() -> None:
    """Growth by 3% of the present run time a day: by a share it would be missed in two thirds of the time."""
    rng, held, said = np.random.default_rng(8), 0, 0
    days = np.arange(56) / 4 - 14
    for _ in range(40):
        values = 600 * (1 + 0.03 * days) * np.exp(0.06 * rng.standard_normal(56))
        seen = outlook(days * DAY, values, 600 * 1.2, now=0.0)
        if seen.at is not None:
            held += seen.at.low <= 0.2 / 0.03 * DAY <= seen.at.high
            said += 1
    assert said >= 20
    assert held >= 0.9 * said


@pytest.mark.parametrize(
    "level",
    [lambda t: 1.0 + t, lambda t: 0.7 + 0.3 * (1.0 + 1.0 / 0.3) ** t],
    ids=["by an amount", "one step of several by a share"],
)
def test_outlook_dates_fast_growth_by_its_curvature(level: Callable[[np.ndarray], np.ndarray]) -> None:
    """Runs take twice as long after 28 days, and the limit is reached after half as long again; by a share a day, the date
    lay at 0.6 and 1.5 times the true one."""
    rng, share = np.random.default_rng(11), np.arange(56) / 56
    dates, held = [], 0
    for _ in range(24):
        values = 600 * level(share) * np.exp(0.05 * rng.standard_normal(56))
        seen = outlook(share * 28 * DAY, values, 600 * float(level(np.array(1.5))), now=28 * DAY)
        if seen.at is not None:
            dates.append((seen.at.likely - 28 * DAY) / (14 * DAY))
            held += seen.at.low <= 42 * DAY <= seen.at.high
    assert len(dates) >= 15
    assert 0.8 <= np.median(dates) <= 1.25
    assert held >= 0.8 * len(dates)


@pytest.mark.parametrize("seed", [26, 30, 45])
def test_growth_whose_newest_third_falls_does_not_go_on(seed: int) -> None:
    """By too little, beside noise of 6%, for growth that has ended to describe it better."""
    x, noise = np.arange(56.0), 0.06 * np.random.default_rng(seed).standard_normal(56)
    assert goes_on(x, 0.006 * x + noise, 0.006)
    assert not goes_on(x, 0.006 * (np.minimum(x, 44.0) - 0.5 * np.maximum(0.0, x - 44.0)) + noise, 0.004)


def test_outlook_seldom_takes_a_step_of_the_size_of_the_noise_for_growth() -> None:
    """56 runs in 14 days with noise of 6%, at a limit 3% above their newest level."""
    chance, days, at_risk = np.random.default_rng(4), np.arange(56) / 4 - 14, {"step": 0, "growth": 0}
    for _ in range(80):
        quiet = np.exp(0.06 * chance.standard_normal(56))
        levels = {"step": np.where(days >= chance.uniform(-11, -3), 1.06, 1.0), "growth": 1 + 0.2 * (days + 14) / 14}
        for name, level in levels.items():
            seen = outlook(days * DAY, 600 * level * quiet, 600 * 1.03 * float(level[-1]), now=0.0)
            at_risk[name] += seen.state is OutlookState.AT_RISK
    assert at_risk["step"] <= 20
    assert at_risk["growth"] >= 48


def test_outlook_of_growth_that_has_ended_seldom_has_a_date() -> None:
    """Run times approach 1.3 times as much, or grow by 30% and on; a limit 8% above their newest level."""
    chance, share, at_risk = np.random.default_rng(6), np.arange(56) / 56, {"ended": 0, "growth": 0}
    for _ in range(60):
        quiet = np.exp(0.06 * chance.standard_normal(56))
        for name, level in (("ended", 1.3 - 0.3 * np.exp(-4.0 * share)), ("growth", 1.3**share)):
            seen = outlook(share * 14 * DAY, 600 * level * quiet, 600 * 1.08 * float(level[-1]), now=14 * DAY)
            at_risk[name] += seen.state is OutlookState.AT_RISK
    assert at_risk["ended"] <= 10
    assert at_risk["growth"] >= 50


def test_growth_that_has_ended_is_seen_after_runs_that_began_at_one_time() -> None:
    """Ten runs of a backfill begin in one second."""
    times = np.concatenate([np.zeros(9), np.arange(51.0)])
    noise = 0.03 * np.random.default_rng(1).standard_normal(60)
    assert not goes_on(times, 0.01 * np.minimum(times, 30.0) + noise, 0.008)
    assert goes_on(times, 0.01 * times + noise, 0.01)


def test_outlook_sees_growth_beside_weekends() -> None:
    """Growth by 30% in two weeks, runs at weekends a fifth shorter, a limit that is reached within a week."""
    at_risk = 0
    for seed in range(30):
        rng, times = np.random.default_rng(seed), MONDAY + np.arange(56) / 4 * DAY
        weekend = (times - MONDAY) % (7 * DAY) >= 5 * DAY
        values = 600 * 1.3 ** ((times - MONDAY) / (14 * DAY)) * np.where(weekend, 0.8, 1.0)
        seen = outlook(times, values * np.exp(0.05 * rng.standard_normal(56)), 600 * 1.3 * 1.08, now=float(times[-1]))
        at_risk += seen.state is OutlookState.AT_RISK
    assert at_risk >= 20


def test_outlook_of_growth_that_passed_the_limit_says_when() -> None:
    days = np.arange(56) / 4 - 14
    values = 600 * np.exp(0.02 * days + 0.01 * np.random.default_rng(1).standard_normal(days.size))
    seen = outlook(days * DAY, values, 600 * math.exp(-0.08), now=0.0)
    assert seen.state is OutlookState.MISSED
    assert seen.at is not None
    assert seen.at.low <= seen.at.likely <= seen.at.high < 0
    assert seen.at.likely == pytest.approx(-4 * DAY, rel=0.2)


def test_outlook_when_met_missed_or_unknown() -> None:
    rng = np.random.default_rng(18)
    times, values = days(40), lognormal(rng, 40)
    now = times[-1]
    assert outlook(times, values, 500.0, now=now).state is OutlookState.MET
    assert outlook(times, values, 50.0, now=now).state is OutlookState.MISSED
    assert outlook(times, values, 105.0, percentile=0.95, now=now).state is OutlookState.MISSED
    assert outlook(times[:5], values[:5], 500.0, now=now).state is OutlookState.UNKNOWN
    assert outlook(times, values, 0.0, now=now).state is OutlookState.UNKNOWN
    slow = 100.0 * np.exp(0.01 * np.arange(40) + rng.normal(0, 0.01, 40))
    assert outlook(times, slow, 1e6, now=now).state is OutlookState.MET


def test_the_p_value_of_a_split_is_the_frequency_without_change() -> None:
    rng = np.random.default_rng(19)
    for draw in (rng.normal, rng.exponential):
        p = np.array([split_p_value(best_split(draw(size=40))[1], 40) for _ in range(1500)])
        assert np.mean(p < 0.05) <= 0.06
        assert np.mean(p < 0.01) <= 0.018
        assert np.mean(p < 0.2) >= 0.04


def test_serial_dependence() -> None:
    rng = np.random.default_rng(20)
    independent = rng.normal(size=300)
    stepped = independent + np.repeat([0.0, 2.0], 150)
    carried = np.empty(300)
    carried[0] = 0.0
    for i in range(1, 300):
        carried[i] = 0.8 * carried[i - 1] + independent[i]
    assert serial_dependence(independent) < 0.2
    assert serial_dependence(stepped) < 0.3
    assert 0.5 < serial_dependence(carried) < 0.9
    assert serial_dependence(np.ones(300)) == 0.0
    assert serial_dependence(np.ones(2)) == 0.0


def test_values_that_differ_by_less_than_their_rounding_give_an_answer() -> None:
    """A kernel narrower than the distance of neighbouring floats once broke the alignment."""
    no = None
    values = [no, no, 0.0, 1.0, no, 0.0, no, 2.0, no, no, 0.0, 0.0, no, 0.0, 1.0, -5e-118, 1.0, 0.5, no, 2.0, no]
    times = [no, no, 0.0, 1.0, no, 1.0, no, 1.0, no, no, 0.0, 0.0, no, 0.0, 0.0, 0.0, 0.0, 0.0, no, 0.0, no]
    assert detect(times, values).points == ()


def test_steady_growth_cut_into_levels_still_rises() -> None:
    """Two percent a day, twelve runs a day: the last level looks flat, the growth goes on."""
    flat = rising = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        i = np.arange(168)
        values = 300.0 * np.exp(0.02 * i / 12 + rng.normal(0, 0.04, 168))
        trend = detect(1.7e9 + 7200.0 * i, values).trend_per_week
        assert trend is not None
        flat += trend.low <= 0
        stopped = 300.0 * np.exp(0.02 * np.minimum(i, 90) / 12 + rng.normal(0, 0.04, 168))
        trend = detect(1.7e9 + 7200.0 * i, stopped).trend_per_week
        assert trend is not None
        rising += trend.low > 0
    assert flat == 0
    assert rising <= 2


def test_growth_cut_into_one_step_still_reaches_the_limit() -> None:
    """A fifth more in two weeks, four runs a day: one step may describe the half of it as well as a line does."""
    reached = sudden = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        i, noise = np.arange(56), rng.normal(0, 0.06, 56)
        times, now = 1.7e9 + 21600.0 * i, 1.7e9 + 21600.0 * 56
        growing = 1000.0 * (1 + 0.2 * i / 55) * np.exp(noise)
        reached += outlook(times, growing, 1236.0, now=now).state is not OutlookState.MET
        stepped = 1000.0 * np.where(i >= rng.integers(14, 42), 1.2, 1.0) * np.exp(noise)
        sudden += outlook(times, stepped, 1236.0, now=now).state is OutlookState.AT_RISK
    assert reached >= 48
    assert sudden == 0


@pytest.mark.parametrize("noisy_first", [False, True])
def test_a_change_is_placed_where_it_is_though_one_side_hardly_varies(noisy_first: bool) -> None:
    places = []
    for seed in range(20):
        still, noisy = np.full(30, 10.0), 17.0 + np.random.default_rng(seed).exponential(3.0, 30)
        values = np.concatenate([noisy, still] if noisy_first else [still, noisy])
        places += [p.index for p in detect(days(60), values).points]
    assert len(places) == 20
    assert max(abs(place - 30) for place in places) <= 2


@pytest.mark.parametrize("level", [1.0, 7.0])
def test_a_level_that_starts_at_zero_is_a_change(level: float) -> None:
    (point,) = detect(days(60), np.asarray([0.0] * 30 + [level] * 30)).points
    assert (point.index, point.direction) == (30, Direction.UP)
