"""Progress against the baseline that was kept when a workflow was first seen."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.model.daily import RUN, Baseline, DailyRow
from concertmaster.report import daily

THEN = Baseline(1_760_000_000.0, 12, p50=720.0, p95=900.0, success=0.92, cost=0.42)


def days(p50: float, cost: float) -> list[DailyRow]:
    return [
        DailyRow(d, RUN, 4, 4, 0, timed=4, seconds=4 * p50, p50=p50, p95=p50, cost=4 * cost) for d in (20_400, 20_401)
    ]


def served(rows: list[DailyRow], baseline: Baseline | None = THEN) -> str:
    """The sentence, from what the operator serves."""
    document = daily.view(rows, "", baseline)
    return daily.progress(document["baseline"], daily.rows(document["days"]), "USD")


def test_the_last_two_weeks_are_set_against_the_first_analysis() -> None:
    old = [DailyRow(20_000, RUN, 1, 0, 1, timed=1, seconds=9000.0, p50=9000.0, p95=9000.0, cost=9.0)]
    assert served([*old, *days(540.0, 0.315)]) == (
        "Since the baseline of 2025-10-09 (12 runs), last 14 days: median duration 12m00s -> 9m00s (-25%, target -20 to"
        " -30%); p95 15m00s -> 9m00s (-40%); cost per run 0.42 USD -> 0.315 USD (-25%, target -15 to -25%);"
        " success 92% -> 100%"
    )


def test_a_figure_that_is_not_known_now_or_was_not_then_is_left_out() -> None:
    unpriced = [replace(day, cost=None) for day in days(540.0, 0.0)]
    assert "cost" not in served(unpriced)
    assert "success 92% -> 100%" in served(unpriced)
    assert "p95" not in served(days(540.0, 0.3), replace(THEN, p95=None))


def test_a_workflow_is_not_compared_with_the_days_of_its_baseline() -> None:
    first = 20_370  # the day of the baseline
    begun = [
        DailyRow(first + d, RUN, 1, 1, 0, timed=1, seconds=700.0, p50=700.0, p95=700.0, cost=0.4) for d in range(16)
    ]
    assert served(begun[:14]) == ""
    assert "median duration 12m00s -> 11m40s (-3%" in served(begun)


def test_without_baseline_or_days_nothing_is_said() -> None:
    assert served(days(540.0, 0.3), None) == ""
    assert served([]) == ""
