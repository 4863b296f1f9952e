"""Writes that were cut off and are stored later, and what is concluded from an object that a list does not show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.controller.changes.writing.target import MAX_UNANSWERED
from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.model import Edit
from concertmaster.core.model.enums import Verdict
from concertmaster.kube import errors
from tests.support.controller.change_steps import applied, later
from tests.support.controller.changes_bed import CHANGES, CPU, MEMORY, PROFILES, Bed, Died, cheaper
from tests.support.core.change_samples import recommended
from tests.support.resources import CRONJOB

TARGET = CRONJOB.path("demo", "etl")


def cut_off(bed: Bed, *, killed: bool) -> Callable[[], Any]:
    """A cycle whose write of the workflow gets no answer, or whose process ends then. Returns what stores it later."""
    bodies: list[Any] = []

    def interrupt(method: str, path: str) -> None:
        if (method, path) == ("PATCH", TARGET) and not bodies:
            bodies.append(bed.client.calls[-1][2])
            raise Died if killed else errors.Unreachable("reset")

    bed.client.on_request = interrupt
    if killed:
        with pytest.raises(Died):
            bed.run()
        bed.start()
    else:
        bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Applied", "2")
    return lambda: bed.client.request("PATCH", TARGET, body=bodies[0])


@pytest.mark.parametrize("killed", [False, True])
def test_a_write_that_is_stored_after_its_process_gave_up_is_verified_all_the_same(killed: bool) -> None:
    bed = Bed()
    land = cut_off(bed, killed=killed)
    bed.run(MAX_UNANSWERED / 3)
    assert bed.one().phase == "Applied"
    land()
    bed.run(MAX_UNANSWERED / 3)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    later(bed, 2, 1500.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_a_write_that_never_arrives_is_begun_again_when_it_cannot_any_more() -> None:
    bed = Bed()
    cut_off(bed, killed=True)
    bed.run(1.0)
    bed.run(MAX_UNANSWERED - 1.0)
    assert bed.one().phase == "Applied"
    bed.run(2.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    assert len(bed.client.target_writes) == 1


def test_a_write_for_a_version_that_is_gone_is_not_waited_for() -> None:
    bed = Bed()
    land = cut_off(bed, killed=True)
    bed.edit("/spec/suspend", True)
    bed.run(1.0, early=True)
    assert bed.one().phase == "Proposed"
    with pytest.raises(errors.Rejected):
        land()
    assert bed.cpu() == "2"


@pytest.mark.parametrize("value", ["2", "3"])
@pytest.mark.parametrize("mode", ["Auto", "Approve"])
def test_a_write_that_was_stored_and_undone_before_the_next_process_reads_it_is_not_repeated(
    mode: str, value: str
) -> None:
    bed = Bed(mode=mode, cooldown="0s")
    bed.run()
    if mode == "Approve":
        bed.decide("Approve")
    else:
        bed = Bed(mode=mode, cooldown="0s")
    land = cut_off(bed, killed=True)
    land()
    bed.edit(CPU, value)
    bed.run()
    assert (bed.cpu(), len(bed.client.target_writes)) == (value, 1)
    (ended,) = [c for c in bed.all() if c.phase == "Conflict"]
    assert (ended.is_(C.APPLIED), "so it may have been written and undone" in str(ended.status)) == (None, True)
    bed.items = [cheaper(current=value, proposed="1500m")]
    for _ in range(5):
        bed.run()
    assert (bed.cpu(), len(bed.client.target_writes)) == (value, 1)
    assert sorted(c.phase for c in bed.all()) == ["Conflict", "Proposed"]  # for 30 days a person decides


def test_other_edits_do_not_end_a_change_that_was_not_written() -> None:
    """A controller's status, and one edit of the spec, keep the write from being stored."""
    bed = Bed()
    cut_off(bed, killed=True)
    bed.target["status"] = {"lastScheduleTime": "2026-11-29T09:00:00Z"}
    bed.target["metadata"]["resourceVersion"] = "of-the-status"
    bed.edit("/spec/suspend", True)
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")


