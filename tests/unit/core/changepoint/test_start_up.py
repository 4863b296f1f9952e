"""Start-up beside the input: run times that are a constant and a part for each byte are no change when inputs jump."""

from __future__ import annotations

import numpy as np

from concertmaster.core.changepoint import detect


def series(seed: int, slower: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs that grow tenfold half-way, and 4 s and 3 s for each unit of them; the last quarter takes longer."""
    rng = np.random.default_rng(seed)
    inputs = np.concatenate([rng.uniform(0.5, 1.0, 30), rng.uniform(5.0, 8.0, 30)])
    factor = np.where(np.arange(60) >= 45, slower, 1.0)
    return inputs, (4.0 + 3.0 * inputs) * factor * np.exp(rng.normal(0.0, 0.05, 60))


def test_a_jump_of_the_input_is_no_change() -> None:
    found = [detect(np.arange(60.0) * 60.0, values, inputs=inputs) for inputs, values in map(series, range(6))]
    assert all(d.adjusted for d in found)
    assert sum(bool(d.points) for d in found) <= 1


def test_a_slower_step_is_found_beside_it() -> None:
    for seed in range(6):
        inputs, values = series(seed, slower=1.4)
        points = detect(np.arange(60.0) * 60.0, values, inputs=inputs).points
        assert any(abs(p.index - 45) <= 2 and 1.2 < p.ratio < 1.6 for p in points), seed


def test_sizes_in_another_unit_explain_nothing() -> None:
    """Bytes until the producer was changed, megabytes since: neither a step that got faster nor one that hides a slower."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        inputs = rng.uniform(1e9, 3e9, 60)
        values = inputs**0.7 * 1e-5 * np.exp(rng.normal(0.0, 0.05, 60))
        inputs[44:] /= 1e6
        times = np.arange(60.0) * 60.0
        assert not detect(times, values, inputs=inputs).points, seed
        values[44:] *= 1.8
        points = detect(times, values, inputs=inputs).points
        assert any(abs(p.index - 44) <= 2 and 1.4 < p.ratio < 2.2 for p in points), seed


def test_inputs_a_thousandfold_apart_explain_times_that_follow() -> None:
    rng = np.random.default_rng(1)
    large = rng.random(60) < np.where(np.arange(60) < 30, 0.2, 0.8)
    inputs = np.where(large, rng.uniform(5e3, 8e3, 60), rng.uniform(1.0, 2.0, 60))
    values = (100.0 + 0.1 * inputs) * np.exp(rng.normal(0.0, 0.05, 60))
    found = detect(np.arange(60.0) * 60.0, values, inputs=inputs)
    assert found.adjusted
    assert not found.points
