"""Copies of rows beside the operator: fewer bytes from the server, and never another answer than its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from concertmaster.history import CacheFile, HistoryUnavailable, Store, open_server
from concertmaster.history.runs.row_cache import RowCache
from concertmaster.history.runs.row_sources import CachedRows, DatabaseRows
from concertmaster.history.sql import Connection
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import Schema

RUNS = [f"r{n}" for n in range(20)]


class Counting:
    """A connection that counts the bytes of bodies it was sent."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self.bodies = 0

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        found = self._db.execute(query, parameters)
        if "SELECT run, ended, body" not in query:
            return found
        rows = found.fetchall()
        self.bodies += sum(len(body) for _, _, body in rows)
        return iter(rows)

    def executemany(self, query: str, parameters: Any) -> object:
        return self._db.executemany(query, parameters)


@pytest.fixture
def cached(place: Schema, tmp_path: Path) -> Schema:
    """The same schema, read with a cache."""
    return Schema(replace(place.address, cache=CacheFile(str(tmp_path / "rows.cache"), 2**20)))


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with twenty runs, as another shard sees it."""
    store.add({KEY: {run: [ran(f"{run}-1", 100.0 * n), ran(f"{run}-2", 100.0 * n + 20)] for n, run in enumerate(RUNS)}})
    return store


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[RowCache]:
    with closing(RowCache(str(tmp_path / "own.cache"), 2**20)) as made:
        yield made


def read(store: Store, names: Sequence[str], cache: RowCache) -> tuple[int, bool]:
    """How many bytes of bodies the server sent for these runs, and whether the rows are its own."""
    db = Counting(store._db)
    number = store._db.execute("SELECT id FROM workflows").fetchone()[0]
    found = sorted(CachedRows(db, cache).of("executions", number, names), key=repr)
    return db.bodies, found == sorted(DatabaseRows(store._db).of("executions", number, names), key=repr)


def test_what_was_read_once_is_not_sent_again(filled: Store, cache: RowCache) -> None:
    first, same = read(filled, RUNS, cache)
    assert (first > 1000, same) == (True, True)
    assert read(filled, RUNS, cache) == (0, True)


def test_what_another_shard_wrote_is_sent(filled: Store, cache: RowCache) -> None:
    first, _ = read(filled, RUNS, cache)
    filled.add({KEY: {"r7": [ran("r7-3", 750.0)], "new": [ran("new-1", 5000.0)]}})
    second, same = read(filled, [*RUNS, "new"], cache)
    assert same
    assert 0 < second < first / 4
    assert read(filled, [*RUNS, "new"], cache) == (0, True)


def test_runs_that_are_gone_are_not_read(filled: Store, cache: RowCache) -> None:
    read(filled, RUNS, cache)
    filled.prune(max_runs=5, before=0.0)
    assert read(filled, RUNS, cache) == (0, True)


def test_a_store_with_a_cache_says_what_one_without_says(filled: Store, cached: Schema) -> None:
    with cached.open() as store:
        for n in range(6):
            assert store.runs(KEY) == filled.runs(KEY)
            filled.add({KEY: {f"r{3 * n}": [ran(f"more-{n}", 300.0 * n + 40)]}})
            filled.prune(max_runs=18 - n, before=0.0)
        assert store.runs(KEY) == filled.runs(KEY)


def test_it_outlives_the_process(filled: Store, tmp_path: Path) -> None:
    for expected in (True, False):
        with closing(RowCache(str(tmp_path / "kept.cache"), 2**20)) as cache:
            sent, same = read(filled, RUNS, cache)
        assert ((sent > 0), same) == (expected, True)


def _garbage(file: Path) -> None:
    file.write_bytes(b"not a database" * 1000)


def _another_version(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("PRAGMA user_version = 7")


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def _other_bytes(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE executions SET body = zeroblob(length(body))")


@pytest.mark.parametrize("harm", [_garbage, _another_version, _truncated, _other_bytes])
def test_a_file_that_is_no_use_changes_no_answer(
    filled: Store, cached: Schema, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    with cached.open() as store:
        store.runs(KEY)
    harm(tmp_path / "rows.cache")
    with cached.open() as store:
        assert store.runs(KEY) == filled.runs(KEY)
        assert store.runs(KEY) == filled.runs(KEY)
    with closing(sqlite3.connect(tmp_path / "rows.cache")) as db:
        assert db.execute("SELECT count(*) FROM executions").fetchone() == (len(RUNS),)


def test_a_file_that_is_harmed_in_use_is_given_up(
    filled: Store, cached: Schema, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with cached.open() as store:
        store.runs(KEY)
        store._engine.runs._cache._db.execute("DROP TABLE executions")  # type: ignore[attr-defined]
        assert store.runs(KEY) == filled.runs(KEY)
        assert store.runs(KEY) == filled.runs(KEY)
    assert [r.getMessage() for r in caplog.records if "is not used any more" in r.getMessage()] == [
        f"{tmp_path / 'rows.cache'} is not used any more: no such table: executions. Runs are read from the database server "
        "alone."
    ]
    assert not (tmp_path / "rows.cache").exists()


def test_a_second_process_reads_without_it_and_leaves_it_alone(filled: Store, cached: Schema, tmp_path: Path) -> None:
    with cached.open() as first:
        first.runs(KEY)
        with cached.open() as second:
            assert second.runs(KEY) == filled.runs(KEY)
        assert (tmp_path / "rows.cache").exists()
        assert first.runs(KEY) == filled.runs(KEY)


def test_a_place_that_cannot_be_written_is_done_without(place: Schema, filled: Store, tmp_path: Path) -> None:
    nowhere = Schema(replace(place.address, cache=CacheFile(str(tmp_path / "missing" / "rows.cache"), 2**20)))
    with nowhere.open() as store:
        assert store.runs(KEY) == filled.runs(KEY)


@pytest.mark.parametrize("size", [1_000, 20_000])
def test_it_stays_within_its_size(tmp_path: Path, size: int) -> None:
    path, most = tmp_path / "small.cache", 400_000
    with closing(RowCache(str(path), most)) as cache:
        for n in range(2_000):
            cache.keep("executions", n % 7, [(f"r{n}", bytes(size))])
        assert path.stat().st_size < 1.3 * most
        assert Path(f"{path}-wal").stat().st_size < 5 * 2**20
        assert cache.bodies("executions", 1999 % 7, ["r1999"]) == [bytes(size)]
        assert cache.bodies("executions", 0, ["r0"]) == []


def test_a_row_larger_than_all_is_not_kept(tmp_path: Path) -> None:
    with closing(RowCache(str(tmp_path / "small.cache"), 400_000)) as cache:
        cache.keep("executions", 1, [("r", bytes(10**6))])
        assert cache.bodies("executions", 1, ["r"]) == []


def test_a_file_larger_than_it_may_be_now_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "small.cache"
    with closing(RowCache(str(path), 2**20)) as cache:
        cache.keep("executions", 1, [("r", bytes(500_000))])
    with closing(RowCache(str(path), 400_000)) as cache:
        assert cache.bodies("executions", 1, ["r"]) == []
    assert path.stat().st_size < 400_000


def test_what_is_no_bytes_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "odd.cache"
    with closing(RowCache(str(path), 2**20)) as cache:
        cache.keep("executions", 1, [("r", b"x"), ("s", b"y")])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE executions SET body = 7 WHERE run = 'r'")
    with closing(RowCache(str(path), 2**20)) as cache:
        assert cache.bodies("executions", 1, ["r", "s"]) == [b"y"]


def test_without_the_server_nothing_is_said_out_of_it(
    filled: Store, cached: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy alone does not say whether it is still true."""
    with cached.open() as store:
        store.runs(KEY)

        def away(*_: object) -> None:
            raise HistoryUnavailable("away")

        monkeypatch.setattr(store._db, "execute", away)
        with pytest.raises(HistoryUnavailable):
            store.runs(KEY)


def test_a_few_runs_are_asked_for_at_once(filled: Store, cache: RowCache) -> None:
    """A second question would cost more than their bytes."""
    assert read(filled, ["r1"], cache)[0] == read(filled, ["r1"], cache)[0] > 0


def test_an_address_is_opened_with_its_cache(cached: Schema, tmp_path: Path) -> None:
    with open_server(cached.address):
        assert (tmp_path / "rows.cache").exists()
