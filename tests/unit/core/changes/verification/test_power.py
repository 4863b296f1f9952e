"""What a verification can tell: the chance to catch a slowdown against simulation, and the error rate of all looks
together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from concertmaster.core.changes.verification.power import POWER, TOLERATED_SLOWDOWN, needed, outlook, power, spread
from concertmaster.core.stats.comparison import LAST_LEVEL, SEQUENTIAL_LEVEL, anytime_critical
from concertmaster.core.stats.quantiles import student_quantile
from concertmaster.core.stats.shift import group_shift

FIFTH = math.log(1.2)


def _t(mean_a: np.ndarray, mean_b: np.ndarray, squares: np.ndarray, n: int, m: int) -> np.ndarray:
    found: np.ndarray = (mean_a - mean_b) / np.sqrt(squares / (n + m - 2) * (1 / n + 1 / m))
    return found


@pytest.mark.parametrize(("before", "most"), [(5, 10), (30, 30), (60, 100), (200, 30)])
def test_all_looks_together_call_a_change_that_is_none_in_at_most_5_percent(before: int, most: int) -> None:
    """Both bars on the paths of Student's t, 20,000 series; 5.0% by design and 0.3% for chance."""
    rng, series = np.random.default_rng(before + most), 20_000
    mean_b = rng.normal(size=series) / math.sqrt(before)
    squares_b = rng.chisquare(before - 1, series)
    total, squares = np.zeros(series), np.zeros(series)
    crossed = np.zeros(series, bool)
    for m in range(1, most + 1):
        value = rng.normal(size=series)
        total, squares = total + value, squares + value * value
        if m < 3:
            continue
        t = _t(total / m, mean_b, squares - total * total / m + squares_b, before, m)
        degrees = before + m - 2
        information = before * m / (before + m)
        last = student_quantile(1 - LAST_LEVEL / 2, degrees)
        crossed |= t > (last if m == most else anytime_critical(degrees, information, SEQUENTIAL_LEVEL / 2))
    assert crossed.mean() <= 0.053
    assert crossed.mean() >= 0.035  # or the last look could have more


@pytest.mark.parametrize(("noise", "before", "after"), [(0.15, 10, 30), (0.3, 30, 30), (0.3, 200, 30), (0.4, 60, 100)])
def test_the_power_is_what_the_test_has(noise: float, before: int, after: int) -> None:
    """Against plain t tests on noise that the bounded residuals would see (their efficiency is 0.9)."""
    rng, series = np.random.default_rng(3), 20_000
    sigma = noise / math.sqrt(0.9)
    mean_b = sigma * rng.normal(size=series) / math.sqrt(before)
    mean_a = FIFTH + sigma * rng.normal(size=series) / math.sqrt(after)
    squares = sigma**2 * rng.chisquare(before + after - 2, series)
    caught = _t(mean_a, mean_b, squares, before, after) > student_quantile(1 - LAST_LEVEL / 2, before + after - 2)
    assert power(noise, before, after, FIFTH) == pytest.approx(caught.mean(), abs=0.025)


def test_the_fewest_runs_that_do() -> None:
    for noise, before in ((0.1, 5), (0.2, 30), (0.3, 200)):
        found = needed(noise, before)
        assert found is not None
        assert power(noise, before, found) >= POWER > power(noise, before, found - 1)
    assert needed(0.3, 30) is None  # with thirty before, no number after is enough
    assert needed(0.0, 30) == 3
    assert power(0.1, 2, 30) == power(0.1, 30, 2) == 0.0


def test_the_spread_is_that_at_equal_input_and_a_stuck_run_hardly_counts() -> None:
    rng = np.random.default_rng(4)
    sizes = np.exp(rng.normal(0, 0.8, 200))
    seconds = 60.0 * sizes**0.7 * np.exp(0.2 * rng.normal(size=200))
    seconds[:3] *= 50.0
    assert spread(list(seconds), list(sizes)) == pytest.approx(0.2, rel=0.15)
    assert spread(list(seconds), [1.0] * 200) > 0.5
    assert spread([5.0] * 9, [0.0] * 9) == pytest.approx(0.0, abs=1e-12)


def test_runs_of_two_lengths_are_not_taken_for_quiet_ones() -> None:
    seconds = [10.0] * 20 + [14.0] * 10  # the median of the residuals is next to nothing
    found = spread(seconds, [1.0] * 30)
    assert found == pytest.approx(float(np.std(np.log(seconds))), rel=0.1)
    expected = needed(found, 30)
    assert expected is not None
    assert expected >= 10
    assert power(found, 30, 5) < 0.7


@pytest.mark.parametrize(("share", "ratio"), [(1 / 3, 1.4), (0.2, 1.4), (0.2, 2.0), (0.45, 1.4), (1 / 3, 2.0)])
def test_with_runs_of_two_lengths_the_power_is_no_more_than_the_test_has(share: float, ratio: float) -> None:
    """Against the very test of a verdict: 200 times 30 runs before and 14 after, a share of them longer."""
    rng = np.random.default_rng(6)

    def logs(count: int) -> np.ndarray:
        longer: np.ndarray = rng.random(count) < share
        found: np.ndarray = longer * math.log(ratio) + 0.02 * rng.normal(size=count)
        return found

    caught, claimed = [], []
    for _ in range(200):
        before = logs(30)
        groups = group_shift(before, logs(14) + FIFTH)
        caught.append(groups.t(math.log(1 + TOLERATED_SLOWDOWN)) > student_quantile(1 - LAST_LEVEL / 2, groups.degrees))
        claimed.append(power(spread(list(np.exp(before)), [1.0] * 30), 30, 14))
    assert np.mean(claimed) <= np.mean(caught) + 0.1


def test_a_person_learns_how_many_runs_it_would_take() -> None:
    rng = np.random.default_rng(5)

    def reported(sigma: float, before: int) -> str | None:
        found = outlook(list(np.exp(rng.normal(0, sigma, before))), [1.0] * before, 30)
        assert found is not None
        return found.warns()

    assert reported(0.05, 30) is None
    many = reported(0.3, 200)
    assert many is not None
    assert "30 runs after the change (verify.maxRuns) would show a slowdown of 20% in" in many
    assert many.split("90% takes ")[1].isdigit()
    few = reported(0.4, 8)
    assert few is not None
    assert few.endswith("with only 8 before it no number of runs is sure to")
    assert outlook([1.0, 2.0], [1.0, 1.0], 30) is None
