"""Before/after verdicts: direction, adjustment for input size, error rates, and what is said with too little data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.comparison import (
    LAST_LEVEL,
    SEQUENTIAL_LEVEL,
    anytime_critical,
    compare,
    compare_amounts,
    watch,
)
from concertmaster.core.stats.quantiles import student_quantile
from concertmaster.core.stats.shift import group_shift


def runs(rng: np.random.Generator, n: int, factor: float = 1.0, sigma: float = 0.2) -> np.ndarray:
    return factor * 100.0 * np.exp(rng.normal(0, sigma, n))


@pytest.mark.parametrize(("factor", "expected"), [(0.6, Verdict.IMPROVED), (1.6, Verdict.WORSE)])
def test_clear_changes(factor: float, expected: Verdict) -> None:
    rng = np.random.default_rng(1)
    result = compare(runs(rng, 20), runs(rng, 20, factor))
    assert result.verdict is expected
    assert result.low < factor < result.high
    assert result.p_value < 0.01
    assert not result.adjusted
    assert (result.runs_before, result.runs_after) == (20, 20)


def test_equal_and_precise_is_same_while_equal_and_noisy_is_inconclusive() -> None:
    rng = np.random.default_rng(2)
    assert compare(runs(rng, 40, sigma=0.02), runs(rng, 40, sigma=0.02)).verdict is Verdict.SAME
    assert compare(runs(rng, 6, sigma=0.5), runs(rng, 6, sigma=0.5)).verdict is Verdict.INCONCLUSIVE


def test_larger_inputs_are_not_blamed_on_the_change() -> None:
    rng = np.random.default_rng(3)
    small, large = np.exp(rng.normal(0, 0.4, 25)), np.exp(rng.normal(1.0, 0.4, 25))
    before, after = runs(rng, 25, sigma=0.1) * small, runs(rng, 25, sigma=0.1) * large
    raw = compare(before, after)
    assert raw.verdict is Verdict.WORSE
    assert raw.reason.endswith("of what they were")
    fair = compare(before, after, inputs_before=small, inputs_after=large)
    assert fair.adjusted
    assert fair.reason.endswith("of what they were at equal input")
    assert fair.verdict is not Verdict.WORSE
    assert fair.low < 1.0 < fair.high


def test_inputs_known_for_too_few_runs_are_not_used() -> None:
    rng = np.random.default_rng(4)
    before, after = runs(rng, 12), runs(rng, 12)
    some = [1.0, 2.0, 3.0, *[None] * 9]
    assert not compare(before, after, inputs_before=some, inputs_after=some).adjusted
    assert not compare(before, after, inputs_before=[1.0], inputs_after=[2.0]).adjusted


@pytest.mark.parametrize(("factor", "expected"), [(1.0, Verdict.INCONCLUSIVE), (1.6, Verdict.WORSE)])
def test_inputs_in_another_unit_are_not_used(factor: float, expected: Verdict) -> None:
    rng = np.random.default_rng(6)
    sizes = [np.exp(rng.normal(20.0, 0.3, 25)) for _ in range(2)]
    before, after = (runs(rng, 25, f, 0.1) * s / np.exp(20.0) for f, s in zip((1.0, factor), sizes, strict=True))
    assert compare(before, after, inputs_before=sizes[0], inputs_after=sizes[1]).adjusted
    found = compare(before, after, inputs_before=sizes[0], inputs_after=sizes[1] / 1e6)
    assert not found.adjusted
    assert found.verdict is expected


def test_outliers_do_not_decide() -> None:
    rng = np.random.default_rng(5)
    before, after = runs(rng, 25, sigma=0.05), runs(rng, 25, 0.8, sigma=0.05)
    after[:3] *= 40.0
    assert compare(before, after).verdict is Verdict.IMPROVED


@pytest.mark.parametrize("bad", [[], [1.0, 2.0], [math.nan] * 9, [0.0, -1.0, math.inf, None]])
def test_too_little_data_is_inconclusive_with_a_reason(bad: list[float | None]) -> None:
    result = compare(bad, [1.0] * 10)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert math.isnan(result.ratio)
    assert "needed" in result.reason


def test_constants_are_the_same() -> None:
    assert compare([5.0] * 10, [5.0] * 10).verdict is Verdict.SAME
    assert compare([5.0] * 10, [7.0] * 10).ratio == pytest.approx(1.4, rel=1e-3)


def test_false_alarms_of_the_fixed_form() -> None:
    rng = np.random.default_rng(6)
    calls = [compare(runs(rng, 10), runs(rng, 10)).verdict for _ in range(150)]
    assert sum(v in (Verdict.WORSE, Verdict.IMPROVED) for v in calls) <= 13  # 4% nominal, 8.7% is three sigma


def test_the_sequential_form_waits_then_decides() -> None:
    rng = np.random.default_rng(7)
    before, after = runs(rng, 20), runs(rng, 30, 1.5)
    early = watch(before, after[:3])
    assert early.verdict is Verdict.INCONCLUSIVE
    results = [watch(before, after[:n]) for n in range(5, 31)]
    first = next(i for i, r in enumerate(results) if r.verdict is not Verdict.INCONCLUSIVE)
    assert results[first].verdict is Verdict.WORSE
    assert first < 10


def test_a_last_look_before_max_runs_decides_too() -> None:
    rng = np.random.default_rng(21)
    before, after = runs(rng, 40, sigma=0.15), runs(rng, 12, 1.15, sigma=0.15)
    assert watch(before, after).verdict is Verdict.INCONCLUSIVE
    last = watch(before, after, final=True)
    assert last.verdict is Verdict.WORSE
    assert last.p_value < 0.1


def test_a_million_runs() -> None:
    rng = np.random.default_rng(12)
    result = compare(runs(rng, 10**6), runs(rng, 10**6, 1.1))
    assert result.verdict is Verdict.WORSE
    assert result.ratio == pytest.approx(1.1, rel=0.02)


def test_runs_beyond_max_runs_change_nothing() -> None:
    rng = np.random.default_rng(11)
    before, after = runs(rng, 15), runs(rng, 40)
    assert watch(before, after, max_runs=20) == watch(before, after[:20], max_runs=20)


def test_asking_after_every_run_does_not_raise_false_alarms() -> None:
    rng = np.random.default_rng(9)
    called = {True: 0, False: 0}
    for _ in range(300):
        before, after = np.log(runs(rng, 15)), np.log(runs(rng, 25))
        for n in range(5, 26):
            groups = group_shift(before, after[:n])
            t = groups.t()
            bar = anytime_critical(groups.degrees, groups.information, SEQUENTIAL_LEVEL / 2)
            if abs(t) > (bar if n < 25 else student_quantile(1 - LAST_LEVEL / 2, groups.degrees)):
                called[t > 0] += 1
                break
    assert max(called.values()) <= 24  # at most 5% by design; 8% is beyond two sigma


def test_a_degradation_of_20_percent_is_caught_when_runs_vary_by_15_percent() -> None:
    rng = np.random.default_rng(10)
    caught = 0
    for _ in range(40):
        before, after = runs(rng, 20, sigma=0.15), runs(rng, 30, 1.2, sigma=0.15)
        caught += any(watch(before, after[:n]).verdict is Verdict.WORSE for n in range(5, 31, 3))
    assert caught >= 34


def test_with_too_little_no_difference_reaches_the_bar() -> None:
    assert math.isinf(anytime_critical(1.0, 0.5, 0.001))


@pytest.mark.parametrize("after", [20.0, 100.0, 200.0])
def test_inputs_that_tell_before_from_after_leave_nothing_to_say(after: float) -> None:
    """Where all inputs are small before and all large after, their effect and the change's cannot be distinguished."""
    rng = np.random.default_rng(7)
    calls = dict.fromkeys(Verdict, 0)
    for _ in range(300):
        sizes = rng.choice([10.0, 11.0], 5), [after] * 5
        sides = runs(rng, 5, sigma=0.1), runs(rng, 5, sigma=0.1)
        found = watch(*sides, final=True, inputs_before=sizes[0], inputs_after=sizes[1])
        assert not found.low == found.high == 0.0
        calls[found.verdict] += 1
    assert calls[Verdict.IMPROVED] <= 22  # 5% a side, and chance
    assert calls[Verdict.WORSE] <= 22


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([0.0] * 47 + [1.0] * 3, [1.0] * 50, Verdict.WORSE),
        ([1.0] * 50, [0.0] * 47 + [1.0] * 3, Verdict.IMPROVED),
        ([0.0] * 17 + [30.0] * 3, [30.0] * 20, Verdict.WORSE),
        ([0.0] * 20, [0.0] * 20, Verdict.INCONCLUSIVE),
        ([0.0, 1.0] * 10, [1.0, 0.0] * 10, Verdict.INCONCLUSIVE),
        ([0.0, 1.0], [1.0] * 50, Verdict.INCONCLUSIVE),
    ],
)
def test_zero_is_an_amount(before: list[float], after: list[float], expected: Verdict) -> None:
    assert compare_amounts(before, after).verdict is expected


