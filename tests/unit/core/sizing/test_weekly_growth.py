"""Growth of peaks beside a pattern of the week, which hides it from a test by order, or looks like it."""

from __future__ import annotations

import numpy as np
import pytest

from concertmaster.core.sizing import memory_request
from concertmaster.core.sizing.trend import order_z, weekly_growth

GI, DAY, Z = 2.0**30, 86400.0, 2.326
MONDAY = 4 * DAY
WEEK = np.array([1.6, 1.0, 1.0, 1.0, 1.1, 0.5, 0.4])


def series(
    rng: np.random.Generator, days: int, a_day: int, growth: float, first: int = 0, week: np.ndarray = WEEK
) -> tuple[np.ndarray, ...]:
    """Peaks (bytes) and ends (unix s) of the runs of so many days from weekday ``first`` on; ``growth``: share by day."""
    at = first + np.arange(days * a_day) / a_day
    peaks = 2 * GI * week[np.floor(at).astype(int) % 7] * np.exp(growth * at + 0.04 * rng.normal(size=at.size))
    return peaks, MONDAY + DAY * at + 600.0 * rng.random(at.size)


@pytest.mark.parametrize("a_day", [1, 2, 6])
def test_growth_beside_weekdays_is_found_with_its_rate(a_day: int) -> None:
    rng = np.random.default_rng(a_day)
    found = []
    for first in range(7):
        peaks, times = series(rng, 14, a_day, 0.03, first)
        found.append((weekly_growth(np.log(peaks), times) or 0.0) * a_day)
    assert all(0.02 < growth < 0.04 for growth in found)


@pytest.mark.parametrize("without", [(1, 4), (8, 11)])
def test_days_without_runs_make_no_growth_faster(without: tuple[int, int]) -> None:
    """A week then has fewer runs that are compared with one a week before, in the same time."""
    rng = np.random.default_rng(4)
    found = []
    for first in range(7):
        peaks, times = series(rng, 14, 6, 0.03, first)
        day = (times - times[0]) / DAY
        kept = (day < without[0]) | (day >= without[1])
        growth = weekly_growth(np.log(peaks[kept]), times[kept]) or 0.0
        found.append(growth * (kept.sum() - 1) / day[-1])
    assert np.mean(found) == pytest.approx(0.03, rel=0.1)


def test_a_few_runs_of_months_ago_make_no_growth_faster() -> None:
    peaks, times = series(np.random.default_rng(5), 14, 6, 0.03)
    before = times[0] - 7 * DAY * np.arange(9, 3, -1)
    growth = weekly_growth(np.log(peaks), times)
    assert growth == weekly_growth(np.log(np.concatenate([peaks[:6], peaks])), np.concatenate([before, times]))
    assert growth is not None and growth > 0.0


def test_a_week_that_rises_is_no_growth() -> None:
    rng = np.random.default_rng(1)
    cases = [series(rng, 14, 6, 0.0, week=WEEK[::-1]) for _ in range(300)]
    assert all(order_z(peaks) > Z for peaks, _ in cases)
    assert not any(memory_request(p, np.full(p.size, 900.0), t).drifting for p, t in cases[:20])
    assert sum(weekly_growth(np.log(peaks), times) != 0.0 for peaks, times in cases) <= 9  # 1% expected


def test_requests_hold_for_the_weeks_to_come() -> None:
    rng = np.random.default_rng(2)
    above = []
    for number in range(40):
        peaks, times = series(rng, 28, 4, 0.02, number % 7)
        known = 14 * 4
        size = memory_request(peaks[:known], np.full(known, 900.0), times[:known], current_request=64 * GI)
        assert size.drifting
        above.append(np.mean(peaks[known:] > size.request))
    assert np.mean(above) < 0.01


def test_peaks_without_a_week_are_left_to_the_test_by_order() -> None:
    rng = np.random.default_rng(3)
    times = MONDAY + DAY * np.arange(56) / 4
    noise = 0.2 * rng.normal(size=56)
    assert weekly_growth(noise, times) is None
    assert weekly_growth(np.zeros(56), times) is None
    assert weekly_growth(noise, np.full(56, np.nan)) is None
    peaks, ends = series(rng, 12, 6, 0.03)
    assert weekly_growth(np.log(peaks), ends) is None  # two days of the week are known once
