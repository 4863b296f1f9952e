"""Where a replay only bounds a gain, the bound is the high end of the interval and ranks nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.changes.plan import expected_change
from concertmaster.core.lifecycle.history import ImplementationResult, RelativeEffect
from concertmaster.core.model import Interval, Recommendation, Severity
from concertmaster.core.model.policy import Pricing
from concertmaster.core.rules import rank
from concertmaster.core.rules.upper_bound import attainable
from concertmaster.report.status.recommendation_log import describe_result
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Work, argo, noise, scenario, task

BOUND = ("queue-time", "io-bound", "schedule-clash", "variance")


def _found(rule: str) -> Recommendation:
    return scenarios.SCENARIOS[rule]().recommended(rule)[0]


@pytest.mark.parametrize("rule", BOUND)
def test_half_of_the_cause_is_likely_gone_and_all_at_most(rule: str) -> None:
    item = _found(rule)
    for gain in (item.gain_seconds, item.gain_share):
        assert gain is not None
        assert gain.low == 0.0
        assert 0.3 * gain.high <= gain.likely <= 0.55 * gain.high
    assert item.upper_bound
    assert not item.minor
    assert ", if half of the " in item.expected
    assert " is removed, at most all of it" in item.expected
    assert not item.expected.startswith("at most")


@pytest.mark.parametrize("rule", BOUND)
def test_impact_and_severity_are_those_of_the_likely_part(rule: str) -> None:
    item = _found(rule)
    assert item.gain_seconds is not None
    minutes = item.impact.run_minutes
    assert minutes is not None
    assert minutes.likely / minutes.high == pytest.approx(item.gain_seconds.likely / item.gain_seconds.high)


def test_a_cause_that_is_not_known_counts_a_quarter() -> None:
    value = noise()

    def work(stalled: float) -> Recommendation:
        def one(_: int) -> Work:
            seconds = value(300)
            quiet = scenarios.measured(
                cpu_seconds=0.1 * seconds, cpu_sampled_seconds=seconds, io_waiting_seconds=stalled * seconds
            )
            return {"extract": value(60), "transform": Pod(seconds, containers=quiet), "load": value(30)}

        return scenario(scenarios.etl(), 20, one).one("io-bound")

    disk, somewhere = (_part(work(stalled)) for stalled in (0.9, 0.0))
    assert (disk, somewhere) == (pytest.approx(0.5, abs=0.02), pytest.approx(0.25, abs=0.02))


def _part(item: Recommendation) -> float:
    assert item.gain_share is not None
    return item.gain_share.likely / item.gain_share.high


def test_a_remedy_that_surely_gains_more_than_half_of_a_bound_stands_before_it() -> None:
    """Waiting is 3 minutes a run; a change that surely saves 2 of them is worth more than what may save all 3."""
    value = noise()
    waits = scenario(argo(task("a"), task("b", "a")), 20, lambda _: {"a": Pod(value(120), wait=180.0), "b": value(60)})
    bound = waits.one("queue-time")
    assert bound.gain_seconds is not None
    assert bound.gain_seconds.high > 170
    rate = (bound.impact.run_minutes or Interval(0, 0, 0)).likely / bound.gain_seconds.likely
    minutes = 120.0 * rate
    sure = replace(
        bound,
        id="cache-step.b",
        rule="cache-step",
        severity=Severity.LOW,
        impact=replace(bound.impact, run_minutes=Interval(0.9 * minutes, minutes, 1.1 * minutes)),
    )
    assert [r.id for r in rank([bound, sure], Pricing())] == ["cache-step.b", "queue-time"]


def test_no_part_of_a_bound_is_beyond_it() -> None:
    share, seconds = attainable((Interval(0.2, 0.3, 0.4), Interval(20.0, 30.0, 40.0)), part=0.25)
    assert (share.low, share.likely, share.high) == pytest.approx((0.0, 0.075, 0.4))
    assert (seconds.low, seconds.likely, seconds.high) == pytest.approx((0.0, 7.5, 40.0))


def test_a_prediction_of_at_most_is_printed_from_zero_on() -> None:
    """In the history of changes, too, without a sign."""
    item = _found("queue-time")
    promised = expected_change(item)
    assert promised is not None
    result = ImplementationResult(
        item.id, item.action, "jo", 0.0, (), RelativeEffect("Duration", promised.likely, promised.low, promised.high)
    )
    assert "shorter runs (0 to " in describe_result(result)
