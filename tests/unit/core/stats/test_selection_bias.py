"""Estimates that are known because they were large enough to be noticed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.model import Interval
from concertmaster.core.stats.selection_bias import corrected_for_selection

Z = 1.96


def estimate(value: float, error: float = 1.0) -> Interval:
    return Interval(value - Z * error, value, value + Z * error)


@pytest.mark.parametrize("effect", [2.5, 3.5, 4.5, 6.0, 8.0])
@pytest.mark.parametrize("least", [3.5, 5.0])
def test_of_effects_that_are_noticed_the_likely_value_is_true_on_average(effect: float, least: float) -> None:
    """The threshold is as blurred as the estimate. Raw estimates of the weakest effects are half as large again."""
    rng = np.random.default_rng(1)
    found = rng.normal(effect, 1.0, 400_000)
    noticed = found[rng.normal(found, 1.0) > least][:3000]
    kept = [corrected_for_selection(estimate(float(x)), least) for x in noticed if x > 0.0]
    raw, likely = float(noticed.mean()), float(np.mean([k.likely for k in kept]))
    assert likely == pytest.approx(effect, abs=0.25 * max(raw - effect, 0.0) + 0.15)
    assert np.mean([k.low <= effect <= k.high for k in kept]) >= 0.93


@given(
    value=st.floats(0.5, 60.0),
    share=st.floats(0.0, 1.0),
    error=st.floats(1e-4, 1e3),
)
def test_it_only_takes_away_and_the_more_the_nearer_the_threshold(value: float, share: float, error: float) -> None:
    nearer = corrected_for_selection(estimate(value * error, error), value * error)
    found = corrected_for_selection(estimate(value * error, error), share * value * error)
    for kept in (nearer, found):
        assert 0.0 <= kept.likely <= value * error
        assert kept.low <= kept.likely <= kept.high
    assert nearer.likely <= found.likely * (1.0 + 1e-5)
    # In any unit the same.
    assert found.likely / error == pytest.approx(
        corrected_for_selection(estimate(value), share * value).likely, rel=1e-4, abs=1e-4
    )


def test_what_would_have_been_noticed_anyway_stays_as_it_is() -> None:
    kept = corrected_for_selection(estimate(20.0), 6.0)
    assert (kept.low, kept.likely, kept.high) == pytest.approx((20.0 - Z, 20.0, 20.0 + Z), abs=1e-4)


def test_one_that_was_barely_noticed_falls_by_less_than_its_error_and_is_less_certain() -> None:
    kept = corrected_for_selection(estimate(4.0), 4.0)
    assert 3.0 < kept.likely < 3.3
    assert 1.2 * Z < kept.likely - kept.low < math.sqrt(2.0) * Z


def test_ends_keep_their_own_distances() -> None:
    kept = corrected_for_selection(Interval(16.0, 20.0, 30.0), 6.0)
    assert (kept.likely - kept.low, kept.high - kept.likely) == pytest.approx((4.0, 10.0), rel=1e-3)


@pytest.mark.parametrize(
    "exact", [Interval(3.0, 3.0, 3.0), Interval(-math.inf, 3.0, math.inf), Interval(-3.0, -1.0, 1.0)]
)
def test_without_an_error_or_an_increase_there_is_nothing_to_take_away(exact: Interval) -> None:
    assert corrected_for_selection(exact, 2.0) == exact
