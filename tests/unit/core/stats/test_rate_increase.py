"""How much more frequent something has become since an unknown position."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.rules.reliability.repeated_failures import rise
from concertmaster.core.stats.rate_increase import increase


def test_a_clear_increase_is_what_was_seen() -> None:
    found = increase([False] * 100 + [True, False] * 50)
    assert found is not None
    assert found.likely == pytest.approx(0.5, abs=0.02)
    assert (found.low, found.high) == (pytest.approx(0.41, abs=0.03), pytest.approx(0.58, abs=0.03))


def test_what_was_usual_before_is_taken_off() -> None:
    found = increase(([True] + [False] * 4) * 30 + [True, True, True, False] * 25)
    assert found is not None
    assert found.likely == pytest.approx(0.75 - 0.2, abs=0.03)


@pytest.mark.parametrize("flags", [[], [True], [False] * 9, [True] * 9, [True, True, False, False, False]])
def test_without_an_increase_there_is_none(flags: list[bool]) -> None:
    assert increase(flags) is None


@given(st.lists(st.booleans(), max_size=40))
def test_the_interval_is_one_of_shares(flags: list[bool]) -> None:
    found = increase(flags)
    if found is not None:
        assert 0.0 <= found.low <= found.likely <= found.high <= 1.0


@pytest.mark.parametrize("rates", [(0.3, 0.6), (0.6, 0.95)])
def test_intervals_of_increases_that_were_noticed_hold(rates: tuple[float, float]) -> None:
    """With one start, the most likely one, two thirds of those of the higher rates hold."""
    rng, held = np.random.default_rng(5), []
    while len(held) < 400:
        usual, rate, before, since = (
            rng.uniform(0, 0.05),
            rng.uniform(*rates),
            rng.integers(10, 60),
            rng.integers(5, 30),
        )
        flags = [bool(f) for f in np.concatenate([rng.random(before) < usual, rng.random(since) < rate])]
        if rise(flags) is None:
            continue
        found = increase(flags)
        assert found is not None
        held.append(found.low <= rate - usual <= found.high)
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)
