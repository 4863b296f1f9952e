"""Percentiles of several daily rows, beside those of their runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.analysis.daily.rows import combine
from concertmaster.core.model.daily import RUN, DailyRow


def row(day: int, seconds: list[float]) -> DailyRow:
    p50, p95 = np.quantile(seconds, [0.5, 0.95]).tolist()
    n = len(seconds)
    return DailyRow(day, RUN, n, n, 0, timed=n, seconds=sum(seconds), p50=p50, p95=p95, cost=0.0)


SECONDS = st.floats(1.0, 1e5)


@given(st.lists(st.lists(SECONDS, min_size=1, max_size=2), min_size=1, max_size=40))
def test_days_of_one_run_or_two_have_the_percentiles_of_all_their_runs(days: list[list[float]]) -> None:
    found = combine(row(n, seconds) for n, seconds in enumerate(days))
    assert found is not None
    runs = [s for day in days for s in day]
    assert [found.p50, found.p95] == pytest.approx(np.quantile(runs, [0.5, 0.95]).tolist(), rel=1e-6, abs=1e-6)


@given(st.lists(SECONDS, min_size=1, max_size=60))
def test_one_day_keeps_its_percentiles(seconds: list[float]) -> None:
    day = row(0, seconds)
    found = combine([day])
    assert found is not None
    assert (found.p50, found.p95) == (day.p50, day.p95)


@pytest.mark.parametrize(("runs", "spread"), [(3, 0.15), (6, 0.5), (24, 0.15), (100, 0.5)])
def test_days_of_more_runs_are_within_a_few_percent(runs: int, spread: float) -> None:
    rng, errors = np.random.default_rng(1), []
    for _ in range(50):
        days = [600.0 * np.exp(rng.normal(0.0, spread, runs)) for _ in range(14)]
        found = combine(row(n, seconds.tolist()) for n, seconds in enumerate(days))
        assert found is not None and found.p95 is not None
        errors.append(found.p95 / float(np.quantile(np.concatenate(days), 0.95)) - 1.0)
    assert abs(float(np.mean(errors))) < 0.03  # a mean of the daily ones is off by -17% at six runs a day


@pytest.mark.parametrize(("first", "each"), [(1, 1), (200, 1), (200, 5)])
def test_a_day_whose_runs_are_added_as_they_come_keeps_their_percentiles(first: int, each: int) -> None:
    """As of a workflow with more runs a day than one analysis takes: errors of hundreds of sums must not add up."""
    rng, errors = np.random.default_rng(3), []
    for _ in range(20):
        runs = (600.0 * np.exp(rng.normal(0.0, 0.3, 700))).tolist()
        day = row(0, runs[:first])
        for at in range(first, len(runs), each):
            day = combine([day, row(0, runs[at : at + each])]) or day
        assert day.p50 is not None and day.p95 is not None
        errors.append(np.array([day.p50, day.p95]) / np.quantile(runs, [0.5, 0.95]) - 1.0)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.04


def test_a_day_without_timed_runs_has_no_say() -> None:
    empty = DailyRow(1, RUN, 2, 0, 2, timed=0, seconds=0.0, p50=None, p95=None, cost=0.0)
    found = combine([row(0, [60.0, 90.0]), empty])
    assert found is not None
    assert found.p50 == pytest.approx(75.0)
    assert combine([empty]) is not None and (combine([empty]) or empty).p95 is None
