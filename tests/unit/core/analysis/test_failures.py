"""Failures of a step: how many runs they end."""

from __future__ import annotations

from concertmaster.core.analysis.failures import summarize_failures
from concertmaster.core.model import Outcome, StepExecution


def test_runs_that_fail_for_good_have_more_failed_attempts() -> None:
    """Eight runs succeed at the second attempt, two fail three times: of ten, two are lost, not 6 of 14 in ten."""
    runs = [name for i in range(8) for name in (f"r{i}",) * 2] + ["x"] * 3 + ["y"] * 3
    outcomes = [Outcome.FAILED, Outcome.SUCCEEDED] * 8 + [Outcome.FAILED] * 6
    found = summarize_failures(runs, [StepExecution("work", outcome=o) for o in outcomes])
    assert (found.failed, found.failing_runs, found.lost_runs) == (14, 10, 2)
    assert (found.lasting(10), found.lasting(5), summarize_failures([], []).lasting(3)) == (2, 1, 0)


def test_one_lost_item_loses_its_run() -> None:
    rows = [StepExecution("work", item, outcome=o) for item, o in (("a", Outcome.FAILED), ("b", Outcome.SUCCEEDED))]
    assert summarize_failures(["r", "r"], rows).lasting(1) == 1
