"""Workflows followed over weeks: the simulation does what its law says, and a planted wrong answer is counted as wrong."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lives import __main__ as command
from benchmarks.lives.changes import CHANGES, SETTINGS, Outcome, outcomes
from benchmarks.lives.kinds import KINDS
from benchmarks.lives.kinds.base import limited
from benchmarks.lives.law import BEGIN, DAY, HOUR, MI, Calendar, Effect, Flow, Step, at_day
from benchmarks.lives.life import Day, Life, Result, apply, revert, write
from benchmarks.lives.manifests import edited, known, manifest, schedule
from benchmarks.lives.report import lines, summarize
from benchmarks.lives.score import BY_NAME, Gain, Judged, Story, judge
from benchmarks.lives.simulation import play, starts
from benchmarks.lives.truth import cost, gone, implemented, never, recommended, seconds, unchanged, undone, unmeasurable
from concertmaster.core.model import Outcome as Ended
from concertmaster.core.model import RunRecord

PLAIN = Flow((Step("work", seconds=300, spread=0.0),), noise=0.0)


def first(flow: Flow, seed: int = 1) -> RunRecord:
    number, due = next(starts(flow, BEGIN, BEGIN + DAY))
    return play(flow, seed, number, due)


def took(flow: Flow, seed: int = 1) -> float:
    return seconds(first(flow, seed)) or 0.0


def test_every_kind_says_what_happens_and_its_claims_lie_within_its_life() -> None:
    assert len(BY_NAME) == len(KINDS)
    for kind in KINDS:
        plan = kind(np.random.default_rng(1))
        assert kind.__doc__ and kind.__doc__[0].isupper() and kind.__doc__.endswith("."), kind.__name__
        assert plan.claims, kind.__name__
        assert all(12.0 <= claim.since < claim.until <= plan.until for claim in plan.claims), kind.__name__
        assert all(day < plan.until for day, _ in plan.events), kind.__name__
        assert known(plan.flow).definition.fingerprint


def test_equal_seeds_yield_equal_runs_and_the_same_run_under_another_definition_differs_by_that_only() -> None:
    flow = limited(np.random.default_rng(1))
    assert first(flow) == first(flow)
    assert first(flow) != first(flow, 2)
    slower = flow.under(Effect(BEGIN, step="load", factor=2.0))
    one, two = ({e.step: e.duration or 0.0 for e in first(f).steps} for f in (flow, slower))
    assert two["load"] == pytest.approx(2.0 * one["load"])
    assert two["extract"] == one["extract"]


def test_limits_effects_and_the_calendar_do_what_they_say() -> None:
    assert took(PLAIN.having("work", cores=2.0, cpu_limit=1.0, busy=1.0)) - took(PLAIN) == pytest.approx(300.0)
    assert took(replace(PLAIN, calendar=Calendar(swing=0.5, noon=0.0))) - took(PLAIN) == pytest.approx(150.0, abs=0.1)
    assert took(PLAIN.under(Effect(at_day(1), factor=2.0))) == took(PLAIN)
    assert took(PLAIN.under(Effect(at_day(-1), inputs=2.0))) - took(PLAIN) == pytest.approx(300.0)
    assert Calendar(weekend=0.7).factor(at_day(5)) == 0.7
    items = replace(PLAIN, steps=(replace(PLAIN.steps[0], items=4),))
    assert took(replace(items, parallelism=2)) == pytest.approx(2.0 * took(items), rel=0.05)
    killed = first(PLAIN.having("work", memory_limit=100 * MI))
    assert killed.outcome is Ended.FAILED
    assert killed.steps[0].reason == "OOMKilled"
    flaky = PLAIN.having("work", fails=1.0, retries=2)
    assert [e.attempt for e in first(flaky).steps] == [0, 1, 2]
    assert list(starts(replace(PLAIN, paused=((BEGIN, at_day(1)),)), BEGIN, at_day(1))) == []


def test_cost_is_that_of_the_requests() -> None:
    flow = PLAIN.having("work", cpu_request=2.0, memory_request=0.0)
    assert (cost(first(flow)) or 0.0) == pytest.approx(
        2.0 * (cost(first(PLAIN.having("work", memory_request=0.0))) or 0.0)
    )
    assert cost(first(PLAIN.having("work", fails=1.0))) is None


def test_fields_are_edited_as_a_recommendation_prints_them() -> None:
    flow = replace(limited(np.random.default_rng(1)), every=HOUR)
    limit, size = "/spec/workflowSpec/parallelism: 2 -> 6", "/spec/workflowSpec/templates/load/container/resources"
    assert edited(flow, limit).parallelism == 6
    assert edited(flow, limit, 0.5).parallelism == 4
    both = edited(flow, f"{size}/limits/cpu: null -> 2; {size}/requests/memory: 512Mi -> 1Gi").step("load")
    assert (both.cpu_limit, both.memory_request) == (2.0, 1024 * MI)
    assert manifest(edited(flow, limit))["spec"]["workflowSpec"]["parallelism"] == 6
    with pytest.raises(ValueError, match="no field"):
        edited(flow, "/spec/suspend: false -> true")
    assert [schedule(every) for every in (600.0, HOUR, DAY)] == ["*/10 * * * *", "0 */1 * * *", "0 0 * * *"]


def test_what_somebody_could_not_follow_is_known_and_a_revert_restores_what_was() -> None:
    life = Life(PLAIN, 1)
    life.go([(1.0, apply("parallelism")), (2.0, write(lambda f: replace(f, parallelism=3))), (3.0, revert)], 4.0)
    assert life.unmade == ["parallelism"]
    assert [flow.parallelism for _, flow in life.deployed] == [None, 3, None]
    slower = Life(PLAIN, 1)
    slower.go([(1.0, write(lambda f: f.having("work", seconds=600.0)))], 2.0)
    true = slower.effect(at_day(1), at_day(2), seconds)
    assert true is not None
    assert true == pytest.approx(300.0 / took(PLAIN), rel=0.02)


def day(number: float, state: str | None, *results: Result, id_: str = "parallelism") -> Day:
    return Day(at_day(number), {} if state is None else {id_: {"state": state}}, results)


def result(verdict: str | None, *, undone: bool = False, measured: bool = True) -> Result:
    span = (-0.5, -0.4, -0.3) if measured else None
    return Result("parallelism", at_day(15), verdict, undone, span, span)


def test_days_until_the_right_answer_lapses_and_wrong_days_are_counted() -> None:
    days = [day(15.4, "Active"), day(16.4, None), day(17.4, "Active"), day(18.4, None)]
    found = judge(gone("parallelism", 15.0, 18.0), days)
    assert found.days == pytest.approx(1.4)
    assert (found.lapses, found.wrong, found.of) == (1, 0, 3)
    assert judge(never("parallelism", 15.0, 19.0), days).wrong == 2
    assert judge(recommended("degradation", 15.0, 19.0), days).days is None
    load = day(15.4, "Active", id_="degradation.load")
    assert judge(recommended("degradation", 15.0, 19.0), [load]).days == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("claim", "right", "wrong"),
    [
        (implemented, day(16, "Implemented", result("Improved")), day(16, "Implemented", result("Worse"))),
        (
            unmeasurable,
            day(16, "Implemented", result("Inconclusive", measured=False)),
            day(16, None, result("Improved")),
        ),
        (unchanged, day(16, "Active"), day(16, "Active", result(None))),
    ],
)
def test_a_planted_wrong_answer_is_counted_as_wrong(claim: object, right: Day, wrong: Day) -> None:
    made = claim("parallelism", 15.0, 18.0)  # type: ignore[operator]
    assert (judge(made, [right]).days, judge(made, [right]).wrong) == (1.0, 0)
    assert (judge(made, [wrong]).days, judge(made, [wrong]).wrong) == (None, 1)


def test_what_was_reverted_must_not_stay_implemented() -> None:
    claim = undone("parallelism", 15.0, 16.0, 20.0)
    found = judge(
        claim, [day(17, "Implemented", result("Improved")), day(18, "Active", result("Improved", undone=True))]
    )
    assert (found.days, found.wrong) == (2.0, 1)


def test_intervals_hold_the_true_effect_or_do_not_and_the_page_says_so() -> None:
    span = (-0.5, -0.4, -0.3)
    gains = (Gain("parallelism", span, span, -0.35), Gain("parallelism", span, None, -0.1))
    assert [g.held for g in gains] == [True, False]
    story = Story("limit-on-pods", 1, True, 3, (Judged("parallelism is recommended", 0.5, 0, 1, 3),), gains)
    verified = [
        Outcome(setting.name, change.name, 1, "Worse", False, 5, span, true)
        for setting in SETTINGS[:1]
        for change in CHANGES
        for true in (-0.35, -0.1)
    ]
    found = summarize(verified, [story, replace(story, applicable=False)], 2)
    assert (found["held"], found["intervals"], found["promises_held"], found["promises"]) == (1, 2, 1, 1)
    assert found["changes"][0]["verdicts"]["Worse"] == 2
    assert (found["changes"][0]["held"], found["changes"][0]["right"]) == (1, 0)
    text = "\n".join(lines(found))
    assert "| 1 of 1 | 0.5, 0.5 | 0 | 1 (1 of 3) | 1 of 2 |" in text
    assert "2, 0, 0, 0 (5)" in text


def test_a_change_that_makes_runs_slower_is_called_so_and_its_effect_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "lives.json"
    given = ["lives", "--only", "steady-4h-14d", "--seeds", "1", "--first", "1", "--jobs", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", given)
    assert command.main() == 0
    rows = {row["change"]: row for row in json.loads(out.read_text())["changes"]}
    assert rows["20% slower"]["verdicts"]["Worse"] >= 4
    assert rows["20% faster"]["verdicts"]["Improved"] >= 4


def test_failures_that_all_workflows_share_are_not_those_of_a_change() -> None:
    setting = next(s for s in SETTINGS if s.bad == 1.0)
    assert next(outcomes(setting, 1)).verdict != "Worse"
