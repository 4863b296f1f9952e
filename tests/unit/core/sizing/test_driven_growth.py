"""Growth that inputs bring: seen in the inputs long before the noise of peaks lets it be seen there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.accuracy.sizing_laws import simulate
from concertmaster.core.sizing import memory_request
from concertmaster.core.sizing.trend import driven_growth, order_z, unexplained_growth

GIB = 2.0**30
ROOM, CLEAR = 1.645, 2.326


def growing(runs: int, seed: int, power: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Inputs that grow by a third over all runs, and peaks that are a power of them times wide noise."""
    rng = np.random.default_rng(seed)
    inputs = 1e9 * np.exp(np.linspace(0.0, 0.3, runs) + 0.1 * rng.normal(size=runs))
    return inputs, 4.0 * GIB * (inputs / 1e9) ** power * np.exp(0.3 * rng.normal(size=runs))


def test_inputs_that_grow_make_room_before_peaks_show_it() -> None:
    inputs, peaks = growing(150, seed=13)
    assert order_z(peaks) < ROOM < order_z(inputs)
    with_inputs = memory_request(peaks, np.full(150, 600.0), inputs=inputs)
    without = memory_request(peaks, np.full(150, 600.0))
    assert with_inputs is not None and without is not None
    assert with_inputs.request > 1.1 * without.request
    assert not with_inputs.drifting


def test_memory_that_has_saturated_gets_no_room() -> None:
    rng = np.random.default_rng(3)
    inputs = 1e9 * np.exp(np.linspace(0.0, 2.0, 60) + 0.3 * rng.normal(size=60))
    peaks = np.minimum(inputs / 1e9, 1.6) * 4.0 * GIB * np.exp(0.02 * rng.normal(size=60))
    everywhere = driven_growth(np.log(inputs), np.log(inputs))
    assert 0.0 <= driven_growth(np.log(peaks), np.log(inputs)) < 0.1 * everywhere


@pytest.mark.parametrize("power", [0.0, -0.8])
def test_inputs_that_peaks_do_not_follow_bring_no_growth(power: float) -> None:
    found = []
    for seed in range(200):
        inputs, peaks = growing(40, seed, power)
        found.append(driven_growth(np.log(peaks), np.log(inputs)) > 0.0)
    assert np.mean(found) <= 0.08


def test_inputs_in_any_order_bring_no_growth() -> None:
    found = []
    for seed in range(400):
        inputs, peaks = growing(40, seed)
        order = np.random.default_rng(seed).permutation(40)
        found.append(driven_growth(np.log(peaks[order]), np.log(inputs[order])) > 0.0)
    assert np.mean(found) <= 0.08


def test_inputs_that_carry_over_from_run_to_run_are_seldom_a_trend() -> None:
    """Not allowing for what carries over takes one series in six of these for a trend instead of one in a hundred."""
    found, ranks = [], []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        logs = rng.normal(size=60)
        for i in range(1, 60):
            logs[i] += 0.7 * logs[i - 1]
        found.append(driven_growth(logs, logs) > 0.0)
        ranks.append(order_z(logs) > CLEAR)
    assert np.mean(found) <= 0.05
    assert np.mean(ranks) >= 0.12


def test_growth_that_inputs_do_not_explain_is_added() -> None:
    inputs = np.exp(np.linspace(0.0, 0.5, 40) + 0.1 * np.random.default_rng(4).normal(size=40))
    alone = driven_growth(np.log(inputs), np.log(inputs))
    leaking = driven_growth(np.log(inputs) + 0.02 * np.arange(40), np.log(inputs))
    assert leaking == pytest.approx(alone + 0.02, rel=0.25)


def test_requests_by_input_leave_room_for_growth_that_inputs_do_not_explain() -> None:
    """Peaks at one input double from the first run to the last: most later runs would need more than any before."""
    failed, blind = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        inputs = 10.0 ** rng.uniform(8.0, 11.0, 120)
        peaks = GIB * (inputs / 1e9) ** 0.7 * np.exp(np.linspace(0.0, 0.7, 120) + 0.1 * rng.normal(size=120))
        shuffled = np.random.default_rng(seed).permutation(60)
        for order, into in ((np.arange(60), failed), (shuffled, blind)):
            model = memory_request(peaks[order], np.full(60, 600.0), inputs=inputs[order]).model
            assert model is not None
            given = np.array([model.request(size) for size in inputs[60:]])
            into.extend((peaks[60:] > given).tolist())
    assert np.mean(failed) <= 0.02
    assert np.mean(blind) >= 0.1


