"""The journal: entries by the beginning of their key, at a cost that does not depend on the others."""

from __future__ import annotations

import sqlite3

import psycopg

from concertmaster.history import Store
from testbed.services.postgres import PostgresServer
from tests.support.history_places import Schema


def test_entries_are_found_by_the_beginning_of_their_key_the_oldest_first(store: Store) -> None:
    keys = [
        "deleted/a/etl/x",
        "deleted/a/etl/\u00e9\U0001f3bb",
        "deleted/a/etl-2/x",
        "deleted/b/etl/x",
        "kept/1",
        "made/%_",
    ]
    for age, key in enumerate(keys):
        store.write_journal(key, str(age), -float(age))
    assert list(store.journal("deleted/a/etl/").items()) == [(keys[1], "1"), (keys[0], "0")]
    assert store.journal("kept/1") == {"kept/1": "4"}
    assert store.journal("made/%") == {"made/%_": "5"}
    assert store.journal("none") == {}
    assert list(store.journal()) == keys[::-1]


def test_old_entries_with_a_beginning_are_forgotten_and_no_others(store: Store) -> None:
    for key, at in (("made/old", 10.0), ("made/new", 20.0), ("kept/old", 10.0), ("made", 10.0), ("madf/x", 10.0)):
        store.write_journal(key, "{}", at)
    store.prune_journal("made/", 20.0)
    assert sorted(store.journal()) == ["kept/old", "made", "made/new", "madf/x"]


def test_an_entry_of_thousands_is_read_without_the_others() -> None:
    """Each workflow asks for its own in each cycle, and each kept change has one."""
    with Store(":memory:") as store:
        for number in range(3000):
            store.write_journal(f"kept/{number}", "{}", 0.0)

        def steps(prefix: str, found: int) -> int:
            """Of SQLite's machine."""
            counted: list[None] = []
            db: sqlite3.Connection = store._db
            db.set_progress_handler(lambda: counted.append(None), 1)
            assert len(store.journal(prefix)) == found
            db.set_progress_handler(None, 0)
            return len(counted)

        assert steps("deleted/a/etl/", 0) < 0.01 * steps("kept/", 3000)


def test_a_database_of_another_encoding_keeps_one(postgres: PostgresServer) -> None:
    """It has no character that sorts after all others, which the end of the range was; then nothing was changed any more."""
    with psycopg.connect(postgres.url, password=postgres.password, autocommit=True) as db:
        db.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with Schema.fresh(postgres.of("latin"), postgres.password_file).open() as store:
        store.write_journal("kept/1", "{}", 0.0)
        assert store.journal("kept/") == store.journal() == {"kept/1": "{}"}
