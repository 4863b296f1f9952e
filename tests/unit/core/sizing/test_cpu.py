"""CPU sizing: trimmed where nothing is lost, spent where the run waits for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from concertmaster.core.sizing import CpuSize, cpu, cpu_request, unseen_slowdown


def cores(n: int = 60, mean: float = 2.0, spread: float = 0.2, seed: int = 1) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean, spread, n), 0.05, None)


TIME = np.full(60, 600.0)


def sized(used: Sequence[float] | np.ndarray, seconds: Sequence[float] | np.ndarray = TIME, **more: Any) -> CpuSize:
    size = cpu_request(used, seconds, **more)
    assert size is not None
    return size


def test_an_oversized_request_is_trimmed_to_what_runs_use() -> None:
    size = sized(cores())
    assert 2.2 < size.request < 3.0
    assert size.request - 2.0 < 0.25 * (8.0 - 2.0)  # unused cores, then and now
    assert size.expected_slowdown_share < 0.005


def test_off_the_critical_path_less_is_enough() -> None:
    on, half, off = (sized(cores(), on_critical_path_share=share).request for share in (1.0, 0.5, 0.0))
    assert off <= half <= on
    assert off < 0.95 * on


def test_the_request_stays_below_the_limit() -> None:
    assert sized(cores()).request > 2.1
    assert sized(cores(), current_limit=2.1).request == 2.1


def test_a_price_of_zero_for_time_saves_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "DELAY_PRICE", 0.0)
    monkeypatch.setattr(cpu, "IDLE_PRICE", 0.0)
    assert sized(cores()).request < 2.3  # the mean is 2.0


@pytest.mark.parametrize("bad", [[], [math.nan] * 5, [math.inf] * 5, [-1.0] * 5, [1.0]])
def test_too_few_usable_runs_get_no_size(bad: list[float]) -> None:
    assert cpu_request(bad, [1.0] * len(bad)) is None


def test_runs_without_a_duration_are_left_out() -> None:
    assert cpu_request([1.0] * 5, [0.0, -1.0, math.nan, math.inf, 0.0]) is None
    assert cpu_request([1.0] * 5, [1.0]) is None


def test_where_use_grows_the_last_runs_decide() -> None:
    mixed = np.linspace(1.0, 2.0, 60)[np.random.default_rng(5).permutation(60)] * cores(mean=1.0, spread=0.02)
    rising, any_order = (sized(used).request for used in (np.sort(mixed), mixed))
    assert any_order <= mixed.max() < rising < 1.25 * mixed.max()


def test_idle_steps_get_the_floor() -> None:
    assert sized([0.0] * 20, [60.0] * 20).request == pytest.approx(0.01, abs=0.005)


def test_a_run_that_needs_more_than_all_seen_is_slowed_up_to_the_request_it_had() -> None:
    """The largest of ten runs, exceeded by Pareto's law: the mean of 400,000 draws. Its index is seven (the six values of
    the tail, and one of index one) over the sum of the logarithms of how far they exceed the median."""
    used, request, current = [0.2] * 9 + [0.5], 0.6, 8.0
    index = 7.0 / (math.log(0.5 / 0.2) + 1.0)
    needed = np.minimum(0.5 * np.random.default_rng(3).uniform(size=400_000) ** (-1.0 / index), current)
    slower = np.maximum(needed / request - 1.0, 0.0).mean() / 11
    assert unseen_slowdown(used, request, current) == pytest.approx(slower, rel=0.02)


def test_runs_that_differ_say_that_later_ones_may_need_more() -> None:
    alike, wide = [0.5] * 12, [0.1] * 6 + [0.2, 0.3, 0.5, 0.5, 0.5, 0.5]
    assert unseen_slowdown(alike, 0.6, 8.0) < 0.005 < unseen_slowdown(wide, 0.6, 8.0)
    assert unseen_slowdown([0.0] * 12, 0.1, 8.0) < 0.001


def test_a_request_that_is_not_lowered_slows_nothing() -> None:
    assert unseen_slowdown([0.5] * 10, 2.0, 2.0) == 0.0
    assert unseen_slowdown([0.5] * 10, 2.0, 1.0) == 0.0