def test_growth_at_equal_input_is_seldom_found_in_any_order() -> None:
    found = []
    for seed in range(400):
        inputs, peaks = growing(40, seed)
        order = np.random.default_rng(seed).permutation(40)
        found.append(unexplained_growth(np.log(peaks[order]), np.log(inputs[order])) > 0.0)
    assert np.mean(found) <= 0.02
    few = np.linspace(0.0, 1.0, 5)
    assert unexplained_growth(few, np.zeros(5)) == 0.0
    assert unexplained_growth(np.linspace(0.0, 1.0, 20), np.full(20, math.nan)) == 0.0
    assert unexplained_growth(np.linspace(0.0, 1.0, 21), np.full(21, 3.0)) == pytest.approx(0.05)


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.05])
def test_memory_of_a_constant_and_a_share_of_the_input_does_not_grow_by_itself(noise: float) -> None:
    """Small inputs first, large ones later: the relation bends on logarithms, and nothing else makes peaks grow."""
    found, drifting = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        inputs = np.concatenate([rng.uniform(0.5, 4.0, 20), rng.uniform(3.0, 8.0, 20)])
        peaks = np.log(200.0 + 190.0 * inputs) + noise * rng.normal(size=40)
        found.append(unexplained_growth(peaks, np.log(inputs)) > 0.0)
        drifting.append(unexplained_growth(peaks + np.linspace(0.0, 0.7, 40), np.log(inputs)) > 0.0)
    assert np.mean(found) <= 0.02
    assert np.mean(drifting) >= 0.95


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.02])
def test_requests_by_input_are_compared_with_what_one_request_wastes_of_the_peaks_there_were(noise: float) -> None:
    """Small inputs first and larger ones later: of peaks carried forward, one request wastes next to nothing."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        inputs = 1e9 * np.concatenate([np.sort(rng.uniform(0.5, 4.0, 20)), np.sort(rng.uniform(3.0, 8.0, 20))])
        peaks = GIB * (0.2 + 0.19 * inputs / 1e9) * np.exp(noise * rng.normal(size=40))
        size = memory_request(peaks, 2.0 + 3e-9 * inputs, inputs=inputs, current_request=4.0 * GIB)
        assert size.model is not None
        assert size.model.request(1e9) <= 0.25 * (size.request or 0.0)


def test_unknown_few_and_constant_inputs_are_no_trend() -> None:
    rising = np.linspace(0.0, 1.0, 20)
    half = np.where(np.arange(20) % 2 == 0, rising, math.nan)
    assert driven_growth(rising, np.full(20, math.nan)) == 0.0
    assert driven_growth(rising[:5], rising[:5]) == 0.0
    assert driven_growth(rising, np.full(20, 3.0)) == 0.0
    assert driven_growth(np.full(20, 3.0), rising) == 0.0
    assert driven_growth(rising, rising) == pytest.approx(1.0 / 19.0)
    assert driven_growth(rising, half) == pytest.approx(1.0 / 19.0)


def test_zero_and_absurd_inputs_are_unknown() -> None:
    peaks = np.linspace(2.0, 3.0, 20) * GIB
    inputs = np.array([0.0, 1e300, math.inf, -1.0] * 5)
    assert memory_request(peaks, np.full(20, 600.0), inputs=inputs).request == pytest.approx(
        memory_request(peaks, np.full(20, 600.0)).request
    )


def test_simulated_steps_whose_inputs_grow_fail_seldom() -> None:
    """Sized from the first 30% of the runs, by what those show alone."""
    failed, blind = [], []
    for k in range(24):
        rng = np.random.default_rng(500 + k)
        runs = simulate("growing inputs", int(rng.choice([30, 60, 150, 500])), rng)
        known = max(3, int(0.3 * runs.peaks.size))
        for inputs, into in ((runs.inputs[:known], failed), (None, blind)):
            size = memory_request(runs.peaks[:known], runs.seconds[:known], inputs=inputs, current_request=runs.preset)
            into.extend((runs.peaks[known:] > size.request).tolist())
    assert np.mean(failed) <= 0.02
    assert np.mean(blind) >= 0.03
