"""A verification compares runs at equal times of the day and the week: neither a weekend nor a busy hour is an effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.changes.plan import Aim
from concertmaster.core.changes.verification.before_after import BeforeAfter, at_any_time, comparable, seasonal
from concertmaster.core.changes.verification.control_group import common_factor
from concertmaster.core.changes.verification.seasonality import deseasonalize
from concertmaster.core.changes.verification.verify import verify
from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import VerifySettings
from concertmaster.core.stats.comparison import compare, watch
from concertmaster.core.times import weekend
from tests.support.builders import DAY
from tests.support.core.verification_runs import HOUR, run

MONDAY = 1_767_571_200.0  # 2026-01-05 00:00 UTC
FRIDAY_EVENING, SUNDAY_EVENING = MONDAY + 4 * DAY + 21 * HOUR, MONDAY + 6 * DAY + 21 * HOUR
SETTINGS = VerifySettings()


def less_on_weekends(time: float) -> float:
    return 0.7 if weekend(time) else 1.0


def busy_by_day(time: float) -> float:
    return 1.0 + 0.25 * float(np.sin(2 * np.pi * time / DAY))


def life(
    applied: float, every: float, season: Callable[[float], float], *, effect: float = 1.0, after: int = 24,
    days: float = 14.0, seed: int = 1, cpu: float = 1.0,
) -> BeforeAfter:  # fmt: skip
    """Runs of ten minutes times ``season``, and times ``effect`` from ``applied`` on, when they request ``cpu`` cores."""
    rng = np.random.default_rng(seed)
    begins = [applied + every * (k + 0.5) for k in range(-round(days * DAY / every), after)]
    took = [600.0 * season(t) * float(np.exp(0.08 * rng.standard_normal())) for t in begins]
    rows = [
        run(i, t, s * (effect if t > applied else 1.0), cpu=cpu if t > applied else 1.0)
        for i, (t, s) in enumerate(zip(begins, took, strict=True))
    ]
    before = [r for r in rows if (r.start or 0.0) < applied]
    return BeforeAfter(tuple(before), tuple(rows[len(before) :]), after)


CASES = [
    pytest.param(FRIDAY_EVENING, 4 * HOUR, less_on_weekends, id="before a weekend"),
    pytest.param(SUNDAY_EVENING, 4 * HOUR, less_on_weekends, id="after a weekend"),
    pytest.param(MONDAY + 2 * DAY + 6 * HOUR, HOUR / 2, busy_by_day, id="before the quiet hours"),
    pytest.param(MONDAY + 2 * DAY + 20 * HOUR, HOUR / 2, busy_by_day, id="before the busy hours"),
]


@pytest.mark.parametrize(("applied", "every", "season"), CASES)
@pytest.mark.parametrize("looked", [6, 12, 24])
def test_a_change_without_effect_is_neither_harm_nor_gain(
    applied: float, every: float, season: Callable[[float], float], looked: int
) -> None:
    rows = life(applied, every, season, after=looked)
    found = verify(Aim.FASTER, rows, SETTINGS, age=DAY)
    assert found.verdict not in (Verdict.WORSE, Verdict.IMPROVED)
    assert found.measured is not None
    assert found.measured.low < 0.0 < found.measured.high


@pytest.mark.parametrize(("applied", "every", "season"), CASES)
def test_harm_and_gain_show_at_any_time(applied: float, every: float, season: Callable[[float], float]) -> None:
    slower = verify(Aim.CHEAPER, life(applied, every, season, effect=1.25), SETTINGS, age=DAY)
    assert (slower.verdict, slower.restore) == (Verdict.WORSE, True)
    faster = verify(Aim.FASTER, life(applied, every, season, effect=0.8), SETTINGS, age=DAY)
    assert faster.verdict is Verdict.IMPROVED
    assert faster.measured is not None
    assert faster.measured.low < -0.2 < faster.measured.high


@pytest.mark.parametrize("applied", [FRIDAY_EVENING, SUNDAY_EVENING])
def test_what_runs_reserve_is_measured_at_equal_times_too(applied: float) -> None:
    found = verify(Aim.CHEAPER, life(applied, 4 * HOUR, less_on_weekends, cpu=0.5), SETTINGS, age=DAY)
    assert found.verdict is Verdict.IMPROVED
    assert found.measured is not None
    assert found.measured.measure == "Cost"
    whole = life(applied, 4 * HOUR, lambda _: 1.0, cpu=0.5)
    alike = verify(Aim.CHEAPER, whole, SETTINGS, age=DAY).measured
    assert alike is not None
    assert found.measured.likely == pytest.approx(alike.likely, abs=0.03)


@pytest.mark.parametrize("effect", [1.0, 1.3])
def test_other_workflows_with_the_same_weekends_are_no_common_shift(effect: float) -> None:
    others = [life(FRIDAY_EVENING, 4 * HOUR, less_on_weekends, effect=effect, after=10, seed=s) for s in range(8)]
    found = common_factor(others)
    if effect == 1.0:
        assert found is None
    else:
        assert found is not None
        assert found.ratio == pytest.approx(effect, rel=0.06)


def test_a_common_shift_before_the_runs_compared_with_is_none() -> None:
    """Runs before them only tell hours and weekends."""
    others = [life(FRIDAY_EVENING, 4 * HOUR, less_on_weekends, after=10, seed=s) for s in range(8)]
    since = FRIDAY_EVENING - 7 * DAY
    slower = [
        replace(o, before=tuple(_longer(r, 1.5) if (r.start or 0.0) < since else r for r in o.before)) for o in others
    ]
    assert common_factor(slower) is not None
    assert common_factor(slower, since) is None


def _longer(record: RunRecord, factor: float) -> RunRecord:
    return replace(record, end=(record.start or 0.0) + factor * (record.makespan or 0.0))


@given(
    st.lists(st.floats(10.0, 1000.0), min_size=1, max_size=60),
    st.lists(st.floats(10.0, 1000.0), min_size=1, max_size=20),
    st.floats(0.1, 10.0),
)
def test_the_effect_of_a_change_is_never_taken_for_a_season(was: list[float], now: list[float], effect: float) -> None:
    before, after = _rows(was, MONDAY), _rows(now, MONDAY + 30 * DAY, len(was))
    took = {r.run: r.makespan or 0.0 for r in (*before, *after)}
    first = deseasonalize(before, after, took).amounts
    second = deseasonalize(before, after, took | {r.run: effect * took[r.run] for r in after}).amounts
    assert {r.run: first[r.run] for r in before} == {r.run: second[r.run] for r in before}
    for r in after:
        assert second[r.run] == pytest.approx(effect * (first[r.run] or 0.0))


def test_runs_that_no_hour_or_weekend_explains_stay_as_they_are() -> None:
    rows = life(FRIDAY_EVENING, 4 * HOUR, lambda _: 1.0)
    assert not seasonal(rows)
    assert seasonal(life(FRIDAY_EVENING, 4 * HOUR, less_on_weekends))
    unknown = {r.run: None for r in rows.before} | {r.run: 1.0 for r in rows.after}
    assert deseasonalize(rows.before, rows.after, unknown).amounts == unknown


def _rows(seconds: list[float], begin: float, first: int = 0) -> list[RunRecord]:
    return [run(first + i, begin + i * 5 * HOUR, s) for i, s in enumerate(seconds)]


def _error(rows: BeforeAfter) -> float:
    took = {r.run: r.makespan for r in (*rows.before, *rows.after)}
    return deseasonalize(rows.before, rows.after, took).error(rows.before[-20:], rows.after)


def test_hours_of_a_few_days_are_known_less_well_and_runs_all_of_one_hour_share_that_error() -> None:
    noon = MONDAY + 9 * DAY + 12 * HOUR
    few, many = (_error(life(noon, HOUR, busy_by_day, days=days, after=4)) for days in (3.0, 14.0))
    assert few > 1.5 * many > 0.0
    assert _error(life(noon, HOUR, busy_by_day, days=3.0, after=24)) < few  # of all hours: their errors cancel
    assert _error(life(noon, HOUR, lambda _: 1.0, days=3.0, after=4)) == 0.0


def test_the_error_of_what_is_removed_widens_the_interval_and_leaves_the_ratio() -> None:
    rng = np.random.default_rng(1)
    was, now = np.exp(0.1 * rng.standard_normal(40)), 1.2 * np.exp(0.1 * rng.standard_normal(10))
    for test in (compare, watch):
        exact, wider = test(was, now), test(was, now, error=0.1)
        assert wider.ratio == exact.ratio
        assert wider.low < exact.low < exact.high < wider.high
        assert wider.low > 0.6
    assert (compare(was, now).verdict, compare(was, now, error=0.1).verdict) == (Verdict.WORSE, Verdict.INCONCLUSIVE)


def test_two_days_tell_hours() -> None:
    """Of runs every ten minutes, thirty after a change are of five hours. Compared with all before, eleven of twelve changes
    without effect were called one."""
    wrong = 0
    for seed in range(12):
        at = MONDAY + 2 * DAY + 7 * seed % 24 * HOUR
        rows = life(at, HOUR / 6, busy_by_day, days=2.0, after=30, seed=seed)
        wrong += verify(Aim.FASTER, rows, SETTINGS, age=DAY).verdict in (Verdict.WORSE, Verdict.IMPROVED)
    assert wrong <= 1


def test_runs_of_a_weekend_are_not_compared_where_no_weekend_is_known_yet() -> None:
    weekend_only = life(FRIDAY_EVENING, 4 * HOUR, less_on_weekends, days=4.0, after=12)
    found = verify(Aim.FASTER, weekend_only, SETTINGS, age=2 * DAY)
    assert (found.verdict, found.verified_runs) == (None, 1)
    assert "1 of 5 to 30 runs seen since the change, 24 before it; 11 more on days of a kind" in found.reason
    late = verify(Aim.FASTER, weekend_only, SETTINGS, age=SETTINGS.max_age_seconds)
    assert late.verdict is Verdict.INCONCLUSIVE
    assert "24 runs before and 1 after it within 7d00h: too few to tell; 11 more on days of a kind" in late.reason
    days_after = life(FRIDAY_EVENING, 4 * HOUR, less_on_weekends, days=4.0, after=30, effect=1.25)
    assert verify(Aim.FASTER, days_after, SETTINGS, age=5 * DAY).verdict is Verdict.WORSE
    failing = replace(weekend_only, after=tuple(replace(r, outcome=Outcome.FAILED) for r in weekend_only.after))
    assert verify(Aim.FASTER, failing, SETTINGS, age=2 * DAY).verdict is Verdict.WORSE


def test_weekends_of_other_workflows_that_have_none_before_the_change_are_no_common_factor() -> None:
    """They would be removed from a workflow that is not compared on weekends, or whose own are removed already."""
    young = [life(FRIDAY_EVENING, 4 * HOUR, less_on_weekends, days=4.0, after=12, seed=s) for s in range(6)]
    assert common_factor(young) is None
    slowed = [
        life(FRIDAY_EVENING, 4 * HOUR, less_on_weekends, effect=1.3, days=4.0, after=24, seed=s) for s in range(6)
    ]
    found = common_factor(slowed)
    assert found is not None
    assert found.ratio == pytest.approx(1.3, rel=0.06)


def test_runs_of_busy_hours_are_no_clear_slowdown_after_those_of_a_night() -> None:
    """The newest sixty before the change, with which durations are compared, are those of a night."""

    def busy(time: float) -> float:
        return 1.9 if 8 * HOUR <= time % DAY < 18 * HOUR else 1.0

    morning = MONDAY + 9 * DAY + 8 * HOUR
    for looked in (2, 6, 20):
        found = verify(Aim.FASTER, life(morning, HOUR / 6, busy, days=5.0, after=looked), SETTINGS, age=DAY / 4)
        assert found.verdict is not Verdict.WORSE, found.reason
    slowed = life(morning, HOUR / 6, busy, effect=2.0, days=5.0, after=2)
    assert verify(Aim.FASTER, slowed, SETTINGS, age=DAY / 4).verdict is Verdict.WORSE


@pytest.mark.parametrize("season", [0.95, 0.9, 0.8])
def test_a_weekend_of_two_runs_before_a_change_says_little_of_the_rest_of_it(season: float) -> None:
    """Not clear enough to be removed, it was the effect of most changes on a Saturday morning."""
    wrong = 0
    for seed in range(12):
        rows = life(
            MONDAY + 5 * DAY + 2 * HOUR, HOUR, lambda t: season if weekend(t) else 1.0, days=4.6, after=30, seed=seed
        )
        wrong += verify(Aim.FASTER, rows, SETTINGS, age=2 * DAY).verdict in (Verdict.WORSE, Verdict.IMPROVED)
    assert wrong <= 2


def test_many_weekends_without_an_effect_hardly_widen_the_interval() -> None:
    saturday = MONDAY + 19 * DAY
    assert _error(life(saturday, HOUR, lambda _: 1.0, days=18.0, after=24)) < 0.02
    assert _error(life(saturday + 2 * DAY, HOUR, lambda _: 1.0, days=18.0, after=24)) < 0.02


def test_failures_count_on_days_of_any_kind() -> None:
    """Three runs of the first weekend fail, and none of the days that are compared."""

    def failed(rows: tuple[RunRecord, ...], *places: int) -> tuple[RunRecord, ...]:
        return tuple(replace(r, outcome=Outcome.FAILED) if i in places else r for i, r in enumerate(rows))

    rows = life(FRIDAY_EVENING, HOUR, lambda _: 1.0, days=4.0, after=70)
    rows = replace(rows, before=failed(rows.before, 60, 80), after=failed(rows.after, 5, 10, 20))
    found = verify(Aim.SAFER, rows, SETTINGS, age=4 * DAY)
    assert found.verdict is Verdict.SAME
    assert found.measured is not None
    assert found.measured.likely == pytest.approx(3 / 70 - 2 / 60)


def test_the_spread_of_input_sizes_is_no_error_of_weekends_at_equal_size() -> None:
    rng = np.random.default_rng(5)
    rows = life(MONDAY + 5 * DAY + 2 * HOUR, HOUR, lambda _: 1.0, after=12)
    factors = {r.run: float(np.exp(0.5 * rng.standard_normal())) for r in (*rows.before, *rows.after)}

    def sized(runs: tuple[RunRecord, ...]) -> tuple[RunRecord, ...]:
        return tuple(replace(_longer(r, factors[r.run]), input_size=1e9 * factors[r.run]) for r in runs)

    varied = replace(rows, before=sized(rows.before), after=sized(rows.after))
    plain, even = (at_any_time(found, comparable(found))[0] for found in (rows, varied))
    errors = [seconds.error(r.before[-20:], r.after) for seconds, r in ((plain, rows), (even, varied))]
    assert 0.0 < errors[1] < 1.5 * errors[0]
