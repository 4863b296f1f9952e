"""Workflows that a person suspends, or schedules otherwise, while a change of them is verified."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.core.model.enums import Verdict
from concertmaster.core.times import format_time
from tests.support.controller.change_steps import HOUR, applied, later
from tests.support.controller.changes_bed import DAY, Bed


def edit(bed: Bed, field: str, value: Any, place: str = "spec") -> None:
    """The owner of a field of the CronJob's spec that runs do not depend on writes it, or one of its metadata."""
    bed.edit(f"/{place}/{field}", value)
    entry = {"manager": "kubectl-patch", "operation": "Update", "fieldsV1": {"f:spec": {f"f:{field}": {}}}}
    bed.target["metadata"]["managedFields"] = [{**entry, "time": format_time(bed.now)}]


@pytest.mark.parametrize("runs", [0, 3])
def test_the_time_in_which_a_workflow_is_suspended_says_nothing_of_its_change(runs: int) -> None:
    bed = applied(verify={"maxAge": "2d", "onInconclusive": "Restore"})
    later(bed, runs)
    edit(bed, "suspend", True)
    bed.run(4 * DAY)
    edit(bed, "suspend", False)
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    later(bed, 12, cpu=0.75)
    assert (bed.one().phase, bed.one().verdict) == ("Completed", Verdict.IMPROVED)


def test_a_resumed_workflow_whose_pods_are_refused_is_rolled_back_all_the_same() -> None:
    bed = applied()
    edit(bed, "suspend", True)
    bed.run(DAY)
    edit(bed, "suspend", False)
    bed.run(3 * HOUR)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")
    assert "no run since the change" in bed.message(C.VERIFIED)


def test_an_annotation_that_the_owner_of_the_spec_renews_hides_no_refused_pods() -> None:
    bed = applied()
    for cycle in range(6):
        edit(bed, "annotations", {"checked": str(cycle)}, "metadata")
        bed.run(HOUR / 2)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_no_start_of_a_new_schedule_was_due_before_it_was_written() -> None:
    bed = applied()
    edit(bed, "schedule", "0 0 1 1 *")
    bed.run(DAY)
    assert bed.one().phase == "Verifying"
    edit(bed, "schedule", "0 * * * *")
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")


def test_a_suspended_workflow_that_people_start_is_verified_for_no_longer_than_others() -> None:
    bed = Bed(verify={"maxAge": "2d", "onInconclusive": "Restore"})
    edit(bed, "suspend", True)
    applied(bed)
    later(bed, 3)
    bed.run(4 * DAY)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.INCONCLUSIVE, "2")


def a_day_suspended_at_night(bed: Bed, *, restarts: bool = False) -> None:
    """A day, in whose second half the workflow is suspended. The operator ``restarts`` in its first half."""
    bed.run(5 * HOUR)
    if restarts:
        bed.start()
    bed.run(7 * HOUR)
    edit(bed, "suspend", True)
    bed.run(12 * HOUR)
    edit(bed, "suspend", False)


@pytest.mark.parametrize("restarts", [False, True])
def test_refused_pods_of_a_workflow_that_is_suspended_every_night_are_noticed(restarts: bool) -> None:
    """No span between two edits holds two starts of its schedule, nor does the life of a process, but all of them together
    do."""
    bed = applied()
    at = datetime.fromtimestamp(bed.now + 6 * HOUR, UTC)
    edit(bed, "schedule", f"{at.minute} {at.hour} * * *")
    bed.run(60)
    for _ in range(4):
        a_day_suspended_at_night(bed, restarts=restarts)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


@pytest.mark.parametrize("restarts", [False, True])
def test_a_verification_ends_although_its_workflow_is_suspended_now_and_then(restarts: bool) -> None:
    bed = applied(verify={"maxAge": "2d", "onInconclusive": "Restore"})
    later(bed, 3)
    for day in range(5):
        assert (bed.one().phase == "Verifying") is (day < 4)
        a_day_suspended_at_night(bed, restarts=restarts)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.INCONCLUSIVE, "2")


def test_what_is_noted_of_start_times_and_cannot_be_read_counts_as_nothing() -> None:
    bed = applied()
    bed.run()
    (noted,) = bed.pages.journal("times/")
    for damaged in ("{", "[]", '{"at": 1}', '{"at": "x", "since": 0, "schedule": 1, "edition": 2, "gaps": 3}'):
        bed.pages.rows[noted] = damaged
        bed.start()
        bed.run()
        assert (bed.one().phase, bed.problems) == ("Verifying", [])


def test_an_annotation_renewed_after_an_edit_hides_no_refused_pods() -> None:
    bed = applied()
    edit(bed, "suspend", True)
    bed.run(HOUR)
    edit(bed, "suspend", False)
    for cycle in range(8):
        edit(bed, "annotations", {"checked": str(cycle)}, "metadata")
        bed.run(HOUR / 2)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")
