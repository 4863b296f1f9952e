"""What a jump is worth where the level also grows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from concertmaster.core.changepoint import detect
from concertmaster.core.changepoint.ramps import worth_of_jump


def _worth(growth: float, jump: float, seed: int, n: int = 60, outlier: float = 0.0) -> float:
    rng = np.random.default_rng(seed)
    x = np.arange(n) / n
    values = growth * x + jump * (x >= 0.5) + rng.normal(0.0, 0.05, n)
    values[n // 2 + 1] += outlier
    return worth_of_jump(x * 1e6 + 1.7e9, values, n // 2, (0, n))


@pytest.mark.parametrize("growth", [0.0, 0.4, -0.4])
def test_a_jump_beside_growth_is_worth_it_and_growth_alone_has_none(growth: float) -> None:
    assert sorted(_worth(growth, 0.3, seed) for seed in range(20))[2] > 2.0
    assert sorted(_worth(growth, 0.0, seed) for seed in range(20))[17] < 2.0


def test_one_outlier_is_no_jump() -> None:
    assert sorted(_worth(0.4, 0.0, seed, outlier=2.0) for seed in range(20))[14] < 2.0


def test_a_fall_within_growth_is_no_jump_up() -> None:
    assert _worth(1.0, -0.2, 1) == 0.0


def test_a_ramp_between_two_levels_has_no_jump() -> None:
    """Two lines with a jump fit it better than two that meet, which turn only once."""
    x = np.arange(90.0)
    level = 0.4 * np.clip((x - 30.0) / 30.0, 0.0, 1.0)
    rows = [level + np.random.default_rng(seed).normal(0.0, 0.05, 90) for seed in range(20)]
    assert sorted(worth_of_jump(x, values, 45, (0, 90)) for values in rows)[2] > 2.0
    assert sorted(worth_of_jump(x, values, 45, (30, 60)) for values in rows)[17] < 2.0
    assert worth_of_jump(x, np.where(x >= 45.0, 0.4, 0.0) + rows[0] - level, 45, (30, 60)) > 10.0


def test_levels_without_any_noise_and_runs_at_one_time() -> None:
    x = np.arange(12.0)
    assert worth_of_jump(x, np.repeat([1.0, 2.0], 6), 6, (0, 12)) > 100.0
    assert worth_of_jump(x, np.ones(12), 6, (0, 12)) == 0.0
    assert math.isfinite(worth_of_jump(np.zeros(12), np.sin(x) + (x >= 6), 6, (0, 12)))


@pytest.mark.parametrize("timed", [True, False])
def test_a_ramp_says_when_it_was_and_whether_its_points_jump(timed: bool) -> None:
    """Growth by 80% from the 30th to the 90th value."""
    times = 1.7e9 + 3600.0 * np.arange(120)
    growth = np.clip((np.arange(120) - 30) / 60, 0, 1) * math.log(1.8)
    values = np.exp(growth + np.random.default_rng(3).normal(0.0, 0.1, 120))
    (ramp,) = detect(times if timed else None, values).ramps
    assert len(ramp.jumps) == len(ramp.points)
    assert max(ramp.jumps) < 2.0
    if timed:
        assert (ramp.since, ramp.until) == (times[ramp.start], times[ramp.end])
    else:
        assert math.isnan(ramp.since)
