"""What the journal remembers of changes, and for how long."""

from __future__ import annotations

from typing import Any

from concertmaster.controller.changes.journal import Journal
from concertmaster.core.units import DAY
from concertmaster.history import Store


def change(recommendation: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "demo", "name": f"etl-{recommendation}"},
        "spec": {"profileRef": {"name": "etl"}, "recommendation": recommendation},
    }


def test_deleted_changes_are_remembered_for_30_days_and_no_longer() -> None:
    with Store(":memory:") as store:
        journal = Journal(lambda: store)
        journal.note_deleted(change("first"), 0.0)
        journal.note_deleted(change("second"), 29 * DAY)
        assert journal.deleted("demo", "etl", 29 * DAY) == {"first": 0.0, "second": 29 * DAY}
        journal.note_deleted(change("third"), 30 * DAY)
        assert list(store.journal("deleted/")) == ["deleted/demo/etl/second", "deleted/demo/etl/third"]
