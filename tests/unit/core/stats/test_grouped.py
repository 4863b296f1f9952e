"""Comparison of values that come in groups: what a group shares is no evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from concertmaster.core.stats.grouped import GroupedShift, grouped_medians, grouped_shift, grouped_shifts


def shift(inside: Mapping[str, Sequence[float]], outside: Mapping[str, Sequence[float]]) -> GroupedShift | None:
    """Of values by group, under the condition and not."""
    rows = [(g, under, v) for under, side in ((True, inside), (False, outside)) for g, own in side.items() for v in own]
    names = sorted({g for g, _, _ in rows})
    groups, under, values = zip(*((names.index(g), u, v) for g, u, v in rows), strict=True)
    return grouped_shift(np.array(groups), np.array(under), np.array(values))


def test_what_a_group_shares_falls_out() -> None:
    rng = np.random.default_rng(1)
    level = rng.normal(0, 1, 40)
    inside = {str(i): [level[i] + 0.3 + rng.normal(0, 0.05)] for i in range(40)}
    outside = {str(i): (level[i] + rng.normal(0, 0.05, 3)).tolist() for i in range(40)}
    found = shift(inside, outside)
    assert found is not None
    assert found.shift == pytest.approx(0.3, abs=0.05)
    assert found.p_value < 1e-6


def test_many_values_of_few_groups_are_few() -> None:
    one = {"a": [1.0] * 50, "b": [1.2] * 50, "c": [0.9] * 50}
    other = {"a": [0.8] * 50, "b": [1.1] * 50, "c": [0.9] * 50}
    found = shift(one, other)
    assert found is not None
    assert found.shift == pytest.approx(0.1)
    assert found.p_value > 0.05
    assert shift({"a": [1.0], "b": [1.0]}, {"a": [2.0], "b": [2.0]}) is None


def test_groups_on_one_side_are_no_evidence() -> None:
    """Groups that are under the condition because their values are high."""
    rng = np.random.default_rng(3)
    both = {str(i): rng.normal(0, 0.05, 2).tolist() for i in range(10)}
    high = {f"high-{i}": [1.0] for i in range(20)}
    assert shift(high, {f"low-{i}": [0.0] for i in range(20)}) is None
    found = shift(both | high, both)
    assert found == shift(both, both)
    assert found is not None
    assert found.shift == 0.0


def test_nine_of_ten_intervals_hold_the_shift() -> None:
    rng, held = np.random.default_rng(4), []
    for _ in range(400):
        level = rng.normal(0, 0.5, 8)
        inside = {str(i): [level[i] + 0.4 + rng.normal(0, 0.3)] for i in range(8)}
        found = shift(inside, {str(i): (level[i] + rng.normal(0, 0.3, 3)).tolist() for i in range(8)})
        assert found is not None
        held.append(abs(found.shift - 0.4) <= found.off)
    assert 0.86 <= np.mean(held) <= 0.94


def test_chance_is_as_rare_as_stated() -> None:
    rng = np.random.default_rng(2)
    low = 0
    for _ in range(400):
        level = rng.normal(0, 0.5, 30)
        rows = [(str(i), level[i] + rng.normal(0, 0.1), rng.random() < 0.3) for i in range(30) for _ in range(2)]
        sides: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
        for group, value, under in rows:
            sides[not under].setdefault(group, []).append(value)
        found = shift(*sides)
        low += found is not None and found.p_value < 0.05
    assert low / 400 == pytest.approx(0.05, abs=3.5 * math.sqrt(0.05 * 0.95 / 400))


def test_many_conditions_at_once_are_compared_like_each_alone() -> None:
    rng = np.random.default_rng(4)
    for size in (5, 40, 400):
        groups, of = rng.integers(0, 12, size), rng.integers(0, 9, size)
        values = rng.normal(0, 1, size) + groups
        shifts = grouped_shifts(groups, of, values)
        alone = [grouped_shift(groups, of == k, values) for k in range(shifts.size)]
        assert [found is None for found in alone] == np.isnan(shifts).tolist()
        assert shifts == pytest.approx([math.nan if found is None else found.shift for found in alone], nan_ok=True)


def test_medians_by_group_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(5)
    groups, values = rng.integers(0, 9, 30) * 2, rng.normal(0, 1, 30)
    found = grouped_medians(groups, values)
    for k, middle in enumerate(found.tolist()):
        own = values[groups == k]
        assert middle == np.median(own) if own.size else math.isnan(middle)
