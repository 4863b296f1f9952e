"""What recommendations of one workflow gain together: the same time counts once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.fleet.combined_gain import combined_gain, contributions
from concertmaster.core.fleet.ranking import Headline, totals
from concertmaster.core.model import Impact, Interval

IDS = ("parallelism", "parallelism.a", "queue-time", "queue-time.start", "queue-time.lock", "queue-time.suspended",
       "schedule-clash", "batch-small-steps.a", "batch-small-steps.b", "cpu-request.a.main", "io-bound.a", "variance.b",
       "degradation", "node-skew", "overlapping-runs")  # fmt: skip


@pytest.mark.parametrize(
    ("gains", "total"),
    [
        ({"queue-time": 60, "parallelism": 40}, 60),  # pods wait once, for nodes or behind a limit
        ({"queue-time": 60, "schedule-clash": 50, "queue-time.lock": 20}, 60),
        ({"queue-time": 60, "parallelism.a": 40}, 60),  # 40 of the 60 are those of step a
        ({"queue-time": 30, "parallelism.a": 40, "parallelism.b": 20}, 60),
        ({"queue-time": 60, "queue-time.start": 30}, 90),  # two parts of the time before a pod works
        ({"queue-time.start": 60, "batch-small-steps.a": 20, "batch-small-steps.b": 10}, 60),
        ({"queue-time.suspended": 25, "queue-time": 60}, 85),  # the one before the run, the other within
        ({"io-bound.a": 30, "cpu-request.a": 20}, 30),
        ({"io-bound.a": 30, "cpu-request.a.main": 20}, 30),  # with the name of the container
        ({"io-bound.a": 30, "io-bound.ab": 20}, 50),
        ({"io-bound.a": 30, "queue-time": 20}, 50),
        ({"degradation": 30, "io-bound.a": 20}, 30),  # what became slower is somewhere in the steps
        ({"degradation": 10, "io-bound.a": 20}, 20),
        ({"overlapping-runs": 60, "queue-time": 40}, 60),  # runs beside another wait for its nodes
        ({"overlapping-runs": 60, "queue-time": 40, "queue-time.start": 30}, 70),
        ({"overlapping-runs": 60, "queue-time": 40, "parallelism.a": 30, "io-bound.b": 10}, 60),
        ({"cache-step.a": -5, "io-bound.b": 0}, 0),
    ],
)
def test_the_same_time_counts_once(gains: dict[str, float], total: float) -> None:
    assert sum(contributions(gains.items())) == total


@given(st.dictionaries(st.sampled_from(IDS), st.floats(0.0, 100.0)))
def test_together_is_no_more_than_the_sum_and_no_less_than_the_largest(gains: dict[str, float]) -> None:
    total = sum(contributions(gains.items()))
    assert total <= sum(gains.values()) + 1e-6
    assert total >= max(gains.values(), default=0.0) - 1e-6


def test_money_and_failures_of_a_workflow() -> None:
    found = combined_gain(
        [
            ("right-size", Impact(money=Interval(1, 2, 3))),
            ("cache-step.a", Impact(run_minutes=Interval(1, 5, 9), money=Interval(1, 1, 1))),
            ("timeout.a", Impact(failed_runs=Interval(1, 2, 3))),
            ("retry-policy.a", Impact(failed_runs=Interval(2, 4, 6))),
        ]
    )
    assert found == Impact(Interval(5, 5, 5), Interval(4, 4, 4), Interval(3, 3, 3))
    assert combined_gain([]) == Impact()


def test_totals_count_each_workflows_time_once() -> None:
    def line(profile: str, identifier: str, minutes: float) -> Headline:
        worth = Impact(Interval(0, minutes, 2 * minutes))
        return Headline("demo", profile, "x/y", identifier, "act", worth, "Low", "Low", "Low")

    rows = [line("a", "queue-time", 60), line("a", "parallelism", 60), line("b", "queue-time", 60)]
    assert totals(rows).run_hours == 2.0
