"""The interval of a mean."""

from __future__ import annotations

import math

import numpy as np
import pytest

from concertmaster.core.model import Interval
from concertmaster.core.stats.means import clearly_positive, combined, mean_with_interval, widened


@pytest.mark.parametrize("count", [5, 8, 15, 30])
@pytest.mark.parametrize("spread", [0.05, 0.5, 1.0, 1.5])
def test_nine_of_ten_intervals_hold_the_mean_however_skewed_the_values(count: int, spread: float) -> None:
    rng = np.random.default_rng(count)
    truth, held = math.exp(spread**2 / 2), []
    for _ in range(3000):
        found = mean_with_interval(np.exp(spread * rng.normal(size=count)).tolist())
        assert found is not None
        held.append(found.low <= truth <= found.high)
    assert 0.87 <= np.mean(held) <= 0.94


@pytest.mark.parametrize(("share", "factor"), [(0.2, 3.0), (0.1, 10.0)])
def test_nine_of_ten_intervals_hold_the_mean_where_a_few_runs_are_of_another_kind(share: float, factor: float) -> None:
    """Logarithms hide what these weigh: by them alone 82 and 66% hold it."""
    rng = np.random.default_rng(4)
    truth, held = 1.0 + share * (factor - 1.0), []
    for _ in range(2000):
        values = np.where(rng.random(56) < share, factor, 1.0) * np.exp(0.05 * rng.normal(size=56))
        found = mean_with_interval(values.tolist())
        assert found is not None
        held.append(found.low <= truth <= found.high)
    assert 0.87 <= np.mean(held) <= 0.93


@pytest.mark.parametrize("count", [28, 84])
def test_values_near_zero_do_not_exaggerate_the_interval(count: int) -> None:
    """Of exponential values, by logarithms 99 and 100% of the intervals hold the mean."""
    rng, held, wide = np.random.default_rng(8), [], []
    for _ in range(2000):
        found = mean_with_interval(rng.exponential(size=count).tolist())
        assert found is not None
        held.append(found.low <= 1.0 <= found.high)
        wide.append(math.log(found.high / found.low) * count**0.5)
    assert 0.87 <= np.mean(held) <= 0.94
    assert np.median(wide) < 5.0  # by logarithms 6.7 and 7.7


@pytest.mark.parametrize("count", [3, 14, 60])
def test_a_mean_of_nothing_but_noise_is_clearly_positive_as_often_as_the_level_says(count: int) -> None:
    rng = np.random.default_rng(count)
    found = [clearly_positive(rng.normal(size=count), 0.05) for _ in range(3000)]
    assert 0.03 <= np.mean(found) <= 0.07


def test_values_that_all_agree_are_clearly_positive_and_one_alone_is_not() -> None:
    assert clearly_positive(np.full(5, 2.0), 0.005)
    assert not clearly_positive(np.full(5, -2.0), 0.005)
    assert not clearly_positive(np.array([2.0]), 0.05)
    assert not clearly_positive(np.array([]), 0.05)


def test_a_wider_interval_keeps_its_sign_unless_it_was_open() -> None:
    assert widened(Interval(8.0, 10.0, 12.5), 2.0) == Interval(pytest.approx(6.4), 10.0, pytest.approx(15.625))
    assert widened(Interval(-12.5, -10.0, -8.0), 2.0) == Interval(pytest.approx(-15.625), -10.0, pytest.approx(-6.4))
    assert widened(Interval(-1.0, 2.0, 4.0), 2.0) == Interval(-4.0, 2.0, 6.0)
    assert widened(Interval(-1.0, 0.0, 2.0), 1.5) == Interval(-1.5, 0.0, 3.0)


def test_values_that_are_not_all_positive_have_students_interval() -> None:
    found = mean_with_interval([-1.0, 0.0, 1.0])
    assert found is not None
    assert (found.low, found.likely, found.high) == pytest.approx((-1.6858, 0.0, 1.6858), abs=1e-3)


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0, 3.0]])
def test_values_that_do_not_vary_are_their_own_interval(values: list[float]) -> None:
    found = mean_with_interval(values)
    assert found is not None
    assert (found.low, found.likely, found.high) == (3.0, 3.0, 3.0)


def test_without_values_there_is_no_mean() -> None:
    assert mean_with_interval([]) is None


def test_values_beyond_sense_leave_a_finite_interval() -> None:
    found = mean_with_interval([1e-300, 1e250, 1.0])
    assert found is not None and math.isfinite(found.high) and found.low > 0.0


def test_independent_errors_of_an_effect_are_factors_and_keep_its_sign() -> None:
    one = combined(10.0, [Interval(8.0, 10.0, 12.5)])
    assert (one.low, one.likely, one.high) == pytest.approx((8.0, 10.0, 12.5))
    two = combined(10.0, [Interval(8.0, 10.0, 12.5), Interval(8.0, 10.0, 12.5)])
    assert (two.low, two.high) == pytest.approx((10 * 0.8**2**0.5, 10 * 1.25**2**0.5))
    many = combined(10.0, [Interval(1.0, 10.0, 20.0)] * 9)
    assert many.low > 0.0  # each error alone is certain that there is an effect
    less = combined(-10.0, [Interval(-12.5, -10.0, -8.0)] * 2)
    assert (less.low, less.high) == pytest.approx((-two.high, -two.low))


def test_errors_that_leave_the_sign_open_add_in_the_unit_of_the_value() -> None:
    found = combined(10.0, [Interval(-2.0, 10.0, 14.0), Interval(5.0, 10.0, 13.0)])
    assert (found.low, found.likely, found.high) == pytest.approx((-3.0, 10.0, 15.0))
    assert combined(0.0, [Interval(-3.0, 0.0, 3.0), Interval(-4.0, 0.0, 4.0)]) == Interval(-5.0, 0.0, 5.0)
    assert combined(7.0, []) == Interval(7.0, 7.0, 7.0)
