"""Which runs a schedule started, and which of its starts were skipped."""

from __future__ import annotations

import pytest

from concertmaster.core.analysis.runs.starts import by_schedule, starts_of
from tests.support.builders import DAY, NOW, definition, run, step

HOUR = 3600.0
DUE = NOW - NOW % DAY - 20 * DAY + 2 * HOUR
NIGHTLY = definition(step("load"), schedule="0 2 * * *")


@pytest.mark.parametrize(
    ("first", "every", "hours", "scheduled"),
    [
        (0.0, 24.0, 1.0, True),
        (3.0, 24.0, 1.0, False),
        (0.0, 24.5, 24.5, True),  # each begins as the one before it ends
        (3.0, 24.0, 30.0, False),  # the one before it goes on
        (3.0, 24.0, 22.0, False),  # the one before it was over when it was due
    ],
)
def test_runs_are_of_the_schedule_that_begin_when_they_are_due_or_as_another_ends(
    first: float, every: float, hours: float, scheduled: bool
) -> None:
    begun = [DUE + (first + every * i) * HOUR for i in range(9)]
    runs = [
        run(NIGHTLY.graph, {"load": hours * HOUR - 5.0}, number=i, start=at, wait=0.0) for i, at in enumerate(begun)
    ]
    assert by_schedule(NIGHTLY, runs) is scheduled


def test_two_runs_show_which_starts_the_first_of_them_kept_from_taking_place() -> None:
    runs = [
        run(NIGHTLY.graph, {"load": s}, number=i, start=at)
        for i, (at, s) in enumerate([(DUE, 60 * HOUR), (DUE + 3 * DAY, 60.0)])
    ]
    starts = starts_of(NIGHTLY, runs)
    assert starts is not None
    assert (len(starts.due), starts.skipped) == (4, (DUE + DAY, DUE + 2 * DAY))
    assert starts_of(NIGHTLY, runs[:1]) is None
