"""What must hold for any input of the change analysis: no exception, and invariance where units or order say so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from concertmaster.core.analysis.degraded_runs import find_degraded
from concertmaster.core.changepoint import detect, outlook
from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.comparison import compare, watch
from concertmaster.core.stats.summary import summarize

anything = st.lists(
    st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 1.0, -1.0, 1e-300])),
    max_size=60,
)
seeds = st.integers(0, 2**32 - 1)


def series(seed: int, n: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(0, 0.3, n))
    values[n // 2 :] *= math.exp(rng.normal(0, 0.6))
    return values


@given(anything, anything)
@settings(deadline=None)
def test_detect_never_raises(values: list[float | None], times: list[float | None]) -> None:
    for when in (None, times, list(range(len(values)))):
        changes = detect(when, values, inputs=values)
        assert all(0 <= p.index < len(values) and 0 <= p.confidence <= 1 for p in changes.points)
        assert changes.enough or changes.reason
        if when is not None:
            outlook(when, values, 10.0, now=100.0)


@given(anything)
@example([1e150, 1e-300, 1e-300])
@example([8.9e307, 9e307])
@example([-1.7e308, 0.0, 1.7e308])
@settings(deadline=None)
def test_summary_keeps_its_order(values: list[float | None]) -> None:
    s = summarize(values)
    if s.count:
        assert s.minimum <= s.p50 <= s.p95 <= s.p99 <= s.maximum  # type: ignore[operator]
        assert s.minimum <= s.mean <= s.maximum  # type: ignore[operator]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
@settings(deadline=None)
def test_short_lists_are_summarized_as_numpy_does(values: list[float]) -> None:
    few, array = summarize(values), summarize(np.array(values))
    for name in ("count", "mean", "minimum", "maximum", "variance", "p50", "p95", "p99"):
        expected = getattr(array, name)
        assert getattr(few, name) == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-6))
    assert (few.cv is None) == (few.mean is None or few.mean <= 0.0 or few.count < 2)


@given(anything, anything)
@settings(deadline=None)
def test_verdicts_never_raise(before: list[float | None], after: list[float | None]) -> None:
    for result in (
        compare(before, after),
        watch(before, after),
        compare(before, after, inputs_before=after, inputs_after=before),
    ):
        assert result.low <= result.high
        assert result.reason
        assert 0.0 <= result.p_value <= 1.0


@given(st.integers(0, 40), st.integers(0, 4), st.data())
@settings(max_examples=40, deadline=None)
def test_degraded_never_raises(runs: int, steps: int, data: st.DataObject) -> None:
    cell = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
    table = data.draw(st.lists(st.lists(cell, min_size=steps, max_size=steps), min_size=runs, max_size=runs))
    totals = data.draw(st.lists(cell, min_size=runs, max_size=runs))
    found = find_degraded([f"s{i}" for i in range(steps)], table, totals)
    assert all(0 <= run < runs for problem in found for run in problem.runs)


@given(seeds, st.floats(1e-6, 1e6))
@example(238, 8.0)
@settings(max_examples=40, deadline=None)
def test_the_unit_does_not_matter(seed: int, factor: float) -> None:
    values = series(seed)
    assert [p.index for p in detect(None, values).points] == [p.index for p in detect(None, values * factor).points]
    one, other = compare(values[:30], values[30:]), compare(values[:30] * factor, values[30:] * factor)
    assert one.verdict is other.verdict
    assert math.isclose(one.ratio, other.ratio, rel_tol=1e-3)


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_swapping_the_sides_turns_the_verdict_round(seed: int) -> None:
    values = series(seed)
    forth, back = compare(values[:30], values[30:]), compare(values[30:], values[:30])
    turned = {Verdict.WORSE: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.WORSE}
    assert back.verdict is turned.get(forth.verdict, forth.verdict)
    assert math.isclose(forth.ratio * back.ratio, 1.0, rel_tol=2e-3)


@given(seeds, st.floats(1.0, 3.0))
@settings(max_examples=30, deadline=None)
def test_a_slower_after_is_never_a_better_verdict(seed: int, factor: float) -> None:
    order = {Verdict.IMPROVED: 0, Verdict.SAME: 1, Verdict.INCONCLUSIVE: 1, Verdict.WORSE: 2}
    values = series(seed)
    assert order[compare(values[:30], values[30:]).verdict] <= order[compare(values[:30], values[30:] * factor).verdict]


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_order_of_runs_within_a_side_does_not_matter_to_a_verdict(seed: int) -> None:
    values, rng = series(seed), np.random.default_rng(seed)
    one, other = compare(values[:30], values[30:]), compare(rng.permutation(values[:30]), rng.permutation(values[30:]))
    assert one.verdict is other.verdict
    assert math.isclose(one.ratio, other.ratio, rel_tol=1e-3)
