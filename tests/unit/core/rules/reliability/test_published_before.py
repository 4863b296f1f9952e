"""What the last analysis published stays until the runs speak against it, so that single runs do not make it come and go."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import replace

import pytest

from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import EarlierAnalyses, analyze_workflow
from tests.support.builders import NOW
from tests.support.core.scenario_builder import Pod, Scenario, Work, argo, noise, scenario, task
from tests.support.core.scenarios import etl

EVERY_FOUR_HOURS = 14 * 86400 / 84


def failing(fails: Collection[int], failures: tuple[tuple[float, str], ...] = ()) -> Scenario:
    """84 runs in two weeks, of which these fail at ``transform``, after these failures of earlier attempts."""
    value = noise()

    def work(i: int) -> Work:
        seconds = value(300)
        own = Pod(seconds, failures=failures, fails="Error") if i in fails else Pod(seconds)
        return {"extract": value(60), "transform": own}

    return scenario(etl(), 84, work, every=EVERY_FOUR_HOURS)


def slower(factor: float) -> Scenario:
    """84 runs, of which the last 30 take ``factor`` times as long, because of ``transform``."""
    value = noise()

    def work(i: int) -> Work:
        own = 300.0 + (390.0 * (factor - 1.0) if i >= 54 else 0.0)
        return {"extract": value(60), "transform": value(own), "load": value(30)}

    return scenario(etl(), 84, work, every=EVERY_FOUR_HOURS)


def recommended(of: Scenario, rule: str, published: Collection[str], *, changed: bool = False) -> list[str]:
    """The ids of the rule, after an analysis that published these; ``changed``: the definition is that of no run."""
    mark, earlier = "earlier" if changed else of.definition.fingerprint, EarlierAnalyses(published)
    runs = [replace(run, fingerprint=mark) for run in of.runs]
    found = analyze_workflow(of.definition, runs, Policy(), profile="wfp", now=NOW, earlier=earlier)
    return [r.id for r in found.recommendations if r.rule == rule]


FREQUENT_SINCE = {60, 66, 72, 78}  # one of six runs instead of none: not beyond chance


def test_an_increase_of_failures_stays_until_it_is_half_as_clear_as_a_new_one() -> None:
    of = failing(FREQUENT_SINCE)
    assert recommended(of, "failing-step", ()) == []
    assert recommended(of, "failing-step", ("failing-step.transform",)) == ["failing-step.transform"]
    assert recommended(of, "failing-step", ("failing-step.load", "retry-policy.transform")) == []
    assert recommended(of, "failing-step", ("failing-step.transform",), changed=True) == []


def test_failures_that_chance_explains_do_not_stay() -> None:
    assert recommended(failing({20, 40, 60, 80}), "failing-step", ("failing-step.transform",)) == []


@pytest.mark.parametrize(("last", "stays"), [(70, True), (64, False)])
def test_failures_end_with_three_days_without_any(last: int, stays: bool) -> None:
    """At the former frequency, as many runs without a failure have a chance far below 1%. Not after a weekend: what fails on
    working days only would come and go each week."""
    of = failing(range(40, last + 1, 2))
    assert recommended(of, "failing-step", ("failing-step.transform",)) == ["failing-step.transform"] * stays


def test_what_is_over_does_not_come_back_as_failures_that_retries_do_not_help() -> None:
    """Too old for a new increase, and clear enough for one that was published, which has ended: once withdrawn, it would be
    published again by the analysis after it."""
    fails = {14, 27, 30, 33, 40, 41, 43, 45, 46, 47, 48, 51, 57, 59, 61}
    of = failing(fails, failures=((200.0, "Error"), (200.0, "Error")))
    assert recommended(of, "failing-step", ("failing-step.transform",)) == []
    assert recommended(of, "failing-step", ()) == []


def test_a_regression_stays_until_it_is_less_than_seven_tenths_of_the_least_increase() -> None:
    of = slower(1.085)
    assert recommended(of, "degradation", ()) == []
    assert recommended(of, "degradation", ("degradation.transform",)) == ["degradation.transform"]
    assert recommended(of, "degradation", ("degradation.load",)) == []
    assert recommended(slower(1.05), "degradation", ("degradation.transform",)) == []


def test_a_published_regression_of_a_step_stays_beside_a_greater_one() -> None:
    """Some runs rebuild, others audit. Since the 61st run ``audit`` makes its runs a tenth longer, a little less than a new
    regression must, and ``rebuild`` takes half as long again."""
    value, chance = noise(spread=0.02), random.Random(0)
    flow = argo(task("scan"), task("rebuild", "scan"), task("audit", "scan"), task("publish", "rebuild", "audit"))

    def work(i: int) -> Work:
        kind, late = chance.random(), i >= 60
        own = {"rebuild": value(900 if late else 600)} if kind < 0.4 else {}
        own = {"audit": value(1000 if late else 900)} if 0.4 <= kind < 0.7 else own
        return {"scan": value(100), **own, "publish": value(50)}

    of = scenario(flow, 120, work, every=3 * 3600.0)
    assert recommended(of, "degradation", ()) == ["degradation.rebuild"]
    both = {"degradation.rebuild", "degradation.audit"}
    assert set(recommended(of, "degradation", both)) == both


@pytest.mark.parametrize(("factor", "found"), [(1.0, {"audit"}), (1.5, {"audit", "rebuild"})])
def test_published_growth_of_a_step_stays_beside_a_regression_that_has_a_date(factor: float, found: set[str]) -> None:
    """Every other run audits, which takes longer and longer, in pieces that are too small each; the others rebuild, which
    takes ``factor`` times as long since the 121st run."""
    slow, value = noise(0, spread=0.05), noise(50, spread=0.02)
    flow = argo(task("scan"), task("rebuild", "scan"), task("audit", "scan"), task("publish", "rebuild", "audit"))

    def work(i: int) -> Work:
        own = (
            {"audit": slow(600 * 1.3 ** (i / 168))} if i % 2 else {"rebuild": value(600 * (factor if i >= 120 else 1))}
        )
        return {"scan": value(100), **own, "publish": value(50)}

    of = scenario(flow, 168, work, every=2 * 3600.0)
    assert set(recommended(of, "degradation", ("degradation.audit",))) == {f"degradation.{step}" for step in found}
