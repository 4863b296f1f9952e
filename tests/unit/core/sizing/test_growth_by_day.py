"""Growth of the largest peak of each day, where the runs at hand are of some hours only."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.sizing import daily_growth, largest_ahead

GI, FIRST = 2.0**30, 20_000


def by_day(rng: np.random.Generator, days: int, growth: float, spread: float = 0.03) -> dict[int, float]:
    at = np.arange(days)
    peaks = GI * np.exp(growth * at + spread * rng.normal(size=days))
    return {FIRST + int(day): float(peak) for day, peak in zip(at, peaks, strict=True)}


def test_growth_is_carried_on_for_one_and_a_half_times_the_days() -> None:
    found = largest_ahead(by_day(np.random.default_rng(1), 14, 0.03, 0.0))
    assert found == pytest.approx(GI * math.exp(0.03 * (13 + 1.5 * 14)))


def test_the_order_of_the_days_decides_not_that_of_the_mapping() -> None:
    days = by_day(np.random.default_rng(2), 14, 0.03)
    assert largest_ahead(dict(reversed(days.items()))) == largest_ahead(days)


@pytest.mark.parametrize(("days", "shown"), [(0, False), (1, False), (2, False), (4, False), (5, True), (6, True)])
def test_five_days_that_all_rise_are_the_fewest_that_show_growth(days: int, shown: bool) -> None:
    rising = by_day(np.random.default_rng(3), days, 0.3, 0.01)
    assert (largest_ahead(rising) is not None) is shown


@pytest.mark.parametrize(("days", "shown"), [(5, False), (6, False), (10, True)])
def test_one_day_that_needs_less_ends_what_few_days_show(days: int, shown: bool) -> None:
    rising = by_day(np.random.default_rng(3), days, 0.3, 0.01)
    assert (largest_ahead(rising | {FIRST + days - 1: GI}) is not None) is shown


def test_light_weekends_hide_no_growth() -> None:
    """Ten days from a Friday on, whose two weekends need half: in their order days show nothing."""
    growing = by_day(np.random.default_rng(6), 10, 0.04, 0.01)
    light = {day: peak / 2 if (day + 3) % 7 >= 5 else peak for day, peak in growing.items()}
    found = largest_ahead(light)
    assert found == pytest.approx(max(light.values()) * math.exp(0.04 * 1.5 * 10), rel=0.2)


@pytest.mark.parametrize(("known", "since"), [(12, 4), (12, 8), (14, 7), (14, 9)])
def test_one_step_up_is_no_growth(known: int, since: int) -> None:
    """Nor from week to week, where it was a week ago."""
    days = by_day(np.random.default_rng(7), known, 0.0)
    doubled = {day: 2 * peak if day >= FIRST + since else peak for day, peak in days.items()}
    assert largest_ahead(doubled) is None


@pytest.mark.parametrize("growth", [0.02, 0.05])
def test_growth_after_one_step_up_is_seen_among_the_days_since(growth: float) -> None:
    """The step explains these days better than a line does, but not what they have grown by since."""
    days = by_day(np.random.default_rng(9), 14, 0.0, 0.001)
    found = {
        day: 2 * peak * math.exp(growth * (day - FIRST - 5)) if day >= FIRST + 5 else peak for day, peak in days.items()
    }
    largest = largest_ahead(found)
    assert largest == pytest.approx(max(found.values()) * math.exp(growth * 1.5 * 14), rel=0.15)


def test_two_steps_up_are_growth() -> None:
    days = by_day(np.random.default_rng(8), 12, 0.0)
    found = {day: peak * 1.6 ** ((day - FIRST) // 4) for day, peak in days.items()}
    assert largest_ahead(found) is not None


@pytest.mark.parametrize("days", [5, 6, 7, 10, 14, 15])
def test_days_in_any_order_seldom_look_like_growth(days: int) -> None:
    rng = np.random.default_rng(4)
    found = [largest_ahead(by_day(rng, days, 0.0, 0.2)) for _ in range(500)]
    assert sum(size is not None for size in found) < 0.025 * len(found)


def test_days_that_fall_show_no_growth() -> None:
    assert largest_ahead(by_day(np.random.default_rng(5), 14, -0.05)) is None


@given(st.lists(st.floats(-1.0, 1.0), min_size=5, max_size=20), st.floats(-0.3, 0.3), st.integers(0, 20))
def test_growth_per_day_is_never_negative(noise: list[float], slope: float, turn: int) -> None:
    """Also where days rose and fall since, of which only the recent half counts."""
    days = np.arange(len(noise), dtype=np.float64)
    values = np.array(noise) * 0.05 + slope * np.minimum(days, turn) - 0.05 * np.maximum(days - turn, 0.0)
    found = daily_growth(values, days + FIRST)
    assert found is None or found >= 0.0
