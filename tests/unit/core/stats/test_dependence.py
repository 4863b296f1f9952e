"""Runs of one day have something in common, or each with the next one, or they differ by what each day has: a mean is known
less well, or better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from concertmaster.core.rules.intervals import share_interval
from concertmaster.core.stats.dependence import dependence
from concertmaster.core.stats.means import mean_with_interval

_DAYS = 14


def _days(count: int) -> np.ndarray:
    return np.arange(count) * _DAYS // count


def _values(rng: np.random.Generator, count: int, day: float, run: float) -> np.ndarray:
    """Logarithms of run times: what each day adds, and each run."""
    return day * rng.normal(size=_DAYS)[_days(count)] + run * rng.normal(size=count)


@pytest.mark.parametrize("count", [42, 84, 168])
@pytest.mark.parametrize(("day", "run"), [(0.2, 0.2), (0.1, 0.3)])
def test_intervals_hold_the_mean_where_days_differ(count: int, day: float, run: float) -> None:
    """As if runs were independent 48 to 87% do."""
    rng, truth, held = np.random.default_rng(count), np.exp((day**2 + run**2) / 2), []
    for _ in range(1000):
        found = mean_with_interval(np.exp(_values(rng, count, day, run)).tolist())
        assert found is not None
        held.append(found.low <= truth <= found.high)
    assert 0.82 <= np.mean(held) <= 0.93


def _carried_over(rng: np.random.Generator, count: int, share: float) -> np.ndarray:
    """Values with a variance of 1, of which each has so large a share of the one before."""
    new, values = np.sqrt(1 - share**2) * rng.normal(size=count), [rng.normal()]
    for value in new[1:]:
        values.append(share * values[-1] + value)
    return np.array(values)


@pytest.mark.parametrize(("count", "least"), [(20, 0.57), (42, 0.75), (84, 0.82), (168, 0.84)])
def test_intervals_hold_the_mean_where_values_carry_over(count: int, least: float) -> None:
    """As if runs were independent half of them do; by batches alone 49, 64, 74 and 80%."""
    rng, truth, held = np.random.default_rng(count), np.exp(0.3**2 / 2), []
    for _ in range(1000):
        found = mean_with_interval(np.exp(0.3 * _carried_over(rng, count, 0.7)).tolist())
        assert found is not None
        held.append(found.low <= truth <= found.high)
    assert least <= np.mean(held) <= 0.93


@pytest.mark.parametrize("each", [4.0, 1.0])
def test_intervals_hold_the_share_where_failures_come_on_some_days(each: float) -> None:
    """As if runs were independent 73 and 59% do. ``each``: the smaller, the more days differ (beta distribution)."""
    rng, share, count, held = np.random.default_rng(3), 0.3, 84, []
    for _ in range(1000):
        failed = rng.random(count) < rng.beta(share * each, (1 - share) * each, _DAYS)[_days(count)]
        found = share_interval(int(failed.sum()), count, dependence(failed.tolist()))
        held.append(found is not None and found.low <= share <= found.high)
    assert 0.82 <= np.mean(held) <= 0.93


@pytest.mark.parametrize("draw", [np.random.Generator.normal, np.random.Generator.exponential])
def test_independent_values_are_rarely_taken_for_others(draw: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(5)
    found = np.array([dependence(draw(rng, size=84)) for _ in range(2000)])
    assert np.mean(found > 1.0) < 0.08
    assert np.mean(found < 1.0) < 0.08


@pytest.mark.parametrize("noise", [0.1, 0.2])
def test_what_comes_back_each_day_is_no_error_of_a_mean(noise: float) -> None:
    """As if runs were independent, all intervals hold it, and 99%."""
    rng, held, wide = np.random.default_rng(7), [], []
    hours = np.exp(0.3 * np.sin(2 * np.pi * (np.arange(84) % 6) / 6))
    for _ in range(1000):
        values = hours * np.exp(noise * rng.normal(size=84))
        found = mean_with_interval(values.tolist())
        assert found is not None
        held.append(found.low <= hours.mean() * np.exp(noise**2 / 2) <= found.high)
        wide.append(dependence(values))
    assert 0.88 <= np.mean(held) <= 0.94
    assert np.mean(wide) < 0.9


@pytest.mark.parametrize("count", [42, 84, 168])
def test_what_comes_back_each_week_is_no_error_of_a_mean(count: int) -> None:
    """As if runs were independent, all intervals hold it."""
    rng, held, wide = np.random.default_rng(6), [], []
    weekend = np.where(_days(count) % 7 >= 5, 0.7, 1.0)
    for _ in range(1000):
        values = weekend * np.exp(0.1 * rng.normal(size=count))
        found = mean_with_interval(values.tolist())
        assert found is not None
        held.append(found.low <= weekend.mean() * np.exp(0.1**2 / 2) <= found.high)
        wide.append(dependence(values))
    assert 0.88 <= np.mean(held) <= 0.94
    assert np.mean(wide) < 0.75
    assert np.mean(np.array(wide) > 1.0) < 0.08


@pytest.mark.parametrize("series", [[], [1.0] * 20, [1.0] * 100, [float(k // 4) for k in range(13)]])
def test_few_values_and_equal_ones_tell_nothing(series: list[float]) -> None:
    assert dependence(series) == 1.0


def test_no_interval_is_less_than_a_third_as_wide_as_of_independent_values() -> None:
    assert dependence([1.0, 2.0, 4.0] * 28) == pytest.approx(0.1**0.5)