def test_amounts_without_zeros_are_compared_as_durations_are() -> None:
    rng = np.random.default_rng(3)
    sides = runs(rng, 20), runs(rng, 20, 1.4)
    assert compare_amounts(*sides) == compare(*sides)


def test_false_alarms_about_amounts() -> None:
    rng = np.random.default_rng(11)
    draws = (np.where(rng.random(40) < 0.6, 0.0, rng.lognormal(0, 1, 40)) for _ in range(400))
    called = sum(compare_amounts(d[:20], d[20:]).verdict is not Verdict.INCONCLUSIVE for d in draws)
    assert called <= 24  # 4% nominal


@pytest.mark.parametrize(("seconds", "spread"), [(5.0, 0.7), (3.0, 0.5), (20.0, 0.6)])
def test_whole_seconds_are_no_change(seconds: float, spread: float) -> None:
    """As engines write times: many runs take equally long, and a change of any size separates them completely."""
    rng = np.random.default_rng(1)
    verdicts, watched = [], []
    for _ in range(60):
        before, after = (np.maximum(1.0, rng.normal(seconds, spread, n).round()) for n in (40, 30))
        verdicts.append(compare(before, after).verdict)
        looks = (watch(before, after[:k], max_runs=30) for k in range(5, 31))
        watched.append(next((v for look in looks if (v := look.verdict) is not Verdict.INCONCLUSIVE), None))
    for found in (verdicts, watched):
        assert sum(v in (Verdict.WORSE, Verdict.IMPROVED) for v in found) <= 6


@given(
    st.lists(st.integers(1, 6), min_size=3, max_size=40),
    st.lists(st.integers(1, 6), min_size=3, max_size=40),
)
def test_an_interval_excludes_no_change_only_if_the_test_does(before: list[int], after: list[int]) -> None:
    found = compare([float(v) for v in before], [float(v) for v in after], level=0.05)
    if found.p_value > 0.05:
        assert found.low <= 1.0 <= found.high
