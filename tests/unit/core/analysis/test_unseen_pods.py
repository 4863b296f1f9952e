"""Runs of which some pods were not seen: they do not count as cheaper runs, nor as runs without the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from concertmaster.core.analysis.cost.runs import steps_unseen
from concertmaster.core.analysis.workflow import Analysis, analyze
from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.model.policy import Objectives, Policy
from concertmaster.core.rules import Evidence, recommend
from tests.support.builders import NOW, container, daily, definition, step

CHAIN = definition(step("extract"), step("load", ["extract"]))
LARGE = container(cpu_request=4.0)
RUNS = daily(CHAIN.graph, 12, lambda _: {"extract": 3600.0, "load": 1800.0}, containers=lambda _: (LARGE,))
POLICY = Policy(objectives=Objectives(max_cost_per_run=0.1))


def without(run: RunRecord, name: str) -> RunRecord:
    """The run as if no pod of a step was seen: its outcome is unknown, as a step that every run takes is missing."""
    return replace(run, outcome=Outcome.UNKNOWN, steps=tuple(e for e in run.steps if e.step != name))


def of(runs: Sequence[RunRecord]) -> Analysis:
    return analyze(CHAIN, runs, now=NOW, policy=POLICY)


SEEN = [without(r, "load") if i % 4 == 0 else r for i, r in enumerate(RUNS)]


def test_the_cost_of_a_run_is_that_of_runs_seen_in_full() -> None:
    cost = of(SEEN).cost
    assert cost.per_run is not None
    assert cost.runs == 9
    assert cost.per_run.total == pytest.approx(of(RUNS).cost.per_run.total)  # type: ignore[union-attr]


def test_a_budget_is_exceeded_by_as_much() -> None:
    (whole,), (seen,) = ([r for r in recommend(Evidence(of(runs), "p")) if r.rule == "budget"] for runs in (RUNS, SEEN))
    assert whole.saving_per_month is not None and seen.saving_per_month is not None
    assert seen.saving_per_month.likely == pytest.approx(whole.saving_per_month.likely)


def test_a_step_is_as_frequent_as_in_runs_seen_in_full() -> None:
    analysis = of(SEEN)
    for own in analysis.steps:
        assert analysis.presence(own, own.containers[0]) == 1.0


def test_a_step_that_some_runs_leave_out_stays_as_frequent() -> None:
    half = [replace(without(r, "load"), outcome=Outcome.SUCCEEDED) if i % 2 else r for i, r in enumerate(RUNS)]
    seen = [without(r, "extract") if i in (0, 1) else r for i, r in enumerate(half)]
    for runs in (half, seen):
        analysis = of(runs)
        (load,) = (s for s in analysis.steps if s.step == "load")
        assert analysis.presence(load, load.containers[0]) == 0.5


def test_runs_that_all_lack_a_step_cost_what_was_seen() -> None:
    """The definition has gained a step since."""
    analysis = of([without(r, "load") for r in RUNS])
    assert analysis.cost.per_run is not None
    assert analysis.cost.runs == len(RUNS)
    assert analysis.presence(analysis.steps[0], analysis.steps[0].containers[0]) == 1.0


def test_runs_whose_end_was_not_seen_lack_no_step() -> None:
    lost = replace(RUNS[0].steps[1], outcome=Outcome.UNKNOWN)
    assert not steps_unseen(replace(RUNS[0], outcome=Outcome.UNKNOWN, steps=(RUNS[0].steps[0], lost)))
    assert not any(steps_unseen(r) for r in RUNS)
    assert steps_unseen(SEEN[0])
