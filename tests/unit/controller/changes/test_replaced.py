"""Changes that were kept, and whose values somebody else replaces later: the rule asks before it makes them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.controller.workflow_change import ledger_entry
from concertmaster.core.changes import json_patch
from concertmaster.core.model import Edit
from concertmaster.core.model.enums import Verdict
from concertmaster.core.times import format_time
from tests.support.controller.change_steps import HOUR, applied, later
from tests.support.controller.changes_bed import CPU, CRONJOB, DAY, MEMORY, Bed, cheaper
from tests.support.core.change_samples import recommended

CONTAINER = CPU.removesuffix("/resources/requests/cpu")


def kept() -> Bed:
    """A bed whose change from 2 cores to 1500m was verified and kept a moment ago."""
    bed = applied()
    later(bed, 9, cpu=0.75)
    assert (bed.one().verdict, bed.state(C.RESTORED)) == (Verdict.IMPROVED, ("False", "Kept"))
    return bed


def deployed(bed: Bed, cpu: str = "2", manager: str = "kubectl-client-side-apply") -> None:
    """A pipeline applies the manifest in which the request is as before."""
    bed.edit(CPU, cpu)
    entry = {"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {}}, "time": format_time(bed.now)}
    bed.target["metadata"]["managedFields"] = [entry]


def test_a_pipeline_that_applies_the_old_values_every_night_is_noticed_after_one_change() -> None:
    bed = kept()
    for night in range(5):
        deployed(bed)
        bed.items = [cheaper(proposed=f"{1480 - 10 * night}m")]  # recommendations move with every run
        bed.run()
        later(bed, 12, cpu=1.0)
        assert bed.cpu() == "2"
    assert len(bed.client.target_writes) == 1
    first = next(c for c in bed.all() if c.verdict is not None)
    assert (first.phase, first.verdict) == ("Conflict", Verdict.IMPROVED)
    said = first.condition(C.RESTORED)
    assert (said["reason"], said["message"]) == (
        "Conflict",
        "somebody else (kubectl-client-side-apply) changed what this change had set after it was kept; it is left as it is",
    )
    assert bed.reported().count("ChangeConflict") == 1
    waiting = next(c for c in bed.all() if c.phase == "Proposed")
    assert "somebody undid or overwrote a change of this kind; to approve it: " in str(
        waiting.condition(C.APPROVED)["message"]
    )
    assert not bed.pages.journal("kept/")
    line = ledger_entry(first)
    assert line is not None
    assert (line.overwritten, line.restored) == (True, False)


@pytest.mark.parametrize(("to", "first"), [("1800m", "Conflict"), ("1500m", "Completed")])
def test_what_takes_back_two_steps_ends_both(to: str, first: str) -> None:
    bed = kept()
    bed.items = [cheaper("1500m", "1200m")]
    bed.run(2 * HOUR)
    later(bed, 9, cpu=0.6)
    bed.items = []
    deployed(bed, to)
    for _ in range(2):
        bed.run()
    old, new = sorted(bed.all(), key=lambda c: c.applied or 0.0)
    assert [c.verdict for c in (old, new)] == [Verdict.IMPROVED, Verdict.IMPROVED]
    assert (old.phase, new.phase) == (first, "Conflict")


def test_what_a_newer_change_has_set_is_nobody_elses_while_another_part_of_it_is_taken_back() -> None:
    bed = kept()
    both = [Edit(CPU, "1500m", "1200m"), Edit(MEMORY, "1Gi", "768Mi")]
    bed.items = [recommended(*both, id="right-size", rule="right-size", step=None)]
    bed.run(2 * HOUR)
    assert bed.cpu() == "1200m"
    later(bed, 9, cpu=0.6)
    bed.items = []
    bed.edit(MEMORY, "1Gi")
    for _ in range(2):
        bed.run()
    old, new = sorted(bed.all(), key=lambda c: c.applied or 0.0)
    assert (old.phase, new.phase) == ("Completed", "Conflict")


def test_the_rule_asks_for_thirty_days_since_then() -> None:
    bed = kept()
    bed.items = []
    later(bed, 20 * 24, cpu=0.75)
    deployed(bed)
    bed.run()
    bed.items = [cheaper(proposed="1400m")]
    for days in (15, 14):
        later(bed, days * 24)
        assert bed.cpu() == "2"
    later(bed, 2 * 24)
    assert bed.cpu() == "1400m"


def test_an_approved_change_is_compared_with_runs_since_then() -> None:
    bed = kept()
    deployed(bed)
    bed.items = [cheaper(proposed="1400m")]
    bed.run()
    later(bed, 7, cpu=1.0)
    bed.decide("Approve", next(c.name for c in bed.all() if c.phase == "Proposed"))
    bed.run()
    assert bed.cpu() == "1400m"
    later(bed, 9, cpu=0.7)
    assert sorted(c.status.get("baselineRuns", 0) for c in bed.all()) == [7, 30]


def reformatted(bed: Bed) -> None:
    bed.edit(CPU, "1.5")


def by_the_operator(bed: Bed) -> None:
    """The last one to write the object was the operator: of another change, whose object somebody deleted."""
    deployed(bed, "1200m", "concertmaster")


def beside(bed: Bed) -> None:
    bed.edit(f"{CONTAINER}/image", "x:2")


def rebuilt(bed: Bed) -> None:
    bed.edit(f"{CONTAINER}/name", "worker")
    bed.edit(CPU, "2")


def moved_on(bed: Bed) -> None:
    """The next change of the operator."""
    bed.items = [cheaper("1500m", "1200m")]
    bed.run(2 * HOUR)
    assert bed.cpu() == "1200m"


def after_a_month(bed: Bed) -> None:
    bed.now += 31 * DAY
    deployed(bed)


@pytest.mark.parametrize("how", [reformatted, by_the_operator, beside, rebuilt, moved_on, after_a_month])
def test_nobody_is_said_to_have_replaced_what_is_there_or_was_moved_on(how: Callable[[Bed], Any]) -> None:
    bed = kept()
    bed.items = []
    how(bed)
    bed.run()
    first = next(c for c in bed.all() if c.verdict is not None)
    assert (first.phase, first.condition(C.RESTORED)["reason"]) == ("Completed", "Kept")


def test_a_list_older_than_the_change_of_a_task_or_object_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    bed = kept()
    bed.items = []
    old = json_patch.apply(bed.target, [{"op": "replace", "path": CPU, "value": "2"}])
    monkeypatch.setattr("concertmaster.controller.changes.context.WorkflowContext.listed", lambda *_: old)
    bed.run()
    assert bed.state(C.RESTORED) == ("False", "Kept")


@pytest.mark.parametrize("how", ["undone", "rejected"])
def test_another_rule_asks_before_it_sets_a_field_that_somebody_took_back(how: str) -> None:
    bed = applied()
    if how == "undone":
        bed.edit(CPU, "2")
    else:
        bed.decide("Reject")
    bed.items = []
    bed.run()
    both = [Edit(CPU, "2", "1400m"), Edit(MEMORY, "1Gi", "768Mi")]
    bed.items = [recommended(*both, id="right-size", rule="right-size", step=None)]
    later(bed, 8)
    later(bed, 8)
    assert bed.cpu() == "2"
    who = "ana rejected" if how == "rejected" else "somebody undid or overwrote"
    waiting = next(c for c in bed.all() if c.phase == "Proposed")
    assert f"{who} a change of the same fields" in str(waiting.condition(C.APPROVED)["message"])


def test_an_object_made_anew_without_what_was_kept_counts_as_replaced() -> None:
    bed = kept()
    bed.items = []
    bed.delete(CRONJOB, "etl")
    bed.cronjob("2")["metadata"]["creationTimestamp"] = format_time(bed.now)
    bed.run()
    assert bed.one().phase == "Conflict"