def test_the_version_that_is_written_is_the_one_of_the_last_check() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    bed.edit("/spec/suspend", True)
    bed.decide("Approve")
    land = cut_off(bed, killed=True)
    bed.run(1.0)
    assert bed.one().phase == "Applied"
    land()
    bed.run(1.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")


@pytest.mark.parametrize("killed", [False, True])
def test_a_change_deleted_while_its_write_is_under_way_is_rolled_back_when_that_is_stored(killed: bool) -> None:
    bed = Bed()
    land = cut_off(bed, killed=killed)
    bed.delete(CHANGES, bed.one().name)
    bed.run(MAX_UNANSWERED / 3)
    assert bed.pages.journal("change/")
    land()
    bed.run(MAX_UNANSWERED / 3)
    assert bed.cpu() == "2"
    assert not bed.pages.journal("change/")


def test_a_change_deleted_before_its_write_arrived_is_forgotten_when_it_cannot_any_more() -> None:
    bed = Bed()
    cut_off(bed, killed=True)
    bed.delete(CHANGES, bed.one().name)
    bed.run()
    bed.run(MAX_UNANSWERED + 1.0)
    assert not bed.pages.journal("change/")
    assert bed.cpu() == "2"


def test_a_deleted_change_is_not_given_up_for_a_profile_that_the_watch_has_not_brought() -> None:
    bed = applied()
    bed.delete(CHANGES, bed.one().name)
    uid = bed.client.objects[PROFILES.path("demo", "etl")]["metadata"]["uid"]
    bed.run(unseen=[uid])
    assert (bed.cpu(), bed.problems) == ("1500m", [])
    assert bed.pages.journal("change/")
    bed.run()
    assert bed.cpu() == "2"


def test_a_change_whose_deletion_waits_for_a_finalizer_is_rolled_back_as_well() -> None:
    """Nobody verifies it any more, so that harm would stay for as long as the finalizer does."""
    bed = applied()
    meta = bed.client.objects[CHANGES.path("demo", bed.one().name)]["metadata"]
    meta |= {"deletionTimestamp": "2026-11-20T20:00:00Z", "finalizers": ["example.com/audit"]}
    bed.run()
    assert (bed.cpu(), bed.problems) == ("2", [])
    assert not bed.pages.journal("change/")
    assert "ChangeRolledBack" in bed.reported()
    bed.run()
    assert bed.cpu() == "2"


def test_a_change_that_a_list_lacks_is_not_taken_for_a_deleted_one() -> None:
    bed = applied()
    whole = bed.client.items

    def lacking(path: str, **options: Any) -> Iterator[dict[str, Any]]:
        return iter(()) if path == CHANGES.path() else whole(path, **options)

    bed.client.items = lacking  # type: ignore[method-assign]
    bed.run()
    assert bed.cpu() == "1500m"
    bed.client.items = whole  # type: ignore[method-assign]
    later(bed, 2, 1500.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_changes_of_a_namespace_that_is_not_read_any_more_are_not_forgotten() -> None:
    bed = applied()
    bed.namespaces = ("other",)
    bed.start()
    bed.writes()
    bed.run()
    assert bed.writes() == []
    assert bed.pages.journal("change/")
    bed.namespaces = ()
    bed.start()
    later(bed, 2, 1500.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_an_interrupted_write_of_a_profile_that_is_gone_is_settled_before_it_is_left() -> None:
    bed = Bed()
    land = cut_off(bed, killed=True)
    land()
    bed.delete(PROFILES, "etl")
    bed.run()
    assert (bed.one().phase, bed.one().applied is not None) == ("Verifying", True)
    assert bed.state(C.ORPHANED) == ("True", "ProfileGone")


def test_a_kept_change_is_not_pruned_before_the_journal_has_forgotten_it() -> None:
    bed = applied(cooldown="0s", changeHistoryLimit=1)
    bed.pages.readonly = True
    later(bed, 12, cpu=0.75)
    kept = bed.one()
    assert (kept.phase, kept.status.get("restored")) == ("Completed", None)
    finished = {k: v for k, v in bed.client.objects[kept.ref.path].items() if k in ("spec", "status")}
    bed.client.put(CHANGES, "demo", "z-later", **finished)
    bed.run()
    assert len(bed.all()) == 2
    bed.pages.readonly = False
    bed.run()
    bed.run()
    assert len(bed.all()) == 1
    assert bed.cpu() == "1500m"


def test_nothing_is_changed_on_top_of_a_change_that_is_deleted_in_the_middle_of_a_cycle() -> None:
    bed = applied()
    name, lists = bed.one().name, []

    def deleting(method: str, path: str) -> None:
        if (method, path) == ("LIST", CHANGES.path()):
            lists.append(path)
            if len(lists) == 2:  # the early stage has seen it
                bed.delete(CHANGES, name)

    bed.client.on_request = deleting
    bed.items = [cheaper(current="1500m", proposed="1200m")]
    bed.run()
    assert (len(lists), bed.cpu(), bed.all()) == (2, "1500m", [])
    bed.run()
    assert bed.cpu() == "2"


def test_nothing_is_changed_on_top_of_what_is_still_to_be_rolled_back() -> None:
    bed = applied(cooldown="0s")
    bed.delete(CHANGES, bed.one().name)
    bed.items = [recommended(Edit(MEMORY, "1Gi", "768Mi"), id="memory-request.job", rule="memory-request", step="job")]
    bed.client.faults["DRY", TARGET] = [errors.Forbidden("not now", status=403)]
    bed.run()
    assert bed.cpu() == "1500m"
    assert jsonpatch.find(bed.target, MEMORY)[1] == "1Gi"
    bed.run()
    assert jsonpatch.find(bed.target, CPU)[1] == "2"
    bed.run()
    assert jsonpatch.find(bed.target, MEMORY)[1] == "768Mi"


@pytest.mark.parametrize("leads", [False, True])
def test_a_process_that_was_stopped_leaves_the_journal_of_the_one_that_took_over_alone(leads: bool) -> None:
    """It goes on between the journal and the status; by then another process has carried the change out."""
    bed = Bed()
    stopped, taken_over = bed.changes, list[Any]()

    def stop(path: str) -> None:
        if taken_over or not path.endswith("/status") or not any(k.startswith("change/") for k in bed.pages.rows):
            return
        bed.start()
        taken_over.append(bed.changes)
        bed.run(30.0)
        assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
        bed.changes = stopped
        if not leads:
            raise errors.NotLeader("another process may have taken over")

    bed.client.before_write = stop
    bed.run()
    (bed.changes,) = taken_over
    bed.run()
    assert (bed.one().phase, "ChangeOrphaned" in bed.reported()) == ("Verifying", False)
    later(bed, 2, 1500.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")
