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
