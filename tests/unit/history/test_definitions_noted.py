"""Which definition was in force when a run began, without a write for each workflow in each cycle."""

from __future__ import annotations

import pytest

from concertmaster.core.model import Source
from concertmaster.history import Store
from tests.support.builders import run_record
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import Place


def written(place: Place) -> list[tuple[str, float, float]]:
    return place.raw("SELECT fingerprint, first_seen, last_seen FROM fingerprints ORDER BY first_seen")


def in_force(store: Store) -> list[str | None]:
    return [r.fingerprint for r in store.runs(KEY)]


def test_what_stays_in_force_is_written_once_an_hour_and_known_at_once(place: Place) -> None:
    with place.open() as store:
        store.add({KEY: {"r1": [ran("1", 1050.0)], "r2": [ran("2", 5000.0)]}})
        for at in range(1000, 1600, 60):
            store.note_definitions({KEY: "a"}, float(at))
        assert written(place) == [("a", 1000.0, 1000.0)]
        assert in_force(store) == ["a", None]
        for at in range(1600, 5200, 60):
            store.note_definitions({KEY: "a"}, float(at))
        assert written(place) == [("a", 1000.0, 4600.0)]
        assert in_force(store) == ["a", "a"]


def test_a_change_ends_the_earlier_one_where_it_was_last_seen(place: Place) -> None:
    with place.open() as store:
        store.add({KEY: {"r1": [ran("1", 1130.0)], "r2": [ran("2", 1170.0)], "r3": [ran("3", 1250.0)]}})
        for at, mark in ((1000.0, "a"), (1060.0, "a"), (1140.0, "a"), (1200.0, "b"), (1260.0, "b")):
            store.note_definitions({KEY: mark}, at)
        assert written(place) == [("a", 1000.0, 1140.0), ("b", 1200.0, 1200.0)]
        assert in_force(store) == ["a", None, "b"]
    with place.open() as store:
        store.note_definitions({KEY: "b"}, 2000.0)
        assert in_force(store) == ["a", None, "b"]


def test_a_workflow_that_was_forgotten_is_noted_again(place: Place) -> None:
    with place.open() as store:
        store.note_definitions({KEY: "a"}, 1000.0)
        store.forget(KEY)
        store.note_definitions({KEY: "a"}, 1060.0)
        store.add({KEY: {"r1": [ran("1", 1060.0)]}})
        assert in_force(store) == ["a"]


def test_a_clock_that_ran_ahead_keeps_no_definition_in_force_that_was_replaced_since(place: Place) -> None:
    with place.open() as store:
        store.note_definitions({KEY: "a"}, 1000.0)
        store.note_definitions({KEY: "a"}, 900_000.0)
        store.note_definitions({KEY: "b"}, 910_000.0)  # begun in what was no time at all
        store.note_definitions({KEY: "a"}, 1060.0)
        store.note_definitions({KEY: "c"}, 5000.0)
        store.note_definitions({KEY: "c"}, 9000.0)
        store.add({KEY: {"r1": [ran("1", 1030.0)], "r2": [ran("2", 8000.0)]}})
        assert in_force(store) == ["a", "c"]
    with place.open() as store:
        store.note_definitions({KEY: "d"}, 20_000.0)
        store.note_definitions({KEY: "d"}, 24_000.0)
        assert [mark for mark, _, _ in written(place)] == ["a", "c", "d"]


def test_a_run_that_waited_while_its_definition_was_edited_may_be_of_either(place: Place) -> None:
    """A Job that Kueue holds has the pod template of its creation, whatever its CronJob says when it is admitted."""
    runs = [
        run_record([ran(name, at)], workflow=KEY, run=name, start=at, end=at + 10, source=Source.LIVE, created=made)
        for name, made, at in (("r1", 1010.0, 1100.0), ("r2", 1050.0, 1250.0), ("r3", 1210.0, 1260.0))
    ]
    with place.open() as store:
        for at, mark in ((1000.0, "a"), (1140.0, "a"), (1200.0, "b"), (1300.0, "b")):
            store.note_definitions({KEY: mark}, at)
        store.add({}, records=runs)
        assert in_force(store) == ["a", None, "b"]


def test_runs_since_the_last_write_of_a_definition_are_of_it_also_those_before_it_was_noted(place: Place) -> None:
    with place.open() as store:
        store.add({KEY: {f"r{at}": [ran(str(at), float(at))] for at in (400, 600, 1100, 1600)}})
        store.note_definitions({KEY: "a"}, 1000.0, {KEY: 500.0})
        assert in_force(store) == [None, "a", None, None]
        store.note_definitions({KEY: "a"}, 1200.0, {KEY: 500.0})
        store.note_definitions({KEY: "b"}, 2000.0, {KEY: 1500.0})
        assert in_force(store) == [None, "a", "a", "b"]


@pytest.mark.parametrize("at", [900.0, 1200.0, 2500.0])
def test_a_write_begins_no_definition_while_another_one_was_seen_nor_later_than_it_is_noted(
    place: Place, at: float
) -> None:
    """What it was made of may be read otherwise than before, as after an upgrade; and clocks differ."""
    with place.open() as store:
        store.note_definitions({KEY: "a"}, 1000.0)
        store.note_definitions({KEY: "a"}, 1200.0)
        store.note_definitions({KEY: "b"}, 2000.0, {KEY: at})
        assert written(place) == [("a", 1000.0, 1200.0), ("b", 2000.0, 2000.0)]
