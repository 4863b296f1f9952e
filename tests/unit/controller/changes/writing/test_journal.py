"""The journal of changes: what is forgotten, and entries that cannot be read."""

from __future__ import annotations

import json

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.controller.changes.writing.journal import Journal
from concertmaster.core.model import Edit
from concertmaster.core.model.enums import Verdict
from tests.support.controller.change_steps import applied, later
from tests.support.controller.changes_bed import CHANGES, DAY, MEMORY, NOW, Bed, Mortal, Pages
from tests.support.core.change_samples import recommended

DAMAGED = ["", "{", "null", "7", "[]", '{"spec": 1}', '{"metadata": {"name": "x"}, "spec": {}}', "[" * 100_000]


@pytest.mark.parametrize("body", DAMAGED, ids=range(len(DAMAGED)))
def test_an_entry_that_cannot_be_read_stops_no_other_change(body: str) -> None:
    """It may be of a change in another namespace, of which nothing else is known."""
    bed = applied()
    bed.pages.rows["change/uid-elsewhere"] = body
    later(bed, 2, 1500.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")
    assert sum("uid-elsewhere) cannot be read" in p for p in bed.problems) == 1
    assert bed.counted("unreadable") == 1.0
    bed.run()
    assert bed.problems == []  # it was said once
    assert bed.pages.rows["change/uid-elsewhere"] == body
    assert bed.counted("unreadable") == 1.0


def test_a_change_whose_entry_cannot_be_read_is_left_as_it_is_and_says_so() -> None:
    bed = applied()
    (key,) = bed.pages.journal("change/")
    bed.pages.rows[key] = "{"
    later(bed, 2, 1500.0)
    assert bed.cpu() == "1500m"
    assert bed.state(C.ORPHANED) == ("True", "NotInJournal")
    assert "ChangeOrphaned" in bed.reported()
    assert any(f"entry of WorkflowChange demo/{bed.one().name} cannot be read" in p for p in bed.problems)
    bed.edit("/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/cpu", "3")
    bed.delete(CHANGES, bed.one().name)
    bed.run()
    assert bed.cpu() == "3"
    assert bed.pages.journal(key) == {key: "{"}


def test_the_changes_in_progress_are_read_once_in_each_stage_of_a_cycle() -> None:
    """Two readings could differ: what another shard drops between them is not an entry that cannot be read."""
    bed = applied()
    bed.pages.rows["change/uid-elsewhere"] = "{"
    read, whole = bed.pages.journal, []

    def counted(prefix: str = "") -> dict[str, str]:
        whole.extend([prefix] if prefix == "change/" else [])
        return read(prefix)

    bed.pages.journal = counted  # type: ignore[method-assign]
    bed.run()
    assert len(whole) == 2
    assert bed.counted("unreadable") == 1.0


def test_an_entry_that_cannot_be_read_is_reported_by_the_shard_that_looks_after_its_change() -> None:
    bed = applied()
    (key,) = bed.pages.journal("change/")
    bed.pages.rows[key] = "{"
    bed.owns = lambda namespace: False
    bed.run()
    assert (bed.problems, bed.counted("unreadable")) == ([], 0.0)
    bed.owns = lambda namespace: True
    bed.run()
    assert bed.counted("unreadable") == 1.0
    assert bed.state(C.ORPHANED) == ("True", "NotInJournal")


def test_an_entry_that_cannot_be_read_is_forgotten_with_its_finished_change() -> None:
    bed = applied()
    (key,) = bed.pages.journal("change/")
    bed.pages.readonly = True  # its end cannot be noted
    later(bed, 2, 1500.0)
    assert bed.one().phase == "Completed"
    bed.pages.readonly = False
    bed.pages.rows[key] = "{"
    bed.run()
    bed.run()
    assert not bed.pages.journal("change/")
    assert bed.counted("unreadable") == 0.0


def test_monitored_changes_and_notes_that_cannot_be_read_stop_nothing_either() -> None:
    bed = applied(cooldown="0s")
    later(bed, 12, cpu=0.75)
    assert bed.pages.journal("kept/")
    bed.pages.rows |= {"kept/uid-elsewhere": "{", "deleted/demo/etl/cpu-request.job": "{"}
    bed.items = [recommended(Edit(MEMORY, "1Gi", "768Mi"), id="memory-request.job", rule="memory-request", step="job")]
    bed.run()
    assert bed.problems == []
    assert [c.phase for c in bed.all()] == ["Completed", "Verifying"]


def test_what_nobody_asks_for_any_more_is_forgotten() -> None:
    pages = Pages(Mortal())
    journal = Journal(lambda: pages)
    change = {"metadata": {"namespace": "demo"}, "spec": {"profileRef": {"name": "etl"}, "recommendation": "a"}}
    other = {**change, "spec": {**change["spec"], "recommendation": "b"}}
    journal.note_deleted(change, NOW)
    journal.note_proposed("first", NOW)
    journal.note_deleted(other, NOW + 29 * DAY)
    journal.note_proposed("second", NOW + 89 * DAY)
    assert len(pages.journal("deleted/")) == len(pages.journal("made/")) == 2
    journal.note_deleted(other, NOW + 31 * DAY)
    journal.note_proposed("third", NOW + 91 * DAY)
    assert list(pages.journal("deleted/")) == ["deleted/demo/etl/b"]
    assert sorted(pages.journal("made/")) == ["made/second", "made/third"]


def test_a_change_that_only_its_status_says_was_written_is_not_rolled_back_on_its_word() -> None:
    """Whoever may write statuses could otherwise have the operator write the value that such a change would restore."""
    bed = Bed(mode="Approve")
    bed.run()
    change = bed.one()
    bed.pages.rows.clear()
    raw = bed.client.objects[change.ref.path]
    raw["status"] = {**raw["status"], "phase": "Applied"}
    for operation in json.loads(raw["status"]["plan"]["patch"]):
        if operation["op"] == "replace":
            bed.edit(operation["path"], operation["value"])
    bed.run()
    bed.decide("Reject")
    bed.run()
    assert bed.cpu() == "1500m"
    assert bed.state(C.ORPHANED) == ("True", "NotInJournal")
    assert not bed.pages.journal("change/")
