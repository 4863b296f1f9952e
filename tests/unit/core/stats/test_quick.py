"""The short ways that the analysis takes give what the long ones do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.comparison import compare_amounts, direction
from concertmaster.core.stats.robust import array_median, quantiles

VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40)


@given(VALUES, st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5))
def test_medians_and_quantiles_are_those_of_numpy(values: list[float], shares: list[float]) -> None:
    data = np.array(values)
    assert array_median(data) == pytest.approx(float(np.median(data)), rel=1e-12, abs=1e-12)
    assert quantiles(data, shares) == pytest.approx(np.quantile(data, shares).tolist(), rel=1e-12, abs=1e-6)


@given(st.integers(0, 10_000), st.integers(3, 30), st.floats(0.5, 2.0), st.booleans())
def test_the_direction_is_that_of_the_whole_comparison(seed: int, size: int, ratio: float, zeros: bool) -> None:
    chance = np.random.default_rng(seed)
    before, after = (factor * chance.lognormal(0.0, 0.3, size) for factor in (1.0, ratio))
    if zeros:
        before[0] = after[-1] = 0.0
    whole = compare_amounts(before, after)
    near = not zeros and min(abs(whole.low - 1.0), abs(whole.high - 1.0)) < 1e-3  # the ends are found to that precision
    if not near:
        reported = whole.verdict if whole.verdict in (Verdict.WORSE, Verdict.IMPROVED) else Verdict.INCONCLUSIVE
        assert direction(before, after) is reported


def test_too_little_has_no_direction() -> None:
    assert direction([1.0, 2.0], [3.0, 4.0, 5.0]) is Verdict.INCONCLUSIVE
