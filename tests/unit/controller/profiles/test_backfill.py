"""Before the window is read for the first time nothing is recommended: half of the runs are not the runs."""

from __future__ import annotations

import pytest

from concertmaster.controller.profiles.status_update import backfilling
from concertmaster.controller.source_report import SourceReport
from concertmaster.core.model.conditions import Reason
from concertmaster.core.model.policy import AnalysisSettings, Policy
from tests.support.builders import DAY, NOW, definition, step

OF = definition(step("load"))


def report(**more: object) -> SourceReport:
    return SourceReport("default", True, Reason.COMPLETE, "", **more)  # type: ignore[arg-type]


def test_it_says_how_many_days_are_read_and_moves_with_each_quarter() -> None:
    """Each change of its message is a status write for each workflow."""
    assert _said(long=True) == [
        "Backfilling less than 3d of 14d: recommendations follow when the window is read",
        "Backfilling 3d of 14d: recommendations follow when the window is read",
        "Backfilling 7d of 14d: recommendations follow when the window is read",
        "Backfilling 10d of 14d: recommendations follow when the window is read",
    ]


def test_it_says_so_once_where_reading_takes_a_minute() -> None:
    """The reading waits for the writes: one for each of 200 workflows takes four seconds."""
    assert _said(long=False) == ["Backfilling 14d: recommendations follow when the window is read"]


def _said(*, long: bool) -> list[str]:
    reports = [report(more=True, long=long, unread={OF.key: NOW - days * DAY}) for days in range(14)]
    days = [backfilling(OF, Policy(), made, NOW) for made in reports]
    assert all(d is not None and (d.status, d.reason) == (False, Reason.BACKFILLING) for d in days)
    return list(dict.fromkeys(d.message for d in days if d is not None))


@pytest.mark.parametrize(
    ("window", "read", "said"), [(1.5, 0.2, "less than 9h of 36h"), (1.5, 0.8, "18h of 36h"), (5, 4, "3d of 5d")]
)
def test_windows_of_other_lengths_have_quarters_too(window: float, read: float, said: str) -> None:
    policy = Policy(analysis=AnalysisSettings(window_seconds=window * DAY))
    found = backfilling(OF, policy, report(more=True, long=True, unread={OF.key: NOW - read * DAY}), NOW)
    assert found is not None
    assert found.message.startswith(f"Backfilling {said}: ")


@pytest.mark.parametrize("made", [None, report(), report(more=True)])
def test_a_workflow_that_is_read_is_analysed(made: SourceReport | None) -> None:
    assert backfilling(OF, Policy(), made, NOW) is None
