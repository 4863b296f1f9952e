"""A verification without a verdict is made again when something has changed, and otherwise every half an hour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from concertmaster.core.model import RunRecord
from concertmaster.core.model.enums import ChangePhase, Verdict
from concertmaster.kube import errors
from tests.support.controller.change_steps import applied, later
from tests.support.controller.changes_bed import Bed


class Reads:
    """Counts how often the runs of a workflow are read."""

    def __init__(self, bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        read = bed.history.runs

        def counted(*args: Any, **named: Any) -> list[RunRecord]:
            self.count += 1
            return read(*args, **named)

        monkeypatch.setattr(bed.history, "runs", counted)

    def during(self, work: Callable[[], object]) -> int:
        """How often they are read while ``work`` is done."""
        before = self.count
        work()
        return self.count - before


@pytest.fixture
def bed() -> Bed:
    """A change with three runs since, which are too few."""
    made = applied()
    later(made, 3)
    made.run()  # what the status says of them is written
    return made


@pytest.fixture
def reads(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(bed, monkeypatch)


def test_runs_are_not_read_again_while_nothing_changes(bed: Bed, reads: Reads) -> None:
    bed.run()
    assert reads.during(lambda: [bed.run() for _ in range(25)]) == 0
    assert bed.one().phase == ChangePhase.VERIFYING


def test_they_are_read_again_after_half_an_hour(bed: Bed, reads: Reads) -> None:
    """Time decides as well: a verification ends by age, and runs in progress count as lost some day."""
    bed.run()
    assert reads.during(lambda: bed.run(1800.0)) == 1
    assert reads.during(bed.run) == 0


def test_a_run_that_came_is_judged_in_the_same_cycle(bed: Bed, reads: Reads) -> None:
    bed.run()
    assert reads.during(bed.run) == 0
    later(bed, 12, 3000.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


@pytest.mark.parametrize(
    "change",
    [
        lambda bed: bed.edit("/metadata/annotations", {"by": "ana"}),
        lambda bed: bed.policy(verify={"maxRuns": 7}),
        lambda bed: setattr(bed, "outages", ((bed.now - 600.0, bed.now),)),
        lambda bed: setattr(bed, "data_until", bed.now - 86400.0),
    ],
    ids=["object", "policy", "outage", "metrics behind"],
)
def test_whatever_it_rests_on_has_them_read_again(bed: Bed, reads: Reads, change: Callable[[Bed], object]) -> None:
    bed.run()
    assert reads.during(bed.run) == 0
    change(bed)
    assert reads.during(bed.run) >= 1


def test_runs_that_do_not_come_are_looked_for_in_every_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    bed = applied()
    reads = Reads(bed, monkeypatch)
    bed.run()
    assert reads.during(bed.run) >= 1


def test_a_rollback_that_failed_is_tried_in_the_next_cycle(bed: Bed) -> None:
    bed.run()
    refused = [errors.Busy("too many requests", status=429)]
    bed.client.faults["PATCH", _path(bed)] = refused
    later(bed, 12, 3000.0)
    assert bed.cpu() == "1500m"
    bed.run()
    assert bed.cpu() == "2"


def test_what_the_status_could_not_be_given_is_written_in_the_next_cycle(bed: Bed) -> None:
    bed.run()
    bed.client.faults["PATCH", f"{bed.one().ref.path}/status"] = [errors.Busy("too many requests", status=429)]
    later(bed, 1)
    assert bed.one().status["verifiedRuns"] == 3
    bed.run()
    assert bed.one().status["verifiedRuns"] == 4


def _path(bed: Bed) -> str:
    return next(path for path, obj in bed.client.objects.items() if obj is bed.target)
