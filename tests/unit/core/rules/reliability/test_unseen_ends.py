"""Runs and attempts whose end was not seen: none is taken for a failure, and no share is one of what is known only."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.known import success_rate
from concertmaster.core.model import Outcome, RunRecord, Severity, StepExecution
from concertmaster.core.rules.intervals import failed_share, share_interval
from concertmaster.core.rules.reliability.repeated_failures import rise
from concertmaster.core.rules.reliability.retry.attempts import episodes
from tests.support.core.scenario_builder import Pod, Scenario, Work, noise, scenario
from tests.support.core.scenarios import etl

Hidden = Callable[[int, StepExecution], bool]


def made(fails: set[int], hidden: Hidden, count: int = 84, retries: int = 0, reason: str = "Error") -> Scenario:
    """Runs of three steps; run i fails at ``transform``, after so many retries. The end of a ``hidden`` pod is not seen."""
    value = noise()

    def work(i: int) -> Work:
        tried = Pod(value(300), failures=((200.0, reason),) * retries, fails=reason)
        return {"extract": value(60), "transform": tried if i in fails else value(300), "load": value(30)}

    of = scenario(etl(), count, work, every=14 * 86400 / count)
    return replace(of, runs=tuple(_seen(run, i, hidden) for i, run in enumerate(of.runs)))


def _seen(run: RunRecord, number: int, hidden: Hidden) -> RunRecord:
    steps = tuple(replace(e, outcome=Outcome.UNKNOWN, reason="Vanished") if hidden(number, e) else e for e in run.steps)
    kinds = {e.outcome for e in steps}
    outcome = next((o for o in (Outcome.FAILED, Outcome.UNKNOWN) if o in kinds), run.outcome)
    return replace(run, steps=steps, outcome=outcome)


def successes(_: int, e: StepExecution) -> bool:
    """As without ``kube_pod_status_phase``."""
    return e.outcome is Outcome.SUCCEEDED


OCCASIONAL = set(range(4, 84, 9))


def test_occasional_failures_are_no_streak_where_successes_are_not_seen() -> None:
    found = made(OCCASIONAL, successes)
    assert found.recommended("failing-step") == []
    assert not [r for r in found.recommended() if r.severity is Severity.CRITICAL]
    promised = [r.failures_avoided.likely for r in found.recommended() if r.failures_avoided is not None]
    assert all(share <= len(OCCASIONAL) / 84 for share in promised)


def test_failures_of_every_run_since_the_last_end_seen_are_a_streak() -> None:
    """And the text does not say that nothing succeeded."""
    item = made(set(range(70, 84)), lambda i, e: i < 70 and successes(i, e)).one("failing-step")
    assert item.severity is Severity.CRITICAL
    assert item.action == "Fix transform: the last 14 runs in a row failed there with Error"
    assert "14 of 84 runs" in item.because
    assert "no success was seen; whether 70 runs failed is unknown" in item.because


@pytest.mark.parametrize(("hidden", "critical"), [({70, 76}, True), (set(range(65, 84, 2)), False)])
def test_every_run_fails_though_a_few_ends_were_not_seen(hidden: set[int], critical: bool) -> None:
    """Then no retry is recommended either; where half of them may have succeeded, that is not known."""
    of = made({30, *range(64, 84)}, lambda i, e: i in hidden and e.step == "transform")
    found = {r.rule: r for r in of.recommended()}
    item = found["failing-step"]
    assert f"{20 - len(hidden)} of 20 runs failed there with Error since" in item.action
    assert (item.severity is Severity.CRITICAL) is critical
    assert ("retry-policy" in found) is not critical
    assert item.failures_avoided is not None
    assert item.failures_avoided.high > 0.98  # all may have failed


def test_runs_that_somebody_stopped_do_not_end_a_streak() -> None:
    of = made(set(range(70, 84)), lambda *_: False)
    stopped = replace(
        of.runs[76],
        outcome=Outcome.UNKNOWN,
        steps=tuple(
            replace(e, outcome=Outcome.UNKNOWN, reason="Stopped") if e.outcome is Outcome.FAILED else e
            for e in of.runs[76].steps
        ),
    )
    item = replace(of, runs=(*of.runs[:76], stopped, *of.runs[77:])).one("failing-step")
    assert "the last 13 runs in a row failed" in item.action
    assert "unknown" not in item.because


def test_failures_that_retries_do_not_help_are_a_share_of_all_runs() -> None:
    seen = made(OCCASIONAL, lambda *_: False, retries=2).one("failing-step").failures_avoided
    item = made(OCCASIONAL, successes, retries=2).one("failing-step")
    assert "9 of 84 runs failed" in item.action
    assert "whether 75 runs failed is unknown" in item.because
    avoided = item.failures_avoided
    assert avoided is not None
    assert seen is not None
    assert (avoided.low, avoided.likely, avoided.high) == (seen.low, seen.likely, 1.0)


def test_retries_are_not_useless_where_those_that_helped_are_not_seen() -> None:
    def work(i: int) -> Work:
        return {
            "extract": 60.0,
            "transform": Pod(300, failures=((200.0, "Error"),) * (2 if i % 3 else 0)),
            "load": 30.0,
        }

    of = scenario(etl(), 42, work)
    of = replace(of, runs=tuple(_seen(run, i, successes) for i, run in enumerate(of.runs)))
    assert of.recommended("failing-step") == []
    assert of.recommended("retry-policy") == []


def test_an_increase_is_found_among_runs_of_which_most_are_not_seen() -> None:
    chance = random.Random(3)
    fails = {i for i in range(60, 84) if i % 3 == 0} | {61, 83}
    whole = made(fails, lambda *_: False).one("failing-step")
    hidden = {(i, step) for i in range(84) for step in ("extract", "transform", "load") if chance.random() < 0.7}
    item = made(fails, lambda i, e: successes(i, e) and (i, e.step) in hidden).one("failing-step")
    assert item.action == whole.action
    assert item.failures_avoided is not None
    assert whole.failures_avoided is not None
    assert item.failures_avoided.likely == whole.failures_avoided.likely


def test_an_increase_of_what_is_seen_is_none() -> None:
    every_third: list[bool | None] = [i % 3 == 0 for i in range(40)]
    assert rise([None] * 40 + every_third) is None
    assert rise([False] * 40 + every_third) is not None
    assert rise([None] * 40 + [own or None for own in every_third]) is not None  # as much is seen as before


def test_a_retry_limit_follows_from_all_executions_and_says_which_ends_are_unknown() -> None:
    fails = {*OCCASIONAL, 1}
    (whole,) = made(fails, lambda *_: False, reason="Evicted").recommended("retry-policy")
    (item,) = made(fails, successes, reason="Evicted").recommended("retry-policy")
    assert item.proposed == whole.proposed
    assert "10 of its 84 executions failed permanently" in item.because
    assert "the ends of 74 were not seen" in item.because
    assert item.confidence < whole.confidence / 4
    assert item.failures_avoided is not None
    assert whole.failures_avoided is not None
    assert item.failures_avoided.likely == whole.failures_avoided.likely


def test_no_retry_is_promised_to_help_against_a_limit_whose_other_times_are_unknown() -> None:
    assert made({*OCCASIONAL, 1}, successes, reason="DeadlineExceeded").recommended("retry-policy") == []


@pytest.mark.parametrize(
    ("ends", "rows"),
    [
        ([True, None, True], 1),  # an outage with an end that was not seen
        ([True, None, None, True], 2),
        ([True, None, False, True], 2),
        ([None, True, None], 1),
        ([None, None], 0),
    ],
)
def test_one_unseen_end_does_not_split_an_outage(ends: list[bool | None], rows: int) -> None:
    assert episodes(ends) == rows


def test_a_share_of_failed_runs_lies_between_that_of_all_and_that_of_the_seen() -> None:
    of_all, seen = share_interval(8, 80), share_interval(8, 20)
    share = failed_share(8, 80, 60)
    assert of_all is not None
    assert seen is not None
    assert share is not None
    assert (share.low, share.likely, share.high) == (of_all.low, of_all.likely, seen.high)
    assert failed_share(8, 80, 0) == of_all
    assert failed_share(0, 80, 60) is None


@pytest.mark.parametrize(
    ("counts", "share"),
    [
        ((9, 1, 0), 0.9),
        ((0, 0, 5), None),
        ((0, 8, 75), None),
        ((80, 4, 40), 80 / 84),
        ((20, 4, 60), None),
        ((3, 0, 97), 1.0),
    ],
)
def test_a_success_rate_is_unknown_where_the_unseen_could_change_it(
    counts: tuple[int, int, int], share: float | None
) -> None:
    assert success_rate(*counts) == share


def test_an_objective_for_success_is_not_missed_by_what_was_not_seen() -> None:
    analysis = made(set(range(4, 84, 40)), successes).analysis()
    verdicts = {o.name: o.verdict for o in analysis.objectives}
    assert analysis.success_rate is None
    assert verdicts["success"] is ObjectiveResult.UNKNOWN
    assert ObjectiveResult.MISSED not in verdicts.values()
    assert "were not seen" in next(p.why for p in analysis.score.parts if p.name == "success")
