"""Statistics against scipy as oracle, and their behaviour where there is little or bad data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as oracle

from concertmaster.core.stats.least_squares import slope
from concertmaster.core.stats.modes import gaps
from concertmaster.core.stats.quantiles import beta_cdf, student_quantile, student_tail
from concertmaster.core.stats.ranks import cliffs_delta, midranks, normal_scores
from concertmaster.core.stats.robust import mad_sigma, median_difference, straggler_level, theil_sen
from concertmaster.core.stats.shift import amount_shift, group_shift
from concertmaster.core.stats.summary import Summary, summarize


def test_summary_of_plain_values() -> None:
    summary = summarize([1, 2, 3, 4])
    assert (summary.count, summary.mean, summary.minimum, summary.maximum, summary.p50) == (4, 2.5, 1.0, 4.0, 2.5)
    assert summary.variance == pytest.approx(5 / 3)
    assert summary.p95 == pytest.approx(3.85)
    assert summary.p99 == pytest.approx(3.97)
    assert summary.cv == pytest.approx(math.sqrt(5 / 3) / 2.5)


@pytest.mark.parametrize("nothing", [[], [None], [float("nan"), float("inf"), None]])
def test_no_data_is_none_not_zero(nothing: list[float | None]) -> None:
    assert summarize(nothing) == Summary(0)


def test_one_value_has_no_spread() -> None:
    summary = summarize([7.0])
    assert (summary.count, summary.mean, summary.p99) == (1, 7.0, 7.0)
    assert summary.variance is None
    assert summary.cv is None


def test_constants_have_no_variation_and_zero_mean_no_cv() -> None:
    assert summarize([3.3] * 9).cv == 0.0
    assert summarize([3.3] * 9).mean == 3.3
    assert summarize([-1.0, 1.0]).cv is None


def test_missing_values_are_left_out() -> None:
    assert summarize([1.0, None, float("nan"), 3.0]).count == 2
    assert summarize(np.array([1.0, np.inf, 2.0])).count == 2


@pytest.mark.parametrize("unit", [1e-3, 0.01, 1.0, 100.0])
def test_a_shift_by_an_amount_is_found_whatever_its_unit(unit: float) -> None:
    """As of runs that have another one beside them for a hundredth of their time."""
    rng = np.random.default_rng(1)
    amount = np.arange(60) % 3 / 2.0
    found = amount_shift(0.4 * amount + rng.normal(0.0, 0.05, 60), unit * amount)
    likely = found.solve(0.0, 0.0)
    low, high = (found.solve(t, likely) for t in (1.67, -1.67))
    assert low < likely < high
    assert likely * unit == pytest.approx(0.4, abs=0.04)
    assert (high - low) * unit < 0.1


@pytest.mark.parametrize("df", [1.0, 2.5, 5.0, 30.0, 400.0])
def test_student_matches_the_oracle(df: float) -> None:
    for p in (0.5, 0.8, 0.975, 0.9995):
        assert student_quantile(p, df) == pytest.approx(oracle.t.ppf(p, df), rel=1e-7, abs=1e-9)
    for t in (-40.0, -3.0, 0.0, 0.7, 12.0):
        assert student_tail(t, df) == pytest.approx(oracle.t.sf(t, df), rel=1e-9)


def test_beta_matches_the_oracle() -> None:
    for a, b in ((0.5, 0.5), (2.0, 7.0), (300.0, 0.5), (40.0, 90.0)):
        for x in (0.0, 0.01, 0.3, 0.9, 1.0):
            assert beta_cdf(x, a, b) == pytest.approx(oracle.beta.cdf(x, a, b), rel=1e-9, abs=1e-14)


def test_ranks_and_scores_match_the_oracle() -> None:
    values = np.array([3.0, 1.0, 3.0, -2.0, 9.0, 3.0])
    assert midranks(values).tolist() == oracle.rankdata(values).tolist()
    assert np.allclose(normal_scores(values), oracle.norm.ppf(oracle.rankdata(values) / 7.0), atol=1e-12)
    assert normal_scores(np.array([5.0, 1.0, 3.0])).sum() == pytest.approx(0.0, abs=1e-9)


def test_mad_estimates_sigma_of_normal_noise() -> None:
    noise = np.random.default_rng(1).normal(5.0, 2.0, 20_000)
    assert mad_sigma(noise) == pytest.approx(2.0, rel=0.03)
    assert mad_sigma(np.empty(0)) == 0.0


def test_shift_between_samples_ignores_an_outlier() -> None:
    before = np.arange(20.0)
    after = np.append(np.arange(20.0) + 5.0, 1e9)
    shift = median_difference(before, after)
    assert shift is not None
    assert shift.low < 5.0 < shift.high
    assert shift.likely == pytest.approx(5.0, abs=1.0)
    assert median_difference(before, np.empty(0)) is None


def test_shift_interval_holds_its_level_on_skewed_noise() -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(400):
        shift = median_difference(rng.exponential(size=15), rng.exponential(size=12) + 1.0)
        assert shift is not None
        inside += shift.low <= 1.0 <= shift.high
    assert inside >= 370


def test_large_samples_give_narrow_intervals() -> None:
    rng = np.random.default_rng(3)
    shift = median_difference(rng.normal(size=50_000), rng.normal(size=50_000) + 0.5)
    assert shift is not None
    assert shift.high - shift.low < 0.05
    assert shift.likely == pytest.approx(0.5, abs=0.02)


def test_slope_matches_the_oracle_and_resists_outliers() -> None:
    rng = np.random.default_rng(4)
    x = np.sort(rng.uniform(0, 10, 60))
    y = 0.3 * x + rng.normal(0, 0.1, 60)
    y[5] = 100.0
    slope = theil_sen(x, y)
    assert slope is not None
    expected = oracle.theilslopes(y, x)
    assert slope.likely == pytest.approx(expected.slope)
    assert slope.low == pytest.approx(expected.low_slope, abs=0.005)
    assert slope.high == pytest.approx(expected.high_slope, abs=0.005)
    assert theil_sen(np.array([1.0, 1.0, 2.0]), np.zeros(3)) is None


def test_slope_of_a_long_series() -> None:
    x = np.arange(5000.0)
    slope = theil_sen(x, 2.0 * x + np.random.default_rng(5).normal(size=5000))
    assert slope is not None
    assert slope.likely == pytest.approx(2.0, abs=0.001)


def test_gaps_are_found_between_modes_only() -> None:
    rng = np.random.default_rng(6)
    one = np.exp(rng.normal(0, 0.1, 400))
    two = np.concatenate([one, 3.0 * np.exp(rng.normal(0, 0.1, 60))])
    assert gaps(one) == []
    found = gaps(two)
    assert len(found) == 1
    assert 1.4 < found[0] < 2.6
    assert gaps(np.zeros(50)) == []
    assert gaps(np.full(50, 2.0)) == []


def test_a_slope_with_its_error() -> None:
    x = np.random.default_rng(1).normal(5.0, 2.0, 30)
    y = 3.0 * x + np.random.default_rng(2).normal(0.0, 4.0, 30)
    line = oracle.linregress(x, y)
    assert slope(x, y) == pytest.approx((line.slope, line.stderr, line.rvalue))
    assert slope(x, np.ones(30)) == slope(np.ones(30), y) == (0.0, 0.0, 0.0)


def test_cliffs_delta() -> None:
    assert cliffs_delta(np.array([4.0, 5.0]), np.array([1.0, 2.0])) == 1.0
    assert cliffs_delta(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.0
    assert cliffs_delta(np.empty(0), np.array([1.0])) == 0.0


def test_group_shift_with_clean_data_is_the_analysis_of_covariance() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=40)
    y = 1.0 + 0.5 * x + 0.2 * np.repeat([0.0, 1.0], 20) + rng.uniform(-0.05, 0.05, 40)
    groups = group_shift(y[:20], y[20:], (x[:20], x[20:]))
    assert groups.degrees == 37
    assert groups.solve(0.0) == pytest.approx(0.2, abs=0.03)
    assert groups.t(0.0) > 5
    assert groups.t(1.0) < -5


def test_group_shift_is_not_bent_by_outliers_or_a_constant_covariate() -> None:
    rng = np.random.default_rng(8)
    before, after = rng.normal(0, 0.1, 30), rng.normal(0.3, 0.1, 30)
    after[:3] = 50.0
    groups = group_shift(before, after, (np.ones(30), np.ones(30)))
    assert groups.covariate is None
    assert groups.solve(0.0) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize(
    ("others", "level"),
    [
        pytest.param([100, 110, 120], 220, id="twice the median of values that are alike"),
        pytest.param([100, 100, 190], 145 + 3 * 45, id="the outer fence of values that vary"),
        pytest.param([50], 100, id="of one"),
    ],
)
def test_a_straggler_is_twice_the_median_and_beyond_the_outer_fence(others: list[float], level: float) -> None:
    assert straggler_level(np.array(others, dtype=float)) == pytest.approx(level)
