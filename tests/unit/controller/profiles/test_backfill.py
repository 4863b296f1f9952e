"""Before the window is read for the first time nothing is recommended: half of the runs are not the runs."""

from __future__ import annotations

import pytest

from concertmaster.controller.interfaces import SourceReport
from concertmaster.controller.profiles.status_update import backfilling
from concertmaster.core.model.conditions import Reason
from concertmaster.core.model.policy import Policy
from tests.support.builders import DAY, NOW, definition, step

OF = definition(step("load"))


def report(**more: object) -> SourceReport:
    return SourceReport("default", True, Reason.COMPLETE, "", **more)  # type: ignore[arg-type]


def test_it_says_whether_half_of_the_window_is_read_and_moves_once() -> None:
    """Each change of its message is a status write for each workflow."""
    days = [backfilling(OF, Policy(), report(more=True, unread={OF.key: NOW - days * DAY}), NOW) for days in range(14)]
    assert all(d is not None and (d.status, d.reason) == (False, Reason.BACKFILLING) for d in days)
    said = list(dict.fromkeys(d.message for d in days if d is not None))
    assert said == [
        "Backfilling less than half of 14d: recommendations follow when the window is read",
        "Backfilling 7d of 14d: recommendations follow when the window is read",
    ]


@pytest.mark.parametrize("made", [None, report(), report(more=True)])
def test_a_workflow_that_is_read_is_analysed(made: SourceReport | None) -> None:
    assert backfilling(OF, Policy(), made, NOW) is None
