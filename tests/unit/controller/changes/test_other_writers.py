"""Whatever others do: no write that no policy allows, nobody's edit replaced, and every change ends with a reason."""

from __future__ import annotations

import pytest

from concertmaster.api.conditions import ConditionType as C
from tests.support.controller.change_steps import applied, later
from tests.support.controller.changes_bed import CHANGES, Bed
from tests.support.controller.hostile_bed import HostileBed

SEEDS = tuple(range(30))


@pytest.mark.parametrize("seeds", [SEEDS[at : at + 10] for at in range(0, len(SEEDS), 10)])
def test_nothing_is_done_that_the_page_on_changes_rules_out(seeds: tuple[int, ...]) -> None:
    written = 0
    for seed in seeds:
        bed = HostileBed(seed)
        bed.play(25)
        bed.calm()
        bed.ended()
        assert not bed.wrong, "\n".join([f"seed {seed}", *bed.said])
        written += len(bed.client.target_writes)
    assert written > 10


def ending(bed: Bed) -> Bed:
    """Somebody deletes the CronJob, or its namespace, and a finalizer keeps it for a while."""
    bed.target["metadata"] |= {"deletionTimestamp": "2025-10-09T09:00:00Z", "finalizers": ["foregroundDeletion"]}
    bed.target["metadata"]["resourceVersion"] = "ending"
    return bed


def test_a_workflow_that_is_being_deleted_is_not_changed() -> None:
    bed = ending(Bed())
    bed.run()
    assert (bed.all(), bed.cpu()) == ([], "2")


def test_a_change_ends_with_the_deletion_of_its_target_whatever_keeps_it() -> None:
    bed = ending(applied())
    later(bed, 2, 1500.0)
    assert (bed.one().phase, bed.cpu()) == ("Conflict", "1500m")
    assert bed.message(C.RESTORED) == "the target was deleted"


@pytest.mark.parametrize("suspend", [False, True])
def test_of_a_change_that_is_deleted_with_its_target_nothing_is_left_to_do(suspend: bool) -> None:
    bed = ending(applied())
    bed.delete(CHANGES, bed.one().name)
    bed.policy(suspend=suspend)
    bed.run()
    assert (bed.problems, bed.cpu()) == ([], "1500m")
    assert not bed.pages.journal("change/")
