"""Run time and memory over input size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.nested.input_laws import LAWS, wide_relations
from concertmaster.core.stats.regression import fit_memory, fit_runtime, likelihoods

RNG = np.random.default_rng(1)
SIZES = np.sort(RNG.uniform(1e6, 1e9, 40))


def test_a_line_is_found_and_carried_on() -> None:
    model = fit_runtime(SIZES, 30.0 + 2e-7 * SIZES)
    assert model.enough and model.explained
    np.testing.assert_allclose(model.predict([5e8, 2e9, 4e9]), [130.0, 430.0, 830.0], rtol=1e-3)


def test_start_up_cost_of_small_inputs_does_not_bend_the_prediction_of_large_ones() -> None:
    seconds = np.maximum(20.0, 4e-7 * SIZES)
    predicted = fit_runtime(SIZES, seconds).predict([2e9])[0]
    assert predicted == pytest.approx(800.0, rel=0.02)


def test_memory_that_saturates_stays_saturated() -> None:
    peaks = np.minimum(1e9 + 10.0 * SIZES, 4e9) + RNG.normal(0, 1e6, 40)
    assert fit_memory(SIZES, peaks).predict([2e9])[0] == pytest.approx(4e9, rel=0.03)


def test_values_that_fall_with_the_input_are_not_carried_below_what_was_seen() -> None:
    falling = 100.0 - 5e-8 * SIZES
    model = fit_runtime(SIZES, falling)
    assert not model.explained
    assert model.predict([1e11])[0] >= falling.min()


def test_inputs_that_never_change_give_the_middle() -> None:
    model = fit_runtime([5.0] * 9, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 100.0])
    assert model.enough and not model.explained
    assert 1.0 <= model.predict([5.0])[0] <= 8.0


def test_an_input_that_is_no_number_gives_the_median() -> None:
    model = fit_runtime(SIZES, 30.0 + 2e-7 * SIZES)
    np.testing.assert_allclose(model.predict([math.nan, math.inf]), np.median(30.0 + 2e-7 * SIZES))


def test_noise_that_multiplies_over_a_wide_range_is_predicted_by_a_power() -> None:
    asked, off = 10.0 ** np.linspace(6.5, 9.5, 7), []
    for seed in range(3, 11):
        rng = np.random.default_rng(seed)
        sizes = 10.0 ** rng.uniform(6, 10, 120)
        seconds = 0.001 * sizes**0.6 * np.exp(0.6 * rng.normal(size=120))
        off.append(np.abs(np.log(fit_runtime(sizes, seconds).predict(asked) / (0.001 * asked**0.6))))
    assert np.mean(off) < 0.13  # 0.18 with the line through neighbours


def test_noise_that_the_input_does_not_explain_gives_the_median() -> None:
    rng = np.random.default_rng(5)
    sizes = 10.0 ** rng.uniform(6, 10, 40)
    seconds = 100.0 * np.exp(0.8 * rng.normal(size=40))
    asked = 10.0 ** np.linspace(6.5, 9.5, 7)
    off = np.abs(np.log(fit_runtime(sizes, seconds).predict(asked) / 100.0))
    assert off.max() < 0.5


def test_beyond_the_inputs_seen_a_noisy_line_is_carried_on() -> None:
    rng = np.random.default_rng(3)
    sizes = 10.0 ** rng.uniform(6, 10, 120)
    seconds = 0.001 * sizes**0.6 * np.exp(0.6 * rng.normal(size=120))
    model = fit_runtime(sizes, seconds)
    inside, outside = model.predict([sizes.max(), 4.0 * sizes.max()])
    assert outside > inside


def test_growth_that_has_ended_is_not_carried_on_as_it_was() -> None:
    beyond = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sizes = np.sort(10.0 ** rng.uniform(6, 9, 40))
        seconds = 1e-4 * np.minimum(sizes, 1e8) ** 0.8 * np.exp(0.6 * rng.normal(size=40))
        model = fit_runtime(sizes, seconds)
        assert model.explained
        beyond.append(model.predict([1e11])[0] / model.predict([sizes[-1]])[0])
    assert np.mean(np.log(beyond)) < 0.6 * math.log(100.0)  # the exponent before was 0.8


def test_models_that_predict_equally_well_are_averaged() -> None:
    off = np.array([[0.1, 0.3], [0.2, 0.2], [0.4, 0.0], [3.0, 3.0]])
    np.testing.assert_allclose(likelihoods(off, 1), [1 / 3, 1 / 3, 1 / 3, 0.0], atol=2e-3)
    assert likelihoods(off[:, :1], 1).argmax() == 0
    np.testing.assert_allclose(likelihoods(np.zeros((4, 5)), 1), 0.25)


def test_two_lines_share_the_weight_of_one_model() -> None:
    np.testing.assert_allclose(likelihoods(np.zeros((5, 7)), 2), [0.125, 0.25, 0.25, 0.25, 0.125])
    off = np.array([[0.1] * 8, [0.9] * 8, [0.9] * 8, [0.9] * 8, [0.1] * 8])
    np.testing.assert_allclose(likelihoods(off, 2), [0.5, 0.0, 0.0, 0.0, 0.5], atol=2e-3)


def test_a_further_model_that_is_no_line_has_the_weight_of_one() -> None:
    np.testing.assert_allclose(likelihoods(np.zeros((5, 7)), 1), 0.2)


def test_memory_stays_on_its_level_and_jumps_to_the_next() -> None:
    def level(sizes: np.ndarray) -> np.ndarray:
        return np.select([sizes < 1e7, sizes < 1e8], [1e9, 2e9], 8e9)

    off = []
    for count in (12, 20):
        for seed in range(30):
            rng = np.random.default_rng(seed)
            sizes = 10.0 ** rng.uniform(6, 9, count)
            peaks = level(sizes) * np.exp(0.02 * rng.standard_t(3, size=count))
            asked = 10.0 ** rng.uniform(6, 9, 40)
            off.append(np.median(np.abs(np.log(fit_memory(sizes, peaks).predict(asked) / level(asked)))))
    assert np.mean(off) < 0.04  # 0.048 without the median of neighbours


def test_run_times_follow_local_shapes_within_the_inputs_seen() -> None:
    """A tool that is three times as slow from one input size on: a line through many runs blurs the step."""
    off = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        sizes = rng.uniform(1e8, 1e9, 40)
        asked = rng.uniform(1e8, 1e9, 60)
        truth = 60.0 * np.where(asked > 6e8, 3.0, 1.0)
        seconds = 60.0 * np.where(sizes > 6e8, 3.0, 1.0) * np.exp(0.05 * rng.normal(size=40))
        off.append(np.median(np.abs(fit_runtime(sizes, seconds).predict(asked) / truth - 1.0)))
    assert np.mean(off) < 0.023


def test_straight_noisy_run_times_are_carried_on_by_a_line_through_all_runs() -> None:
    off = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sizes, asked = rng.uniform(1e8, 1e9, 20), np.array([1.2e9, 1.5e9, 2e9])
        seconds = (20.0 + 2e-7 * sizes) * np.exp(0.15 * rng.normal(size=20))
        off.append(np.abs(fit_runtime(sizes, seconds).predict(asked) / (20.0 + 2e-7 * asked) - 1.0).mean())
    assert np.mean(off) < 0.125


def test_noise_is_not_carried_on_beyond_the_inputs_seen() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sizes = np.sort(10.0 ** rng.uniform(6, 9, 40))
        model = fit_runtime(sizes, 100.0 * np.exp(0.2 * rng.normal(size=40)))
        assert model.explained or model.predict([1e12])[0] == model.predict([sizes[-1]])[0]


def test_few_runs_that_grow_without_exception_are_carried_on() -> None:
    model = fit_runtime([1e8, 2e8, 3e8, 4e8], [10.0, 20.0, 30.0, 40.0])
    assert not model.explained
    assert model.predict([8e8])[0] == pytest.approx(80.0, rel=1e-4)


def test_a_noisy_start_does_not_spoil_what_lies_beyond() -> None:
    rng = np.random.default_rng(8)
    sizes = np.geomspace(1e6, 1e9, 30)
    seconds = (2.0 + 2e-7 * sizes) * np.exp(np.where(sizes < 2e7, 0.9, 0.02) * rng.normal(size=30))
    assert fit_runtime(sizes, seconds).predict([5e9])[0] == pytest.approx(1002.0, rel=0.1)


def _p90(law: str, *, ours: bool) -> float:
    """90th percentile of relative errors: ours, or the better of the median and a plain line on logarithms."""
    errors: list[list[float]] = [[], []]
    for x, y, asked, truth in wide_relations(law, 40, larger=False):
        if ours:
            errors[0].extend(np.abs(fit_runtime(x, y).predict(asked) / truth - 1.0))
            errors[1] = errors[0]
            continue
        slope, level = np.polyfit(np.log(x), np.log(y), 1)
        errors[0].extend(np.abs(np.exp(level + slope * np.log(asked)) / truth - 1.0))
        errors[1].extend(np.abs(np.median(y) / truth - 1.0))
    return min(float(np.percentile(e, 90)) for e in errors)


@pytest.mark.parametrize("law", LAWS)
def test_over_wide_ranges_the_model_is_no_worse_than_the_median_and_a_plain_line(law: str) -> None:
    assert _p90(law, ours=True) < 1.1 * _p90(law, ours=False)


def test_shape_is_kept() -> None:
    model = fit_runtime(SIZES, 30.0 + 2e-7 * SIZES)
    assert model.predict(np.full((2, 3), 1e8)).shape == (2, 3)
    assert model.predict(np.float64(1e8)).shape == ()
    assert model.predict([]).shape == (0,)


@pytest.mark.parametrize(
    ("inputs", "values"),
    [
        ([], []),
        ([1.0], [1.0]),
        ([1.0, 2.0], [1.0, 2.0]),
        ([math.nan] * 5, [1.0] * 5),
        ([1.0, 2.0, 3.0], [0.0, -1.0, math.inf]),
    ],
)
def test_too_few_runs_give_their_median(inputs: list[float], values: list[float]) -> None:
    model = fit_runtime(inputs, values)
    assert not model.enough
    prediction = model.predict([1.0])[0]
    assert prediction == np.median(values) if model.values else math.isnan(prediction)


def test_lengths_that_differ_give_no_model() -> None:
    assert not fit_memory([1.0, 2.0], [1.0]).enough


def test_models_can_be_compared() -> None:
    assert fit_runtime(SIZES, SIZES) == fit_runtime(SIZES, SIZES)


@given(st.data())
def test_the_order_of_runs_with_equal_inputs_does_not_matter(data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(1, 12), min_size=2, max_size=4))
    sizes = np.repeat(1e8 * 3.0 ** np.arange(len(counts)), counts)
    seconds = np.asarray(data.draw(st.lists(st.floats(1.0, 1e4), min_size=sizes.size, max_size=sizes.size)))
    order = np.asarray(data.draw(st.permutations(range(sizes.size))))
    asked = [5e7, 2e8, 2e9, 4e10]
    for fit in (fit_runtime, fit_memory):
        one, other = fit(sizes, seconds), fit(sizes[order], seconds[order])
        assert one.explained is other.explained
        np.testing.assert_allclose(one.predict(asked), other.predict(asked), rtol=1e-6)
