"""Daily rows in PostgreSQL: partitions of four weeks, made when they are written to and dropped as a whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
import pytest

from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.daily import DailyRow
from concertmaster.history import HistoryError, Store
from concertmaster.history.postgresql.daily_partitions import DAYS
from tests.support.at_once import failures
from tests.support.data.history_rows import KEY
from tests.support.history_places import Schema

KEEP = 400


def on(*days: int, step: str = "") -> list[DailyRow]:
    return [DailyRow(day, step, 1, 1, 0, metrics={"tokens": 7.0}) for day in days]


def days(store: Store) -> list[int]:
    return [row.day for row in store.daily.rows(KEY)]


def test_rows_lie_in_the_partition_of_their_weeks(place: Schema, store: Store) -> None:
    store.daily.record(KEY, on(DAYS, 2 * DAYS - 1, 2 * DAYS))
    assert place.partitions("daily") == [f"daily_until_{2 * DAYS}", f"daily_until_{3 * DAYS}"]
    assert place.partitions("daily_metrics") == [
        f"daily_metrics_until_{2 * DAYS}",
        f"daily_metrics_until_{3 * DAYS}",
    ]
    assert place.raw(f"SELECT day FROM daily_until_{3 * DAYS}") == [(2 * DAYS,)]
    assert [row.metrics for row in store.daily.rows(KEY)] == [{"tokens": 7.0}] * 3


def test_what_is_too_old_is_dropped_with_its_tables(place: Schema, store: Store) -> None:
    store.daily.record(KEY, on(3, DAYS + 3))
    store.daily.prune(DAYS + KEEP)
    assert place.partitions("daily") == [f"daily_until_{2 * DAYS}"]
    assert place.partitions("daily_metrics") == [f"daily_metrics_until_{2 * DAYS}"]
    assert days(store) == [DAYS + 3]
    assert place.raw(f"SELECT to_regclass('daily_until_{DAYS}')") == [(None,)]


def test_a_day_can_be_written_again_after_it_was_dropped(store: Store) -> None:
    """A window may be longer than daily rows are kept."""
    store.daily.record(KEY, on(3))
    store.daily.prune(DAYS + KEEP)
    store.daily.record(KEY, on(3, DAYS))
    assert days(store) == [3, DAYS]


def test_days_of_a_clock_before_1970_are_days(store: Store) -> None:
    store.daily.record(KEY, on(-1, -DAYS, 0))
    assert [row.day for row in store.daily.rows(KEY, since=-100)] == [-DAYS, -1, 0]


def test_a_partition_that_is_gone_is_made_again(place: Schema, store: Store) -> None:
    """As on a standby that took over before it had it."""
    store.daily.record(KEY, on(3))
    place.raw(f"DROP TABLE daily_until_{DAYS}")
    with pytest.raises(HistoryError):
        store.daily.record(KEY, on(4))
    store.daily.record(KEY, on(4))
    assert days(store) == [4]


def test_a_partition_is_made_while_others_read_and_write(place: Schema, store: Store) -> None:
    """As while a dump is taken."""
    store.daily.record(KEY, on(3))
    with dump(place) as other:
        other.execute("UPDATE daily SET count = 2")
        store.daily.record(KEY, on(DAYS))
        assert days(store) == [3, DAYS]


def test_a_dump_holds_up_dropping_but_nobody_else(place: Schema, store: Store) -> None:
    store.daily.record(KEY, on(3, DAYS))
    with dump(place):
        store.daily.prune(DAYS + KEEP)
        assert days(store) == [3, DAYS]
        store.daily.record(KEY, on(DAYS + 1))
    store.daily.prune(DAYS + KEEP)
    assert days(store) == [DAYS, DAYS + 1]


def test_a_prune_and_a_new_partition_do_not_wait_for_each_other(place: Schema) -> None:
    """Both come to the workflows and to the daily rows."""
    with place.open() as store:
        store.daily.record(KEY, on(3))
        store.note_definitions({WorkflowKey("jobs", "CronJob", f"w{n}"): "f" for n in range(3)}, 1.0)
    place.raw("DELETE FROM fingerprints")
    with place.open() as pruning, place.open() as writing:
        made: list[threading.Thread] = []

        def owns(_: str) -> bool:
            """In the middle of a prune: it has read both tables and deletes next."""
            if not made:
                made.append(threading.Thread(target=lambda: writing.daily.record(KEY, on(5 * DAYS))))
                made[0].start()
                made[0].join(0.5)
            return True

        pruning.daily.prune(KEEP, owns)
        made[0].join()
        assert days(writing) == [3, 5 * DAYS]


def test_shards_make_a_partition_once(place: Schema) -> None:
    with place.open():
        pass

    def write(number: int) -> None:
        with place.open() as store:
            store.daily.record(WorkflowKey("jobs", "CronJob", f"w{number}"), on(*range(0, 10 * DAYS, DAYS)))

    assert failures(*(lambda number=n: write(number) for n in range(3))) == []
    assert len(place.partitions("daily")) == 10
    assert place.raw("SELECT count(*) FROM daily") == [(30,)]


def test_shards_that_write_days_of_one_workflow_at_once_lose_none(place: Schema) -> None:
    """As where one takes over from another: both number the steps that are new."""
    with place.open():
        pass

    def write(number: int) -> None:
        with place.open() as store:
            for n in range(30):
                store.daily.record(KEY, [row for step in (f"a{n}", f"b{n}") for row in on(n, step=step)])

    assert failures(*(lambda number=n: write(number) for n in range(3))) == []
    with place.open() as store:
        assert len(store.daily.rows(KEY, step=None)) == 60
        assert [row.day for row in store.daily.rows(KEY, step="b7")] == [7]


def test_shards_write_while_another_one_drops(place: Schema) -> None:
    with place.open() as store:
        store.daily.record(KEY, on(*range(0, 20 * DAYS, DAYS)))
    over = threading.Event()

    def write(number: int) -> None:
        key = WorkflowKey("jobs", "CronJob", f"w{number}")
        with place.open() as store:
            for day in count(20 * DAYS):
                store.daily.record(key, on(day))
                store.daily.fleet(since=day)
                if over.is_set():
                    return

    def drop() -> None:
        try:
            with place.open() as store:
                for day in [*range(DAYS, 20 * DAYS, DAYS), *[19 * DAYS] * 100]:  # others may hold up each attempt
                    store.daily.prune(day + KEEP)
                    if days(store) == [19 * DAYS]:
                        return
        finally:
            over.set()

    assert failures(drop, lambda: write(1), lambda: write(2)) == []
    with place.open() as store:
        assert days(store) == [19 * DAYS]


@contextmanager
def dump(place: Schema) -> Iterator[psycopg.Connection]:
    """A session that has read all tables in a transaction which goes on."""
    with place.connect() as session:
        session.execute("SELECT count(*) FROM workflows, daily, daily_metrics")
        yield session
