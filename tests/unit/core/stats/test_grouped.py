"""Comparison of values that come in groups: what a group shares is no evidence."""

from __future__ import annotations

import math

import numpy as np
import pytest

from concertmaster.core.stats.grouped import grouped_shift


def test_what_a_group_shares_falls_out() -> None:
    rng = np.random.default_rng(1)
    level = rng.normal(0, 1, 40)
    inside = {str(i): [level[i] + 0.3 + rng.normal(0, 0.05)] for i in range(40)}
    outside = {str(i): (level[i] + rng.normal(0, 0.05, 3)).tolist() for i in range(40)}
    found = grouped_shift(inside, outside)
    assert found is not None
    assert found.shift == pytest.approx(0.3, abs=0.05)
    assert found.p_value < 1e-6


def test_many_values_of_few_groups_are_few() -> None:
    one = {"a": [1.0] * 50, "b": [1.2] * 50, "c": [0.9] * 50}
    other = {"d": [0.8] * 50, "e": [1.1] * 50, "f": [0.7] * 50}
    found = grouped_shift(one, other)
    assert found is not None
    assert found.p_value > 0.05
    assert grouped_shift({"a": [1.0]}, {"b": [2.0]}) is None


def test_chance_is_as_rare_as_stated() -> None:
    rng = np.random.default_rng(2)
    low = 0
    for _ in range(400):
        level = rng.normal(0, 0.5, 30)
        rows = [(str(i), level[i] + rng.normal(0, 0.1), rng.random() < 0.3) for i in range(30) for _ in range(2)]
        sides: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
        for group, value, under in rows:
            sides[not under].setdefault(group, []).append(value)
        found = grouped_shift(*sides)
        low += found is not None and found.p_value < 0.05
    assert low / 400 == pytest.approx(0.05, abs=3.5 * math.sqrt(0.05 * 0.95 / 400))
