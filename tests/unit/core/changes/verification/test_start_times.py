"""When a workflow could be started since a change, from cycle to cycle."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.changes.verification.start_times import StartTimes, observed
from concertmaster.core.times import seconds_outside
from tests.support.builders import definition

HOURLY = replace(definition(), schedule="0 * * * *")
EDITS = st.lists(st.tuples(st.floats(1.0, 1e5), st.booleans(), st.booleans()), min_size=1, max_size=12)


@given(EDITS)
def test_the_time_in_which_a_workflow_is_suspended_is_left_out_and_no_other(
    edits: list[tuple[float, bool, bool]],
) -> None:
    """Edits at cycles: after so many seconds it is suspended or not, or only annotated."""
    known: StartTimes | None = None
    now, edition, suspended, idle, dated = 0.0, 0, False, 0.0, 0.0
    for seconds, other, annotated in [(0.0, False, False), *edits]:
        idle, now = idle + seconds * suspended, now + seconds
        known = observed(known, replace(HOURLY, suspended=suspended), (edition,), edited=dated, now=now)
        dated = now if annotated or other != suspended else dated
        edition, suspended = edition + (other != suspended), other
    assert known is not None
    assert now - seconds_outside(known.gaps, 0.0, now) == pytest.approx(idle, abs=1e-6)
    assert all(a < b for a, b in known.gaps)


def test_another_schedule_counts_from_when_it_was_written() -> None:
    first = observed(None, HOURLY, (1,), edited=0.0, now=100.0)
    other = observed(first, replace(HOURLY, schedule="30 * * * *"), (2,), edited=150.0, now=200.0)
    assert (first.since, other.since, other.gaps) == (0.0, 150.0, ())


def test_a_process_that_starts_with_a_suspended_workflow_counts_from_its_last_edit() -> None:
    first = observed(None, replace(HOURLY, suspended=True), (1,), edited=50.0, now=100.0)
    assert (first.since, first.gaps) == (50.0, ((50.0, 100.0),))
    assert observed(first, HOURLY, (2,), edited=150.0, now=200.0).gaps == ((50.0, 150.0),)


def test_what_was_suspended_and_resumed_between_two_cycles_may_have_been_so_all_the_time() -> None:
    first = observed(None, HOURLY, (1,), edited=0.0, now=100.0)
    assert observed(first, HOURLY, (3,), edited=150.0, now=200.0).gaps == ((100.0, 150.0),)


@pytest.mark.parametrize(
    ("edited", "passed", "span"),
    [(150.0, 600.0, ()), (0.0, 4000.0, ((100.0, 4100.0),)), (150.0, 4000.0, ((100.0, 150.0),))],
)
def test_an_edit_is_unwatched_where_no_cycle_looked_for_long(edited: float, passed: float, span: tuple[Any]) -> None:
    first = observed(None, HOURLY, (1,), edited=0.0, now=100.0)
    assert observed(first, HOURLY, (1,), edited=edited, now=100.0 + passed).unwatched == ()
    later = observed(first, HOURLY, (2,), edited=edited, now=100.0 + passed)
    assert later.unwatched == span
    assert StartTimes.read(json.loads(json.dumps(later.document()))) == later
    document = {k: v for k, v in later.document().items() if k != "unwatched"}
    assert StartTimes.read(document) is not None, "as an earlier edition wrote it"
