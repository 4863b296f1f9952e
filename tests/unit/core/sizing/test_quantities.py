"""Rounding to quantities a person would write."""

from __future__ import annotations

import math

import pytest

from concertmaster.core.sizing import round_cpu, round_memory

MIB = 2.0**20


@pytest.mark.parametrize(
    ("mib", "rounded"), [(0.2, 1), (1, 1), (100.2, 101), (1024, 1024), (1025, 1040), (8200, 8320), (12000, 12032)]
)
def test_memory_goes_up_to_the_next_step(mib: float, rounded: float) -> None:
    assert round_memory(mib * MIB, at_least=None) == rounded * MIB


def test_memory_goes_to_the_nearest_step_that_covers_the_peak() -> None:
    assert round_memory(1029 * MIB, at_least=1000 * MIB) == 1024 * MIB
    assert round_memory(1029 * MIB, at_least=1025 * MIB) == 1040 * MIB
    assert round_memory(1033 * MIB, at_least=1000 * MIB) == 1040 * MIB


@pytest.mark.parametrize(
    ("cores", "rounded"), [(0.001, 0.01), (0.3, 0.3), (0.301, 0.31), (0.5, 0.5), (0.51, 0.55), (6.98, 7.0)]
)
def test_cpu_goes_up_to_the_next_step(cores: float, rounded: float) -> None:
    assert round_cpu(cores) == rounded


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_no_quantity_for_what_is_no_size(bad: float) -> None:
    assert round_memory(bad, at_least=None) is None
    assert round_cpu(bad) is None
