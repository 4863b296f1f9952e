"""A level that returns is two changes, whatever it rose to; and noise alone has none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from concertmaster.core.changepoint import Direction, detect
from concertmaster.core.changepoint.arcs import arc_p_value, best_arcs
from concertmaster.core.stats.ranks import normal_scores

DAY = 86400.0


def days(n: int) -> np.ndarray:
    return 1.7e9 + DAY * np.arange(n)


@pytest.mark.parametrize("factor", [0.5, 1.3, 2.0, 5.0])
@pytest.mark.parametrize(("n", "first", "last"), [(60, 20, 35), (60, 17, 42), (160, 70, 100)])
def test_both_ends_of_a_raised_stretch_are_found(n: int, first: int, last: int, factor: float) -> None:
    found = 0
    for seed in range(10):
        values = 100.0 * np.exp(np.random.default_rng(seed).normal(0, 0.05, n))
        values[first:last] *= factor
        points = detect(days(n), values).points
        ways = [Direction.UP, Direction.DOWN] if factor > 1.0 else [Direction.DOWN, Direction.UP]
        found += [p.direction for p in points] == ways and max(
            abs(points[0].index - first), abs(points[1].index - last)
        ) <= 2
    assert found >= 9


def test_a_stretch_of_a_series_that_changes_elsewhere_is_found_too() -> None:
    values = 100.0 * np.exp(np.random.default_rng(1).normal(0, 0.05, 120))
    values[40:55] *= 2.0
    values[90:] *= 3.0
    assert [p.index for p in detect(days(120), values).points] == pytest.approx([40, 55, 90], abs=1)


NOISE: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(0, 1, n),
    "exponential": lambda rng, n: rng.exponential(1, n),
    "heavy tailed": lambda rng, n: rng.standard_t(2, n),
    "two modes": lambda rng, n: rng.normal(0, 0.2, n) + 3.0 * (rng.random(n) < 0.3),
    "whole numbers": lambda rng, n: rng.normal(5, 0.7, n).round(),
}


@pytest.mark.parametrize("law", NOISE)
@pytest.mark.parametrize("n", [20, 40, 120])
def test_noise_alone_has_a_significant_stretch_no_more_often_than_said(law: str, n: int) -> None:
    rng = np.random.default_rng(n)
    ranked = np.asarray([normal_scores(NOISE[law](rng, n)) for _ in range(600)])
    chance = [arc_p_value(arc.z, n) for arc in best_arcs(ranked)]
    assert np.mean(np.asarray(chance) < 0.02) <= 0.03


def test_too_few_values_have_no_stretch_inside() -> None:
    ranked = normal_scores(np.asarray([1.0] * 6 + [9.0] * 6 + [1.0] * 5))[None, :]
    assert best_arcs(ranked)[0].z == 0.0
    assert arc_p_value(4.0, 17) == 1.0
