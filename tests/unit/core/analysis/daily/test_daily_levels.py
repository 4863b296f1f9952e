"""Daily medians: a level that rose and stays, distinguished from noise, weekends, drift, and what has passed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.analysis.daily.levels import as_every_month, lasting_rise
from concertmaster.core.times import weekend
from concertmaster.core.units import DAY

FIRST = 20_003  # a Monday
LEAST = 0.1


def medians(factor: Callable[[int], float], days: int = 21, *, seed: int = 1, spread: float = 0.03) -> dict[int, float]:
    """By day, with log-normal noise; ``factor`` of the number of the day."""
    chance = random.Random(seed)
    return {FIRST + n: 400.0 * factor(n) * chance.lognormvariate(0, spread) for n in range(days)}


@pytest.mark.parametrize("at", [8, 10, 14, 17, 19])
def test_a_lasting_rise_is_dated_and_sized(at: int) -> None:
    found = lasting_rise(medians(lambda n: 1.4 if n >= at else 1.0), LEAST)
    assert found is not None
    assert (found.before[-1], found.after[0]) == (FIRST + at - 1, FIRST + at)
    assert found.factor.low < 1.4 < found.factor.high
    assert found.factor.high / found.factor.low < 1.2


def test_days_are_compared_beside_the_effect_of_weekends() -> None:
    """A slow day before a weekend that is twice as fast."""
    days = medians(lambda n: (0.5 if weekend((FIRST + n) * DAY) else 1.0) * (1.4 if n >= 11 else 1.0))
    found = lasting_rise(days, LEAST)
    assert found is not None
    assert found.after[0] == FIRST + 11
    assert found.factor.likely == pytest.approx(1.4, rel=0.05)


@settings(max_examples=150)
@given(
    st.integers(0, 10**6),
    st.integers(0, 6),
    st.lists(st.floats(0.7, 1.4), min_size=7, max_size=7),
    st.sampled_from([0.0, 0.02, 0.05, 0.15]),
    st.integers(2, 35),
)
def test_a_weekly_rhythm_is_no_rise(seed: int, shift: int, week: list[float], spread: float, days: int) -> None:
    """Whatever the days of a week take, on any day of it, from the second week on; before, too few days are known."""
    found = lasting_rise(medians(lambda n: week[(n + shift) % 7], days, seed=seed, spread=spread), LEAST)
    assert found is None


@pytest.mark.parametrize("spread", [0.03, 0.1, 0.2])
def test_steady_days_hardly_ever_show_one(spread: float) -> None:
    found = [
        lasting_rise(medians(lambda _: 1.0, 8 + seed % 28, seed=seed, spread=spread), LEAST) for seed in range(400)
    ]
    assert sum(each is not None for each in found) <= 1


@pytest.mark.parametrize(
    ("level", "begin", "end"),
    [
        pytest.param(lambda n: 1.02**n, 0, 20, id="all along"),
        pytest.param(lambda n: 1.04 ** max(0, n - 7), 7, 20, id="begins"),
        pytest.param(lambda n: 1.03 ** min(n, 12), 0, 12, id="ends"),
        pytest.param(lambda n: 1.06 ** min(max(0, n - 6), 8), 6, 14, id="within"),
    ],
)
def test_growth_is_a_rise_between_two_days_and_not_since_one(
    level: Callable[[int], float], begin: int, end: int
) -> None:
    found = [lasting_rise(medians(level, seed=seed), LEAST) for seed in range(30)]
    grown = [rise for rise in found if rise is not None and rise.growth is not None]
    near = [rise for rise in grown if max(abs(rise.begin - FIRST - begin), abs(rise.after[0] - FIRST - end)) <= 3]
    held = [rise for rise in grown if rise.factor.low < level(20) < rise.factor.high]
    assert (len(found) - found.count(None), len(grown)) == (30, 30)
    assert len(near) >= 27
    assert len(held) >= 27


@pytest.mark.parametrize("shown", [0.0, 0.3, 0.5, 0.7])
def test_a_step_within_a_day_is_no_growth(shown: float) -> None:
    """Of the median of that day, with runs before and after it, ``shown`` of the step."""
    found = [
        lasting_rise(medians(lambda n: 1.4 ** min(1.0, max(0.0, n - 10 + shown)), seed=seed), LEAST)
        for seed in range(30)
    ]
    assert sum(rise is not None and rise.growth is None for rise in found) >= 29


def test_growth_needs_two_weeks_of_days_to_be_distinguished_from_days_of_the_week() -> None:
    growing = medians(lambda n: 1.03**n)
    assert lasting_rise({day: growing[day] for day in sorted(growing)[:14]}, LEAST) is None
    assert lasting_rise({day: growing[day] for day in sorted(growing)[:15]}, LEAST) is not None


def test_growth_that_has_passed_is_none() -> None:
    assert lasting_rise(medians(lambda n: 1.04**n if n < 18 else 1.0), LEAST) is None


@pytest.mark.parametrize(
    "factor",
    [
        lambda n: 1.4 if 8 <= n < 19 else 1.0,  # has passed
        lambda n: 0.7 if 8 <= n < 15 else 1.0,  # ends a holiday
        lambda n: 0.7 if n >= 10 else 1.0,  # an improvement
        lambda n: 1.4 if n >= 20 else 1.0,  # a single day
        lambda n: 1.05 if n >= 10 else 1.0,  # small
    ],
)
def test_what_is_no_lasting_rise(factor: Callable[[int], float]) -> None:
    assert lasting_rise(medians(factor), LEAST) is None


def without(days: Mapping[int, float], *gone: int) -> dict[int, float]:
    return {day: seconds for day, seconds in days.items() if day - FIRST not in gone}


def test_days_before_a_gap_say_nothing() -> None:
    """Three days may be a long weekend without runs, four are missing."""
    days = medians(lambda n: 1.4 if n >= 14 else 1.0)
    assert lasting_rise(without(days, 12, 13), LEAST) is not None
    assert lasting_rise(without(days, 11, 12, 13), LEAST) is None
    assert lasting_rise(without(days, *range(12)), LEAST) is None  # two days before it are known


def test_one_day_is_enough_where_runs_showed_it() -> None:
    days = medians(lambda n: 1.4 if n >= 20 else 1.0)
    found = lasting_rise(days, LEAST, after=1)
    assert found is not None
    assert math.isclose(found.factor.likely, 1.4, rel_tol=0.1)


def test_a_rise_between_working_days_and_a_weekend_is_sized_by_all_days() -> None:
    """Without the two days beside it, a step is no other than the effect of weekends: dividing by what is left of it failed
    the analysis of the workflow."""
    # From a Monday to a Friday and a Sunday; then a Wednesday and a weekend.
    days = [FIRST + n for n in (0, 1, 2, 3, 4, 6, 9, 12, 13)]
    seconds = {day: 400.0 * (1.4 if day >= FIRST + 9 else 1.0) * (1.01 if day % 2 else 1.0) for day in days}
    found = lasting_rise(seconds, LEAST)
    assert found is not None
    assert found.after == tuple(days[6:])
    assert found.factor.likely == pytest.approx(1.4, rel=0.05)


@pytest.mark.parametrize(
    ("apart", "known"),
    [(22, False), (23, True), (35, True), (36, False)],
)
def test_days_that_come_every_month_began_28_to_35_days_before(apart: int, known: bool) -> None:
    """A month end lasts for five days at the most."""
    before = medians(lambda n: 1.0, 60)
    assert as_every_month({FIRST + 60: 900.0}, before | {FIRST + 60 - apart: 850.0}, 600.0) is known


@pytest.mark.parametrize("since", [1, 3, 5, 6])
def test_a_month_end_that_has_begun_may_go_on_for_as_long_as_the_last_one(since: int) -> None:
    before = medians(lambda n: 1.0, 60) | {FIRST + 60 - 30 + n: 850.0 for n in range(5)}
    assert as_every_month({FIRST + 60 + n: 900.0 for n in range(since)}, before, 600.0) is (since <= 5)


def test_a_step_that_was_published_stays_where_a_drift_comes_to_explain_it_nearly_as_well() -> None:
    seconds = [423, 421, 437, 424, 448, 423, 454, 436, 465, 509, 523, 508, 519, 527, 550, 525, 536, 532, 549, 549, 545]
    days = {20_000 + i: float(value) for i, value in enumerate(seconds)}
    assert lasting_rise(days, 0.07) is None
    rise = lasting_rise(days, 0.07, published=True)
    assert rise is not None
    assert rise.after[0] in (20_008, 20_009)
