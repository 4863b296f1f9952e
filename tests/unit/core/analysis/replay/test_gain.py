"""Gain of a change over runs: paired, with an interval, and honest when it cannot be known."""

from __future__ import annotations

import numpy as np
import pytest

from concertmaster.core.analysis.replay import WhatIf, prepare
from concertmaster.core.analysis.replay.gain import gain, has_ended, paired_interval
from concertmaster.core.model import StepSpec, WorkflowGraph
from tests.support.core.oracle_runs import Engine

GRAPH = WorkflowGraph((StepSpec("a"), StepSpec("b", ("a",))))


def runs(seconds: list[int]) -> list[Engine]:
    return [Engine(GRAPH, {"a": [s], "b": [40]}) for s in seconds]


RECORDS = [e.run(f"run-{i}") for i, e in enumerate(runs([20, 24, 22, 30, 18, 26]))]
RUNS = prepare(RECORDS, GRAPH)


def test_the_gain_is_the_mean_of_the_paired_differences() -> None:
    found = gain(RUNS, WhatIf.scale_step("a", 0.5))
    assert found.seconds is not None and found.share is not None
    assert found.seconds.likely == pytest.approx((20 + 24 + 22 + 30 + 18 + 26) / 2 / 6)
    assert found.seconds.low < found.seconds.likely < found.seconds.high
    assert found.seconds.low >= 9 and found.seconds.high <= 15  # no further than the runs themselves
    assert found.share.likely == pytest.approx(140 / 2 / sum(r.makespan or 0 for r in RECORDS))
    assert (found.runs_used, found.reason) == (6, None)


@pytest.mark.parametrize("count", [5, 8, 15])
def test_nine_of_ten_intervals_of_few_runs_hold_the_gain(count: int) -> None:
    """By the percentiles of resamples alone, 77, 85 and 90% do."""
    rng, held = np.random.default_rng(count), []
    for _ in range(400):
        base = 100.0 * np.exp(0.2 * rng.normal(size=count))
        saved = 30.0 * np.exp(0.3 * rng.normal(size=count) - 0.045)
        _, share = paired_interval(saved, base)
        held.append(share.low <= 0.3 / np.exp(0.02) <= share.high)
    assert 0.86 <= np.mean(held) <= 0.95


def test_intervals_hold_the_gain_where_runs_of_a_day_are_alike() -> None:
    """As if runs were independent, seven of ten do."""
    rng, held = np.random.default_rng(9), []
    for _ in range(400):
        day = np.exp(0.3 * np.repeat(rng.normal(size=14), 6))
        _, share = paired_interval(30.0 * day * np.exp(0.2 * rng.normal(size=84)), np.full(84, 100.0))
        held.append(share.low <= 0.3 * np.exp(0.065) <= share.high)
    assert 0.82 <= np.mean(held) <= 0.93


def test_no_gain_is_more_than_the_run_itself() -> None:
    base = np.array([100.0, 400.0, 90.0, 110.0])
    seconds, share = paired_interval(base - np.array([60.0, 2.0, 70.0, 60.0]), base)
    assert share.likely < share.high == 1.0
    assert seconds.high == 175.0


def test_a_change_that_makes_no_run_longer_loses_nothing_at_the_worst() -> None:
    base = np.full(5, 100.0)
    seconds, share = paired_interval(np.array([0.0, 0.0, 0.0, 0.0, 50.0]), base)
    assert (seconds.low, share.low) == (0.0, 0.0) and share.high > 0.3
    seconds, _ = paired_interval(np.array([0.0, 0.0, 0.0, -1.0, 50.0]), base)
    assert seconds.low < 0.0


def test_spread_between_runs_does_not_blur_the_gain_of_a_constant_step() -> None:
    alike = [e.run(f"run-{i}") for i, e in enumerate(runs([23] * 6))]
    for records in (RECORDS, alike):
        found = gain(prepare(records, GRAPH), WhatIf.scale_step("b", 0.5))
        assert found.seconds is not None
        assert (found.seconds.low, found.seconds.high) == pytest.approx(
            (18.86, 21.11), abs=0.1
        )  # the replay's own error


def test_the_error_of_the_replay_grows_with_the_change_and_keeps_its_sign() -> None:
    widths = []
    for factor in (0.99, 0.8, 0.4, 1.01, 1.5):
        found = gain(RUNS, WhatIf.scale_step("b", factor))
        assert found.share is not None and found.share.low * found.share.high > 0
        widths.append(found.share.high - found.share.low)
    assert widths[0] < widths[1] < widths[2] and widths[3] < widths[4]


def test_no_change_gains_nothing() -> None:
    found = gain(RUNS, WhatIf())
    assert found.seconds is not None
    assert (found.seconds.low, found.seconds.likely, found.seconds.high) == (0, 0, 0)


def test_a_change_for_the_worse_has_a_negative_gain() -> None:
    found = gain(RUNS, WhatIf.scale_step("a", 2.0))
    assert found.seconds is not None and found.seconds.high < 0


def test_one_run_gives_a_number_but_no_interval() -> None:
    found = gain(RUNS[:1], WhatIf.scale_step("a", 0.5))
    assert found.seconds is not None and found.seconds.likely == 10
    assert found.runs_used == 1 and found.reason is not None and "one run" in found.reason


def test_without_runs_there_is_no_number() -> None:
    found = gain([], WhatIf.scale_step("a", 0.5))
    assert found.seconds is None and found.reason is not None and "not enough data" in found.reason


def test_a_meaningless_change_is_refused_with_its_reason() -> None:
    found = gain(RUNS, WhatIf.scale_step("a", -1))
    assert found.seconds is None and found.reason is not None and "-1" in found.reason


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_gain_of_some_runs_ends_where_the_newest_have_none(share: float) -> None:
    rng = np.random.default_rng(4)
    some = [(rng.random(84) < share).astype(float) for _ in range(400)]
    assert np.mean([has_ended(saved) for saved in some]) < 0.01
    fixed = [saved * (np.arange(84) < 54) for saved in some]
    assert np.mean([has_ended(saved) for saved in fixed]) > 0.8


def test_a_gain_that_is_away_each_night_or_weekend_has_not_ended() -> None:
    hour = np.arange(24 * 14)
    by_day = ((hour % 24 >= 9) & (hour % 24 < 18)).astype(float)
    of_week = (hour // 24 % 7 < 5) * by_day
    for saved in (by_day, of_week):
        assert not any(has_ended(saved[:until]) for until in range(24 * 8, saved.size))


def test_a_few_runs_without_a_gain_are_no_end() -> None:
    assert not has_ended(np.array([30.0] * 20 + [0.0] * 4))
    assert has_ended(np.array([30.0] * 20 + [0.0] * 5))
    assert not has_ended(np.array([30.0] + [0.0] * 6))
    assert not has_ended(np.zeros(30))


@pytest.mark.parametrize(("share", "runs"), [(0.05, 42), (0.1, 20), (0.2, 20)])
def test_a_gain_of_few_runs_seldom_seems_to_have_ended_by_chance(share: float, runs: int) -> None:
    draws = np.random.default_rng(7)
    assert sum(has_ended((draws.random(runs) < share) * 1.0) for _ in range(1000)) <= 20
