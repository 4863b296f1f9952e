"""What is published enters and leaves over several analyses, and not with single runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from concertmaster.core.model import Recommendation, RunRecord, Severity
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import AnalysisResult, EarlierAnalyses, analyze_workflow
from concertmaster.core.pipeline.damping import Earlier, damp, has_enough_runs
from concertmaster.core.units import DAY
from tests.support.builders import NOW, recommendation
from tests.support.core.scenario_builder import Pod, Scenario, Work, noise, scenario
from tests.support.core.scenarios import etl


def item(rule: str = "variance", **more: object) -> Recommendation:
    return recommendation(f"{rule}.load", **more)


def before(**lags: Sequence[Recommendation]) -> Earlier:
    """What the analyses of some days ago said, by ``d`` and the number of days."""

    def at(lag: float, _: Collection[str]) -> Sequence[Recommendation]:
        return lags.get(f"d{lag / DAY:.0f}", ())

    return at


def published(found: list[Recommendation]) -> list[str]:
    return [r.id for r in found if not r.minor]


def test_what_was_published_stays_while_recent_days_ask_for_it() -> None:
    for lag in ("d1", "d2", "d4"):
        kept = damp(("variance.load",), [], before(**{lag: [item()]}), confirm=True)
        assert published(kept) == ["variance.load"]
    minor = damp(("variance.load",), [item(minor=True)], before(d1=[item()]), confirm=True)
    assert published(minor) == ["variance.load"]
    assert len(minor) == 1
    assert damp(("variance.load",), [], before(), confirm=True) == []


def test_a_state_that_is_over_is_over() -> None:
    at = before(d1=[item("failing-step")])
    assert damp(("failing-step.load",), [], at, confirm=True) == []


@pytest.mark.parametrize("rule", ["degradation", "memory-request"])
def test_what_lasts_is_not_said_to_last_for_days_after_its_end(rule: str) -> None:
    for lag, said in (("d1", [f"{rule}.load"]), ("d2", []), ("d4", [])):
        kept = damp((f"{rule}.load",), [], before(**{lag: [item(rule)]}), confirm=True)
        assert published(kept) == said


def test_what_is_new_waits_for_a_second_day_unless_much_is_at_stake() -> None:
    alone = before()
    (waits,) = damp((), [item()], alone, confirm=True)
    assert (waits.minor, waits.severity) == (True, Severity.INFO)
    assert published(damp((), [item()], before(d1=[item()]), confirm=True)) == ["variance.load"]
    assert published(damp((), [item(severity=Severity.HIGH)], alone, confirm=True)) == ["variance.load"]
    assert published(damp(("variance.load",), [item()], alone, confirm=True)) == ["variance.load"]
    assert published(damp((), [item()], alone, confirm=False)) == ["variance.load"]


def test_a_day_ago_says_nothing_of_a_workflow_most_of_whose_runs_are_newer() -> None:
    runs = flaky().runs
    assert has_enough_runs(runs[:10], runs[:8])
    assert not has_enough_runs(runs[:10], runs[:7])


def flaky() -> Scenario:
    """Three failures that a retry would fix, the oldest of them as old as the window."""
    value = noise()

    def work(i: int) -> Work:
        fails = "Error" if i in (4, 20, 40) else None
        return {"extract": Pod(value(60), fails=fails), "transform": value(300), "load": value(30)}

    return scenario(etl(), 56, work)


def analysed(of: Scenario, later: float, ids: Collection[str] | None, *, mark: str | None = "") -> AnalysisResult:
    """The analysis some days later, with the definition's own mark on all runs unless another one is given."""
    own = of.definition
    runs = [replace(r, fingerprint=own.fingerprint if mark == "" else mark) for r in of.runs]
    if mark == "each":
        runs = [replace(r, fingerprint=f"f{i}") for i, r in enumerate(runs)]
    now = NOW - 4 * DAY + later * DAY
    older: list[RunRecord] = [r for r in runs if (r.end or 0.0) < now - 14 * DAY]
    seen = [r for r in runs if now - 14 * DAY <= (r.end or 0.0) <= now]
    return analyze_workflow(own, seen, Policy(), profile="wfp", now=now, earlier=EarlierAnalyses(ids, older))


def test_a_failure_that_leaves_the_window_takes_nothing_with_it_at_once() -> None:
    of = flaky()
    first = [r.id for r in analysed(of, 0, None).recommendations]
    assert first == ["retry-policy.extract"]
    assert [r.id for r in analysed(of, 2, None).recommendations] == [], "the case must tempt"
    assert [r.id for r in analysed(of, 2, first).recommendations] == first
    assert [r.id for r in analysed(of, 2, first, mark="each").recommendations] == first, (
        "each run has an edit of its own"
    )
    assert [r.id for r in analysed(of, 2, first, mark="another").recommendations] == []
    assert [r.id for r in analysed(of, 2, first, mark=None).recommendations] == []
