"""Spans of the past become shorter where many pods end in them, for many workflows only, and go back no further at first
than an analysis needs."""

from __future__ import annotations

import pytest

from concertmaster.core.model import PodFact
from concertmaster.prometheus.collect.collection import Collection
from concertmaster.prometheus.collect.pace import (
    MAX_DEPTH,
    MAX_FULL_SPEED_WORKFLOWS,
    MAX_PODS,
    BackfillPace,
    FirstDepth,
)

LONGEST = 6 * 3600.0


def read(pace: BackfillPace, seconds: float, pods: int, workflows: int = 1000) -> None:
    pace.learn(Collection(0.0, seconds, facts=(PodFact("demo", "p", "u"),) * pods), workflows)


def test_a_span_has_as_many_pods_as_memory_is_for() -> None:
    pace = BackfillPace()
    assert pace.longest(1000, LONGEST) < LONGEST  # nothing is known yet
    read(pace, 1800.0, pods=2 * MAX_PODS)
    assert pace.longest(1000, LONGEST) == 900.0
    assert pace.longest(500, LONGEST) == 1800.0
    read(pace, 1800.0, pods=MAX_PODS // 4)
    assert pace.longest(1000, LONGEST) == 4 * 1800.0
    read(pace, 3600.0, pods=1)
    assert pace.longest(1000, LONGEST) == LONGEST
    read(pace, 60.0, pods=MAX_PODS)
    assert pace.longest(10_000, LONGEST) == 900.0  # queries have their price, too


def test_few_workflows_are_read_in_the_longest_spans() -> None:
    pace = BackfillPace()
    assert pace.longest(MAX_FULL_SPEED_WORKFLOWS, LONGEST) == LONGEST
    read(pace, 60.0, pods=MAX_PODS, workflows=MAX_FULL_SPEED_WORKFLOWS)
    assert pace.longest(MAX_FULL_SPEED_WORKFLOWS, LONGEST) == LONGEST


def test_a_span_in_which_nothing_ended_says_nothing() -> None:
    pace = BackfillPace()
    read(pace, 1800.0, pods=2 * MAX_PODS)
    read(pace, 1800.0, pods=0)
    assert pace.longest(1000, LONGEST) == 900.0


NOW = 1_000_000.0
HOUR = 3600.0


def hourly(runs: int) -> list[float]:
    """When so many runs began, one an hour."""
    return [NOW - HOUR * (1 + i) for i in range(runs)]


def test_the_newest_runs_of_most_workflows_are_deep_enough() -> None:
    depth = FirstDepth()
    assert depth.seconds == MAX_DEPTH  # nothing is known yet
    depth.learn([hourly(17)] * 9 + [hourly(2)], 5, NOW)
    assert depth.seconds == 5 * HOUR + 900.0  # the fifth run, and time in which it would have had pods before
    depth.learn([hourly(5)] * 10, 5, NOW)
    assert depth.seconds == 5 * HOUR + 900.0, "what was read says the same"


def test_how_long_ago_the_newest_runs_were_is_chance() -> None:
    depth = FirstDepth()
    depth.learn([[at + HOUR - 60.0 for at in hourly(17)]] * 10, 5, NOW)
    assert depth.seconds == 5 * HOUR + 900.0, "of others the next run may be due"


def test_a_run_that_may_have_begun_before_what_was_read_does_not_count() -> None:
    depth = FirstDepth()
    depth.learn([hourly(17)] * 10, 5, NOW)
    cut = [*hourly(4), NOW - 5 * HOUR - 600.0]
    depth.learn([cut] * 10, 5, NOW)
    assert depth.seconds == MAX_DEPTH


@pytest.mark.parametrize(
    ("begun", "runs"),
    [([hourly(17)] * 8 + [hourly(2)] * 2, 5), ([[]] * 10, 5), ([], 5), ([hourly(17)] * 10, 0)],
    ids=["a fifth has too few", "no runs", "no workflows", "it is not known how many are needed"],
)
def test_where_too_few_are_known_to_have_their_runs_all_are_read_as_far_as_any(
    begun: list[list[float]], runs: int
) -> None:
    depth = FirstDepth()
    depth.learn(begun, runs, NOW)
    assert depth.seconds == MAX_DEPTH
