"""``degradation`` of a step that some runs skip: the median of all runs does not show it."""

from __future__ import annotations

import random

import pytest

from tests.support.core.scenario_builder import Scenario, Work, argo, noise, scenario, task

_FLOW = argo(task("scan"), task("rebuild", "scan"), task("publish", "rebuild"))
_FULL = 0.4  # share of the runs that rebuild
_COUNT = 120


def _flow(slower: float, *, share_later: float = _FULL, quick: float = 1.0, seed: int = 1) -> Scenario:
    """Since the 61st run, ``share_later`` of the runs rebuild, which takes ``slower`` times as long, and both other steps
    take ``quick`` times as long."""
    value, chance = noise(seed, spread=0.05), random.Random(seed)

    def work(i: int) -> Work:
        late = i >= _COUNT // 2
        usual = quick if late else 1.0
        steps = {"scan": value(100 * usual), "publish": value(50 * usual)}
        if chance.random() < (share_later if late else _FULL):
            steps["rebuild"] = value(600 * (slower if late else 1.0))
        return steps

    return scenario(_FLOW, _COUNT, work, every=3 * 3600.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_conditional_step_that_became_slower_is_found_in_the_runs_that_have_it(seed: int) -> None:
    item = _flow(1.5, seed=seed).one("degradation")
    assert item.id == "degradation.rebuild"
    assert "runs with rebuild take" in item.because
    assert "rebuild went from" in item.because
    assert "of each run with rebuild" in item.expected


@pytest.mark.parametrize("seed", range(4))
def test_its_gain_is_that_of_a_run_on_average(seed: int) -> None:
    """300 s in those runs since then that rebuild."""
    made = _flow(1.5, seed=seed)
    later, mean = made.runs[_COUNT // 2 :], made.analysis().makespan.mean
    truth = 300 * sum(any(e.step == "rebuild" for e in run.steps) for run in later) / len(later)
    seconds, share = made.one("degradation").gain_seconds, made.one("degradation").gain_share
    assert seconds is not None
    assert share is not None
    assert mean is not None
    assert seconds.low < truth < seconds.high
    assert seconds.likely == pytest.approx(truth, rel=0.15)
    assert share.likely == pytest.approx(seconds.likely / mean)


@pytest.mark.parametrize("share_later", [0.2, 0.7])
def test_a_step_that_runs_more_or_less_often_is_no_regression(share_later: float) -> None:
    for seed in range(4):
        assert _flow(1.0, share_later=share_later, seed=seed).recommended("degradation") == []


def test_a_step_that_is_slower_in_runs_that_are_not_is_no_regression() -> None:
    """What the step lost, the others gained."""
    made = _flow(1.2, quick=0.2)
    rebuild = made.analysis().step("rebuild")
    assert rebuild is not None
    assert rebuild.trend.points, "the case must tempt the rule"
    assert made.recommended("degradation") == []


def test_a_regression_of_all_runs_is_told_once() -> None:
    """Steps that others skip are looked at only where the runs as a whole show nothing."""
    item = _flow(1.5, quick=2.0).one("degradation")
    assert "runs take" in item.because
