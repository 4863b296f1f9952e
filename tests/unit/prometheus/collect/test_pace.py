"""Spans of the past become shorter where many pods end in them, for many workflows only."""

from __future__ import annotations

from concertmaster.core.model import PodFact
from concertmaster.prometheus.collect.collection import Collection
from concertmaster.prometheus.collect.pace import FEW, MOST_PODS, Pace

LONGEST = 6 * 3600.0


def read(pace: Pace, seconds: float, pods: int, workflows: int = 1000) -> None:
    pace.learn(Collection(0.0, seconds, facts=(PodFact("demo", "p", "u"),) * pods), workflows)


def test_a_span_has_as_many_pods_as_memory_is_for() -> None:
    pace = Pace()
    assert pace.longest(1000, LONGEST) < LONGEST  # nothing is known yet
    read(pace, 1800.0, pods=2 * MOST_PODS)
    assert pace.longest(1000, LONGEST) == 900.0
    assert pace.longest(500, LONGEST) == 1800.0
    read(pace, 1800.0, pods=MOST_PODS // 4)
    assert pace.longest(1000, LONGEST) == 4 * 1800.0
    read(pace, 3600.0, pods=1)
    assert pace.longest(1000, LONGEST) == LONGEST
    read(pace, 60.0, pods=MOST_PODS)
    assert pace.longest(10_000, LONGEST) == 900.0  # queries have their price, too


def test_few_workflows_are_read_in_the_longest_spans() -> None:
    pace = Pace()
    assert pace.longest(FEW, LONGEST) == LONGEST
    read(pace, 60.0, pods=MOST_PODS, workflows=FEW)
    assert pace.longest(FEW, LONGEST) == LONGEST


def test_a_span_in_which_nothing_ended_says_nothing() -> None:
    pace = Pace()
    read(pace, 1800.0, pods=2 * MOST_PODS)
    read(pace, 1800.0, pods=0)
    assert pace.longest(1000, LONGEST) == 900.0
