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


def test_it_says_how_much_of_the_window_is_read() -> None:
    found = backfilling(OF, Policy(), report(more=True, unread={OF.key: NOW - 8 * DAY}), NOW)
    assert found is not None
    assert (found.status, found.reason) == (False, Reason.BACKFILLING)
    assert found.message == "Backfilling 7d of 14d: recommendations follow when the window is read"
    early = backfilling(OF, Policy(), report(more=True, unread={OF.key: NOW - DAY}), NOW)
    assert early is not None
    assert early.message.startswith("Backfilling less than a quarter of 14d")


@pytest.mark.parametrize("made", [None, report(), report(more=True)])
def test_a_workflow_that_is_read_is_analysed(made: SourceReport | None) -> None:
    assert backfilling(OF, Policy(), made, NOW) is None
