"""Many series looked at together: the same as each for itself, and as a plain form of the scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint import Series, detect, detect_many
from concertmaster.core.changepoint.scores import (
    BOUND,
    HALVINGS,
    MIN_SEGMENT,
    MIN_SPREAD,
    REFERENCE_POINTS,
    best_split,
    best_splits,
    split_p_value,
)
from concertmaster.core.changepoint.segment import (
    CLEAR,
    INSIGNIFICANT_P,
    SIGNIFICANCE,
    TWO_VIEWS,
    _insignificant_split,
    first_tests,
    serial_dependence,
)
from concertmaster.core.stats.ranks import normal_scores, normal_scores_of_many
from concertmaster.core.stats.robust import mad_sigma, theil_sen, theil_sens

LENGTHS = (5, 11, 12, 13, 30, 30, 30, 49, 97, 200)


def _values(rng: np.random.Generator, n: int) -> Floats:
    """Durations of one of the shapes there are: quiet, stepped, in few sizes, constant, drifting, growing, with outliers."""
    y = 100 * rng.lognormal(0, 0.3, n)
    shape = rng.integers(7)
    if shape == 1:
        y[n // 2 :] *= 1.6
    elif shape == 2:
        y = np.maximum(50.0, np.round(y / 50) * 50)
    elif shape == 3:
        y[:] = 60.0
    elif shape == 4:
        y = 100 * np.exp(np.cumsum(rng.normal(0, 0.1, n)))
    elif shape == 5:
        y *= np.linspace(1, 2, n)
    elif shape == 6:
        y[rng.integers(0, n, 2)] *= 30
    return y


def _series(rng: np.random.Generator) -> Series:
    n = int(rng.choice(LENGTHS))
    times = 1.7e9 + np.sort(rng.uniform(0, 14 * 86400, n))
    values = _values(rng, n)
    inputs = None
    if rng.random() < 0.2:
        sizes = rng.lognormal(0, 1, n)
        values, inputs = values * sizes, sizes.tolist()
    if rng.random() < 0.1:
        values = values - 100
    return Series(times.tolist(), values.tolist(), inputs)


@given(st.integers(0, 2**32 - 1))
def test_each_of_many_is_detected_as_it_is_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    many = [_series(rng) for _ in range(12)]
    assert repr(detect_many(many)) == repr([detect(s.times, s.values, inputs=s.inputs) for s in many])


def _plain_split(values: Floats) -> tuple[int, float]:
    """The best split as its description says it, value by value."""
    n = values.size

    def unit(scores: Floats) -> Floats:
        spread = scores.std()
        return (scores - scores.mean()) / spread if spread > 1e-12 else np.zeros(n)

    sigma = mad_sigma(values)
    sigma = sigma if sigma > 1e-6 * values.std() else float(values.std())
    points = np.sort(values)
    if n > REFERENCE_POINTS:
        points = points[((np.arange(REFERENCE_POINTS) + 0.5) * n / REFERENCE_POINTS).astype(int)]
    scores = [normal_scores(values)]
    for halving in range(HALVINGS if sigma > 0 else 0):
        width = sigma / 2**halving
        kernel = [np.exp(-0.5 * ((v - points) / width) ** 2) for v in values]
        scores.append(
            np.array(
                [((v - points) / sigma * k).sum() / max(k.sum(), 1e-300) for v, k in zip(values, kernel, strict=True)]
            )
        )
    bounded = [np.clip(unit(s), -BOUND, BOUND) for s in scores]
    rows = [(s - s.mean()) / max(float(s.std()), MIN_SPREAD) for s in bounded]
    clear = {
        k: max(abs(s[:k].sum()) for s in rows) / math.sqrt(k * (n - k) / (n - 1.0))
        for k in range(MIN_SEGMENT, n - MIN_SEGMENT + 1)
    }
    best = max(clear, key=lambda k: clear[k])
    return best, clear[best]


@given(st.integers(0, 2**32 - 1), st.sampled_from([12, 30, 49, 97]), st.integers(1, 20))
@example(39, 30, 1)  # the narrowest density hardly tells three levels apart
def test_splits_of_many_are_those_of_the_plain_form(seed: int, n: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.stack([np.log(_values(rng, n)) for _ in range(rows)])
    found = best_splits(values, normal_scores_of_many(values))
    assert found == [best_split(row) for row in values]
    for row, (index, z) in zip(values[:3], found, strict=False):
        plain, clear = _plain_split(row)
        assert z == pytest.approx(clear, rel=1e-6, abs=1e-9)
        assert index == plain or z == pytest.approx(clear, rel=1e-9)
    looks = first_tests(values)
    assert [(look.dependence, look.split) for look in looks] == [
        (serial_dependence(row), split) for row, split in zip(values, found, strict=True)
    ]


@pytest.mark.parametrize("n", [30, 97, 2000])
def test_no_stretch_is_looked_for_beside_a_clear_split(n: int) -> None:
    assert split_p_value(CLEAR, n) ** TWO_VIEWS < SIGNIFICANCE
    values = np.random.default_rng(5).normal(size=(3, n))
    values[1, n // 2 :] += 20.0
    values[2] = np.sin(0.4 * np.arange(n))
    quiet, clear, drifting = first_tests(values)
    assert quiet.arc is not None
    assert clear.arc is None
    assert drifting.arc is None


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 8, 30, 97, 200]), st.booleans())
def test_slopes_of_many_are_those_of_each(seed: int, n: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.uniform(0, 2, (6, n)), axis=1), rng.normal(size=(6, n))
    if tied:
        x = np.round(x)
    assert theil_sens(x, y) == [theil_sen(a, b) for a, b in zip(x, y, strict=True)]


@pytest.mark.parametrize("n", [12, 30, 200])
def test_what_is_hopeless_is_so_by_its_probability(n: int) -> None:
    bar = _insignificant_split(n)
    assert split_p_value(bar, n) > INSIGNIFICANT_P > split_p_value(bar + 1e-6, n)
