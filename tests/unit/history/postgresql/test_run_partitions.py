"""Runs in PostgreSQL: a partition for the rows of each week, dropped as a whole when nobody needs any of them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count

import psycopg
import pytest

from concertmaster.core.model import WorkflowKey
from concertmaster.core.units import WEEK
from concertmaster.history import HistoryError, HistoryLocked, Store
from concertmaster.history.postgresql import partitions
from concertmaster.history.postgresql.run_partitions import PLACES
from concertmaster.history.sql import Connection, RunPlaces
from testbed.services.postgres import PostgresServer
from tests.support.at_once import failures
from tests.support.clock import Clock
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import Schema
from tests.support.history_stats import stats

FIRST = 2_900  # a week
HOUR = 3_600.0
THEIRS = WorkflowKey("theirs", "CronJob", "nightly")


@pytest.fixture
def clock() -> Clock:
    return Clock(FIRST * WEEK)


@pytest.fixture
def place(postgres: PostgresServer, clock: Clock) -> Schema:
    return replace(Schema.fresh(postgres.url, postgres.password_file), clock=clock)


def weeks_of(place: Schema, table: str) -> list[int]:
    """The weeks that have a partition."""
    return sorted(int(name.rpartition("_")[2]) - 1 for name in place.partitions(table))


def weeks(place: Schema) -> list[int]:
    """The weeks that have a partition, of both tables."""
    of_executions, of_pods = (weeks_of(place, table) for table in ("executions", "pods"))
    assert of_executions == of_pods
    return of_executions


def add(store: Store, clock: Clock, *uids: str, key: WorkflowKey = KEY, run: str | None = None) -> None:
    """Store pods that ended now, each in a run of its own where none is given."""
    for uid in uids:
        store.add({key: {run or f"r-{uid}": [ran(uid, clock.now)]}})


def names(store: Store, key: WorkflowKey = KEY) -> list[str]:
    return sorted(run.run for run in store.runs(key))


def test_a_run_lies_in_the_partition_of_the_week_in_which_it_was_stored(
    place: Schema, store: Store, clock: Clock
) -> None:
    add(store, clock, "a")
    clock.now += WEEK
    add(store, clock, "b", "c")
    assert weeks(place) == [FIRST, FIRST + 1]
    query = "SELECT run, place / {} FROM executions ORDER BY run"
    assert place.raw(query.format(PLACES)) == [("r-a", FIRST), ("r-b", FIRST + 1), ("r-c", FIRST + 1)]
    assert place.raw(f"SELECT count(*) FROM pods_until_{FIRST + 2}") == [(2,)]
    assert names(store) == ["r-a", "r-b", "r-c"]
    assert stats(store).pods == 3


def test_a_week_that_nobody_needs_is_dropped_with_its_tables(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "a", "b")
    clock.now += 2 * WEEK
    add(store, clock, "c")
    assert store.prune(max_runs=100, before=clock.now - HOUR) == 0
    assert weeks(place) == [FIRST + 2, FIRST + 3], "that of the week to come is there already"
    assert place.raw(f"SELECT to_regclass('pods_until_{FIRST + 1}')") == [(None,)]
    assert names(store) == ["r-c"]
    assert place.raw("SELECT count(*) FROM pods") == [(1,)]


def test_a_week_stays_as_long_as_one_of_its_runs_is_needed(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "a", "b")
    clock.now += 2 * WEEK
    add(store, clock, "c")
    store.prune(max_runs=100, before=clock.now - WEEK)
    assert names(store) == ["r-a", "r-b", "r-c"]
    assert FIRST in weeks(place)


def test_a_run_of_two_weeks_is_not_cut_in_two(place: Schema, store: Store, clock: Clock) -> None:
    clock.now -= HOUR
    add(store, clock, "a", run="r")
    clock.now += 2 * HOUR
    add(store, clock, "b", run="r")
    end = clock.now
    clock.now += 3 * WEEK
    add(store, clock, "c")
    store.prune(max_runs=100, before=end)
    assert [len(run.steps) for run in store.runs(KEY)] == [2, 1]
    store.prune(max_runs=100, before=end + WEEK + HOUR)
    assert names(store) == ["r-c"]


def test_the_week_that_is_written_to_is_never_dropped(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "a")
    store.prune(max_runs=100, before=clock.now + 2 * WEEK)
    assert weeks(place) == [FIRST, FIRST + 1]
    add(store, clock, "b")
    assert names(store) == ["r-a", "r-b"]


def test_what_maxruns_leaves_out_goes_from_all_weeks(place: Schema, store: Store, clock: Clock) -> None:
    for week in range(3):
        clock.now = (FIRST + week) * WEEK
        add(store, clock, f"a{week}", f"b{week}")
    assert store.prune(max_runs=1, before=0.0) == 5
    assert len(names(store)) == 1
    assert place.raw("SELECT count(*) FROM pods") == [(1,)]


def test_a_pod_that_comes_again_later_is_known(place: Schema, store: Store, clock: Clock) -> None:
    pod = ran("long", clock.now)
    store.add({KEY: {"r": [replace(pod, finished=None)]}})
    clock.now += 3 * WEEK
    over = replace(pod, finished=clock.now)
    assert (store.add({KEY: {"r": [over]}}), store.add({KEY: {"r": [over]}})) == ({KEY}, set())
    assert place.raw(f"SELECT place / {PLACES} FROM pods") == [(FIRST,)]
    add(store, clock, "other")
    store.prune(max_runs=100, before=clock.now - HOUR)
    assert names(store) == ["r", "r-other"], "it ended later than the week in which it was stored"


@pytest.mark.parametrize(
    ("created", "week"),
    [
        (None, 0),
        (math.nan, 0),
        (-1.0, 0),
        (FIRST * WEEK, FIRST - 1),
        ((FIRST - 3) * WEEK + HOUR, FIRST - 4),
        ((FIRST + 1) * WEEK, FIRST - 1),
        ((FIRST + 2) * WEEK, 0),
        (1e18, 0),
        (math.inf, 0),
    ],
)
def test_a_pod_is_looked_for_where_it_can_have_been_stored(created: float | None, week: int) -> None:
    assert RunPlaces(FIRST * PLACES, PLACES).since(created) == week * PLACES


def test_only_weeks_that_can_have_a_pod_are_searched(place: Schema, store: Store, clock: Clock) -> None:
    """A pod that is new is in none: with a window of three months it would be looked for in fifteen."""
    for week in range(5):
        add(store, clock, f"{week}")
        clock.now += WEEK
    planted = f"SELECT count(*) FROM pods_until_{FIRST + 2} WHERE uid = 'new'"
    place.raw(f"INSERT INTO pods SELECT 'new', place FROM pods_until_{FIRST + 2}")
    assert store.add({KEY: {"r": [ran("new", clock.now)]}}) == {KEY}
    assert place.raw(planted) == [(1,)], "not found, or it would have been moved"
    place.raw(f"DELETE FROM pods_until_{FIRST + 6}")
    store.add({KEY: {"s": [ran("new", (FIRST + 2) * WEEK)]}})
    assert place.raw(planted) == [(0,)]


def test_a_run_that_goes_on_in_the_next_week_is_one_run(place: Schema, store: Store, clock: Clock) -> None:
    """A name that is in use for ever would keep the first week for ever."""
    clock.now -= HOUR
    add(store, clock, "a", run="r")
    clock.now += 2 * HOUR
    add(store, clock, "b", run="r")
    assert place.raw(f"SELECT place / {PLACES}, pods FROM executions ORDER BY place") == [(FIRST - 1, 1), (FIRST, 1)]
    (run,) = store.runs(KEY)
    assert [step.uid for step in run.steps] == ["a", "b"]


def test_a_pod_that_turns_out_to_be_of_another_run_moves_there(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "a", "b", run="r")
    pod = ran("a", clock.now)
    clock.now += WEEK
    store.add({KEY: {"s": [pod]}})
    assert [(run.run, [step.uid for step in run.steps]) for run in store.runs(KEY)] == [("r", ["b"]), ("s", ["a"])]
    assert place.raw(f"SELECT place / {PLACES} FROM pods ORDER BY place") == [(FIRST,), (FIRST + 1,)]


def test_a_shard_does_not_drop_what_another_one_needs(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "a")
    add(store, clock, "x", key=THEIRS)
    clock.now += 2 * WEEK
    add(store, clock, "b")

    def prune(of: WorkflowKey, before: float) -> None:
        store.prune(max_runs=100, before=before, owns=lambda namespace: namespace == of.namespace)

    prune(KEY, clock.now - HOUR)
    assert FIRST in weeks(place), "the other one said nothing yet"
    prune(THEIRS, clock.now - 3 * WEEK)
    prune(KEY, clock.now - HOUR)
    assert names(store, THEIRS) == ["r-x"]
    prune(THEIRS, clock.now - HOUR)
    assert weeks(place) == [FIRST + 2, FIRST + 3]


def test_what_is_known_of_a_namespace_goes_with_it(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "x", key=THEIRS)
    store.prune(max_runs=100, before=0.0)
    assert place.raw("SELECT namespace FROM needed_runs") == [("theirs",)]
    store.forget(THEIRS)
    add(store, clock, "a")
    store.prune(max_runs=100, before=0.0)
    assert place.raw("SELECT namespace FROM needed_runs") == [("data",)]


def test_a_time_far_ahead_keeps_nothing_but_itself(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "a", "b")
    store.add({KEY: {"odd": [ran("odd", 1e18)]}})
    clock.now += 2 * WEEK
    add(store, clock, "c")
    store.prune(max_runs=100, before=clock.now - HOUR)
    assert names(store) == ["odd", "r-a", "r-b", "r-c"]
    clock.now += 2 * WEEK
    assert store.prune(max_runs=100, before=clock.now - HOUR) == 2
    assert names(store) == ["odd", "r-c"]


def test_a_clock_that_goes_back_writes_into_the_newest_week(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "a")
    clock.now -= 2 * WEEK
    add(store, clock, "b")
    assert weeks(place) == [FIRST]
    assert names(store) == ["r-a", "r-b"]


def test_a_clock_far_ahead_does_not_take_the_others_along(place: Schema, store: Store, clock: Clock) -> None:
    """They would have to store in that week until it has come."""
    clock.now = time.time() + 100 * WEEK
    add(store, clock, "a")
    assert weeks(place)[-1] <= time.time() // WEEK + 1


@pytest.mark.parametrize("lost", ["SELECT 1", "SELECT setval('places', 1)"])
def test_partitions_that_are_gone_are_made_again(place: Schema, store: Store, clock: Clock, lost: str) -> None:
    """As on a standby that took over before it had them."""
    add(store, clock, "a")
    place.raw(f"DROP TABLE executions_until_{FIRST + 1}, pods_until_{FIRST + 1}")
    place.raw(lost)
    add(store, clock, "b")
    assert names(store) == ["r-b"]


def test_a_week_begins_while_others_make_workflows(
    place: Schema, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("concertmaster.history.postgresql.session._LOCK_SECONDS", 1)
    with place.open() as store:
        add(store, clock, "a")
        clock.now += WEEK
        with making_workflows(place):
            add(store, clock, "b")
            assert weeks(place) == [FIRST], "the week before takes it"
            assert names(store) == ["r-a", "r-b"]
        store.prune(max_runs=100, before=0.0)
        assert weeks(place) == [FIRST, FIRST + 1, FIRST + 2]
        clock.now += WEEK
        with making_workflows(place):
            add(store, clock, "c")
    assert place.raw(f"SELECT place / {PLACES} FROM pods ORDER BY place") == [(FIRST,), (FIRST,), (FIRST + 2,)]


def test_a_pod_is_not_stored_in_a_week_in_which_it_would_not_be_found(
    place: Schema, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("concertmaster.history.postgresql.session._LOCK_SECONDS", 1)
    with place.open() as store:
        add(store, clock, "a")
        clock.now += 3 * WEEK
        with making_workflows(place), pytest.raises(HistoryLocked):
            add(store, clock, "b")
        add(store, clock, "b")
        store.add({KEY: {"r-b": [ran("b", clock.now)]}})
        assert stats(store).pods == 2, "its uid is known"


def test_a_table_that_a_person_attached_is_left_alone(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "a")
    place.raw("CREATE TABLE pods_kept_2024 (LIKE pods)")
    place.raw(f"ALTER TABLE pods ATTACH PARTITION pods_kept_2024 FOR VALUES FROM ({PLACES}) TO ({2 * PLACES})")
    store.prune(max_runs=100, before=clock.now)
    assert place.raw("SELECT to_regclass('pods_kept_2024')::text") == [("pods_kept_2024",)]
    assert names(store) == ["r-a"]


def test_shards_open_a_week_once(place: Schema, clock: Clock) -> None:
    place.open().close()

    def write(number: int) -> None:
        key = replace(KEY, name=f"w{number}")
        with place.open() as store:
            for n in range(10):
                add(store, clock, f"{number}-{n}", key=key)

    for week in range(3):
        clock.now = (FIRST + week) * WEEK
        assert failures(*[partial(write, 10 * week + n) for n in range(3)]) == []
    assert weeks(place) == [FIRST, FIRST + 1, FIRST + 2]
    assert place.raw(f"SELECT place / {PLACES}, count(*) FROM executions GROUP BY 1 ORDER BY 1") == [
        (FIRST + week, 30) for week in range(3)
    ]


def test_shards_write_while_another_one_drops(place: Schema, clock: Clock) -> None:
    with place.open() as store:
        for week in range(20):
            clock.now = (FIRST + week) * WEEK
            add(store, clock, f"a{week}")
    over = threading.Event()

    def write(number: int) -> None:
        key = WorkflowKey("jobs", "CronJob", f"w{number}")
        with place.open() as store:
            for n in count():
                store.add({key: {f"r{n}": [ran(f"{number}-{n}", clock.now)]}})
                store.runs(key, limit=10)
                if over.is_set():
                    return

    def drop() -> None:
        try:
            with place.open() as store:
                for _ in range(200):
                    for week in range(1, 21):
                        before = (FIRST + week) * WEEK
                        store.prune(max_runs=10**6, before=before, owns=lambda namespace: namespace == KEY.namespace)
                        store.prune(max_runs=10**6, before=before, owns=lambda namespace: namespace == "jobs")
                    # One table at a time: the other thread may be dropping a week of both in between.
                    if all(weeks_of(place, table) == [FIRST + 19, FIRST + 20] for table in ("executions", "pods")):
                        return
        finally:
            over.set()

    assert failures(drop, drop, lambda: write(1), lambda: write(2)) == []
    assert weeks(place) == [FIRST + 19, FIRST + 20]
    with place.open() as store:
        assert names(store) == ["r-a19"]
    ((entries, uids, stored),) = place.raw(
        "SELECT count(*), count(DISTINCT uid), (SELECT sum(pods) FROM executions) FROM pods"
    )
    assert entries == uids == stored


def test_a_week_that_vacuum_examines_holds_up_no_other_one(place: Schema, store: Store, clock: Clock) -> None:
    for uid in ("a", "b"):
        add(store, clock, uid)
        clock.now += WEEK
    clock.now += WEEK
    add(store, clock, "c")
    with place.connect() as vacuum:
        for end in (FIRST + 1, FIRST + 4):  # one that is due, and that of this week
            vacuum.execute(f"LOCK TABLE executions_until_{end} IN SHARE UPDATE EXCLUSIVE MODE")  # type: ignore[arg-type]
        begun = time.monotonic()
        store.prune(max_runs=100, before=clock.now - HOUR)
        assert time.monotonic() - begun < 5.0
        assert weeks(place) == [FIRST, FIRST + 3, FIRST + 4]
    store.prune(max_runs=100, before=clock.now - HOUR)
    assert weeks(place) == [FIRST + 3, FIRST + 4]


def test_a_week_that_is_needed_again_before_it_is_dropped_stays(
    place: Schema, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, clock, "a")
    clock.now += 2 * WEEK
    add(store, clock, "b")
    alone = partitions.one_at_a_time

    def later(db: Connection, what: str) -> None:
        place.raw("UPDATE needed_runs SET since = 0")
        alone(db, what)

    monkeypatch.setattr(partitions, "one_at_a_time", later)
    store.prune(max_runs=100, before=clock.now - HOUR)
    assert names(store) == ["r-a", "r-b"]


def test_a_dump_holds_up_dropping_but_nobody_else(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "a")
    clock.now += 2 * WEEK
    add(store, clock, "b")
    with reader(place):
        store.prune(max_runs=100, before=clock.now - HOUR)
        assert FIRST in weeks(place)
        clock.now += WEEK
        add(store, clock, "c")
    store.prune(max_runs=100, before=clock.now - HOUR)
    assert weeks(place) == [FIRST + 2, FIRST + 3, FIRST + 4]
    assert names(store) == ["r-b", "r-c"]


def test_a_database_without_the_tables_of_a_week_says_so(place: Schema, store: Store, clock: Clock) -> None:
    add(store, clock, "a")
    place.raw("DROP SEQUENCE places CASCADE")
    with pytest.raises(HistoryError, match="places"):
        add(store, clock, "b")


@contextmanager
def reader(place: Schema) -> Iterator[psycopg.Connection]:
    """A session that has read all tables in a transaction which goes on, as a dump does."""
    with place.connect() as session:
        session.execute("SELECT count(*) FROM workflows, executions, pods")
        yield session


@contextmanager
def making_workflows(place: Schema) -> Iterator[None]:
    """A session whose transaction adds workflows, as that of another shard."""
    with place.connect() as session:
        session.execute("LOCK TABLE workflows IN ROW EXCLUSIVE MODE")
        yield
