"""The runs of one namespace take a bounded part of the history: in a file and on a server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.enums import Per
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.history import Store
from concertmaster.history.rows import POD, ROW
from concertmaster.history.space import _BYTES, Space
from tests.support.builders import run_record
from tests.support.data.history_rows import ran
from tests.support.history_places import Place

GREEDY = WorkflowKey("tenant", "CronJob", "every-second")
MODEST = WorkflowKey("tenant", "CronJob", "weekly")
OTHER = WorkflowKey("data", "CronJob", "backup")
ROOM = 40 * (ROW + POD + 80)


@pytest.fixture
def small(store: Store) -> Store:
    """A store in which a namespace has room for some forty pods of one container."""
    store._space = Space(ROOM)
    return store


def write(store: Store, key: WorkflowKey, *numbers: int) -> None:
    store.add({key: {f"{key.name}-{n}": [ran(f"{key}-{n}", 100.0 * n)] for n in numbers}})


def kept(store: Store, key: WorkflowKey) -> list[int]:
    return [int(r.run.rpartition("-")[2]) for r in store.runs(key)]


def size(place: Place, namespace: str) -> int:
    rows = [
        place.raw(
            f"SELECT coalesce(sum({taken}), 0) FROM {table} JOIN workflows ON id = workflow WHERE namespace = '{namespace}'"
        )
        for table, taken in _BYTES.items()
    ]
    return sum(int(found[0][0]) for found in rows)


def test_a_tenant_with_very_many_runs_keeps_the_newest_and_takes_nothing_from_others(
    small: Store, place: Place
) -> None:
    write(small, OTHER, *range(30))
    write(small, MODEST, *range(5))
    for start in range(0, 500, 10):
        write(small, GREEDY, *range(start, start + 10))
        assert size(place, "tenant") <= ROOM
    left = kept(small, GREEDY)
    assert left == list(range(500 - len(left), 500)), "the newest"
    assert len(left) >= 20
    assert kept(small, MODEST) == list(range(5)), "the workflow that takes most gives way"
    assert kept(small, OTHER) == list(range(30))
    assert small.full == {"tenant"}


def test_what_objects_told_of_runs_counts_too(small: Store, place: Place) -> None:
    for n in range(100):
        record = run_record(workflow=GREEDY, run=f"r{n:03}", start=100.0 * n, end=100.0 * n + 50.0)
        small.add({}, records=[record])
    assert size(place, "tenant") <= ROOM
    names = sorted(str(run) for (run,) in place.raw("SELECT run FROM records"))
    assert names == [f"r{n:03}" for n in range(100 - len(names), 100)]
    assert len(names) > 20


def test_values_of_users_queries_count_too(small: Store, place: Place) -> None:
    """A query may give each of thousands of series another step every time: nothing else bounds these rows."""
    write(small, OTHER, *range(30))
    write(small, GREEDY, *range(5))
    metric = ExtraMetric("rows", "my_rows", per=Per.STEP)
    for n in range(40):
        small.add_amounts(GREEDY, {metric: {f"{GREEDY.name}-4": {f"step-{n}-{m}": 1.0 for m in range(50)}}})
        assert size(place, "tenant") <= ROOM
    assert kept(small, OTHER) == list(range(30))
    assert small.full == {"tenant"}


def test_a_process_that_starts_counts_what_is_there(place: Place) -> None:
    with place.open() as before:
        write(before, GREEDY, *range(100))
    with place.open() as store:
        store._space = Space(ROOM)
        write(store, GREEDY, 100)
        assert size(place, "tenant") <= ROOM
        assert kept(store, GREEDY)[-1] == 100


def test_corrections_of_what_is_there_delete_nothing(small: Store) -> None:
    for cpu in range(20):
        small.add({GREEDY: {f"r{n}": [ran(str(n), 100.0 * n, node=f"n{cpu}")] for n in range(30)}})
    assert len(small.runs(GREEDY)) == 30
    assert small.full == frozenset()


def test_a_namespace_is_full_until_it_has_room_again(small: Store) -> None:
    write(small, GREEDY, *range(100))
    assert small.full == {"tenant"}
    small.prune(max_runs=100, before=0.0)
    assert small.full == {"tenant"}
    small.prune(max_runs=10, before=0.0)
    assert small.full == frozenset()


def test_definitions_that_no_run_was_of_are_forgotten(store: Store, place: Place) -> None:
    """One who edits a template all day would have a row for each edit for ever."""
    write(store, GREEDY, *range(10))
    for n in range(10):
        store.note_definitions({GREEDY: f"edition-{n}"}, 100.0 * n)
    store.prune(max_runs=100, before=750.0 + place.stays)
    left = sorted(str(name) for (name,) in place.raw("SELECT fingerprint FROM fingerprints"))
    assert left == ["edition-8", "edition-9"]
    assert [r.fingerprint for r in store.runs(GREEDY)] == ["edition-8", "edition-9"]


def test_there_is_none_where_none_is_given(make_place: Callable[[], Place]) -> None:
    with make_place().open() as store:
        write(store, GREEDY, *range(200))
        assert len(store.runs(GREEDY)) == 200
