"""The last attempt of a step and item."""

from __future__ import annotations

from itertools import permutations

from concertmaster.core.attempts import last_attempts
from concertmaster.core.model import Outcome, StepExecution


def test_the_last_attempt_does_not_depend_on_the_order_of_the_executions() -> None:
    """A failed pod and the one that replaced it may begin in the same second, and be taken for one attempt."""
    rows = [
        StepExecution("train", uid="a", started=10.0, finished=20.0, outcome=Outcome.SUCCEEDED),
        StepExecution("train", uid="b", started=10.0, finished=10.0, outcome=Outcome.FAILED),
        StepExecution("train", uid="c", started=5.0, finished=9.0, outcome=Outcome.FAILED),
        StepExecution("load", uid="d", started=1.0, finished=2.0, outcome=Outcome.SUCCEEDED),
    ]
    for order in permutations(rows):
        assert {e.step: e.uid for e in last_attempts(order)} == {"train": "a", "load": "d"}


def test_a_later_number_counts_before_a_later_begin() -> None:
    first = StepExecution("train", uid="a", attempt=0, started=20.0)
    second = StepExecution("train", uid="b", attempt=1, started=10.0)
    assert list(last_attempts([second, first])) == list(last_attempts([first, second])) == [second]
