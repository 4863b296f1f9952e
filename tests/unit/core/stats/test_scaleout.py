"""Run time over workers out of few points, and what to do with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.stats.scaleout import MAX_UNEVEN, fit_scaleout, recommend_workers


def test_perfect_scaling_is_recognised() -> None:
    model = fit_scaleout([2, 4, 6, 8, 12], [600.0, 300.0, 200.0, 150.0, 100.0])
    np.testing.assert_allclose(model.curve([3, 10]), [400.0, 120.0], rtol=0.05)


def test_a_coordinator_is_recognised_from_three_points() -> None:
    truth = lambda n: 157.0 + 433.0 / (n - 1.0)  # noqa: E731
    model = fit_scaleout([2, 8, 12], [truth(2), truth(8), truth(12)])
    np.testing.assert_allclose(model.curve([4, 6, 10]), [truth(4), truth(6), truth(10)], rtol=0.03)
    assert model.coordination == pytest.approx(1.0, abs=0.15)


def test_measured_numbers_of_workers_keep_their_time_and_others_get_an_allowance() -> None:
    model = fit_scaleout([2, 8, 12], [930.0, 184.0, 140.0])
    np.testing.assert_array_equal(model.seconds([2, 8, 12]), [930.0, 184.0, 140.0])
    added = model.seconds([4, 6, 10]) - model.curve([4, 6, 10])
    assert (added > 0.0).all() and (np.diff(added) > 0.0).all()
    assert 0.05 < added[2] / model.curve(10) < 0.15
    assert 140.0 <= model.seconds(10) <= 184.0
    assert model.seconds(14) <= 140.0


def test_a_job_that_hardly_scales_gets_hardly_an_allowance() -> None:
    model = fit_scaleout([2, 8, 12], [154.0, 100.0, 94.0])
    assert (model.seconds([4, 6, 10]) <= 1.03 * model.curve([4, 6, 10])).all()


def test_between_measured_points_the_allowance_exceeds_the_curve() -> None:
    model = fit_scaleout([2, 8, 12], [930.0, 184.0, 140.0])
    assert model.seconds(10) > 1.05 * float(model.curve(10))


@pytest.mark.parametrize("most", [8, 32, 128])
def test_a_job_that_scales_gains_from_twice_as_many_workers(most: int) -> None:
    n = [most // 4, most // 2, most]
    recommended = recommend_workers(fit_scaleout(n, [1000.0 / k for k in n]), [*n, 2 * most])
    assert recommended.workers == 2 * most
    assert recommended.seconds is not None and recommended.seconds < 0.8 * 1000.0 / most


@given(st.integers(1, 200), st.floats(1.0, 1e5), st.floats(0.0, 1e5))
def test_beyond_what_was_measured_the_allowance_is_a_small_share(fewest: int, work: float, fixed: float) -> None:
    n = np.array([fewest, 2 * fewest, 4 * fewest])
    model = fit_scaleout(n, fixed + work / n)
    asked = np.array([5, 8, 100]) * fewest
    assert (model.seconds(asked) <= model.curve(asked) + MAX_UNEVEN * (fixed + work / n[-1]) * (1.0 + 1e-9)).all()


def test_many_points_without_a_coordinator_overrule_the_expectation() -> None:
    n = np.arange(2, 20)
    model = fit_scaleout(n, 50.0 + 1000.0 / n)
    assert model.coordination < 0.7
    np.testing.assert_allclose(model.seconds(n), 50.0 + 1000.0 / n, rtol=1e-9)
    np.testing.assert_allclose(model.curve(n), 50.0 + 1000.0 / n, rtol=0.12)


def test_points_short_of_memory_are_left_out_of_the_curve() -> None:
    model = fit_scaleout([2, 8, 12], [2680.0, 188.0, 120.0])
    assert model.starved == ((2.0, 2680.0),)
    assert model.seconds(2).item() == 2680.0
    assert model.curve(1).item() == 5360.0
    assert 320.0 < model.seconds(4).item() < 500.0
    assert "too few" in model.reason


def test_more_workers_may_be_slower() -> None:
    n = np.array([2, 4, 8, 16, 32, 64])
    model = fit_scaleout(n, 100.0 + 800.0 / (n - 1.0) + 2.0 * n)
    assert model.communication == pytest.approx(2.0, rel=0.1)
    recommended = recommend_workers(model, range(2, 65))
    assert recommended.workers is not None and 14 <= recommended.workers <= 24


def test_repeats_count_by_their_median() -> None:
    once = fit_scaleout([2, 8, 12], [200.0, 100.0, 90.0])
    often = fit_scaleout([2, 2, 2, 8, 12], [200.0, 190.0, 2000.0, 100.0, 90.0])
    assert often == once


def test_the_smallest_near_the_fastest_is_chosen() -> None:
    model = fit_scaleout([2, 8, 12], [590.0, 219.0, 196.4])
    recommended = recommend_workers(model, range(2, 65))
    assert recommended.workers is not None and recommended.seconds is not None
    fastest = float(model.seconds(np.arange(2, 65)).min())
    assert recommended.seconds <= 1.02 * fastest < float(model.seconds(recommended.workers - 1))


@pytest.mark.parametrize(
    ("workers", "seconds"),
    [
        ([], []),
        ([4], [10.0]),
        ([4, 4], [10.0, 11.0]),
        ([math.nan, 2], [1.0, math.inf]),
        ([0, -1], [1.0, 1.0]),
        ([1, 2], [0.0, -5.0]),
    ],
)
def test_too_few_points_say_so(workers: list[float], seconds: list[float]) -> None:
    model = fit_scaleout(workers, seconds)
    assert not model.enough
    assert "are needed" in model.reason
    assert recommend_workers(model, [1, 2, 3]).workers is None


def test_lengths_that_differ_say_so() -> None:
    assert "differ" in fit_scaleout([1, 2], [1.0]).reason


def test_no_candidates_say_so() -> None:
    model = fit_scaleout([2, 8], [200.0, 100.0])
    assert recommend_workers(model, []).workers is None
    assert recommend_workers(model, [0, -3]).workers is None


def test_impossible_numbers_of_workers_have_no_run_time() -> None:
    model = fit_scaleout([2, 8], [200.0, 100.0])
    assert np.isnan(model.seconds([0.0, -1.0, math.nan, math.inf])).all()
    assert np.isnan(fit_scaleout([], []).seconds(3))


def test_one_worker_is_a_possible_measurement() -> None:
    model = fit_scaleout([1, 2, 4], [400.0, 220.0, 130.0])
    assert model.enough
    assert np.isfinite(model.seconds([1, 2, 3, 4])).all()
