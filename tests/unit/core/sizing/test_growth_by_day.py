"""Growth of the largest peak of each day, where the runs at hand are of some hours only."""

from __future__ import annotations

import math

import numpy as np
import pytest

from concertmaster.core.sizing import MemoryOptions, largest_ahead

GI, FIRST = 2.0**30, 20_000


def by_day(rng: np.random.Generator, days: int, growth: float, spread: float = 0.03) -> dict[int, float]:
    at = np.arange(days)
    peaks = GI * np.exp(growth * at + spread * rng.normal(size=days))
    return {FIRST + int(day): float(peak) for day, peak in zip(at, peaks, strict=True)}


def test_growth_is_carried_on_for_one_and_a_half_times_the_days() -> None:
    found = largest_ahead(by_day(np.random.default_rng(1), 14, 0.03, 0.0), MemoryOptions())
    assert found == pytest.approx(GI * math.exp(0.03 * (13 + 1.5 * 14)))


def test_the_order_of_the_days_decides_not_that_of_the_mapping() -> None:
    days = by_day(np.random.default_rng(2), 14, 0.03)
    assert largest_ahead(dict(reversed(days.items())), MemoryOptions()) == largest_ahead(days, MemoryOptions())


@pytest.mark.parametrize("days", [0, 1, 2, 6])
def test_a_few_days_show_no_growth(days: int) -> None:
    assert largest_ahead(by_day(np.random.default_rng(3), days, 0.3), MemoryOptions()) is None


@pytest.mark.parametrize("days", [7, 10, 14, 15])
def test_days_in_any_order_seldom_look_like_growth(days: int) -> None:
    rng = np.random.default_rng(4)
    found = [largest_ahead(by_day(rng, days, 0.0, 0.2), MemoryOptions()) for _ in range(500)]
    assert sum(size is not None for size in found) < 0.025 * len(found)


def test_days_that_fall_show_no_growth() -> None:
    assert largest_ahead(by_day(np.random.default_rng(5), 14, -0.05), MemoryOptions()) is None
