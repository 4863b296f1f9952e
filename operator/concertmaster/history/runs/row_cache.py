"""Copies of rows that a database server holds, in a SQLite file beside the operator.

A cache and nothing more: what it says is compared with the server's digests, it is thrown away when it is damaged or of
another version, and the operator continues without it where it cannot be written.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from concertmaster.core.units import MIB
from concertmaster.history import rows
from concertmaster.history.errors import HistoryLocked, translate

log = logging.getLogger("concertmaster.history")

TABLES = ("executions", "records")  # as on the server
_VERSION = 0x434D4301  # "CMC" and a number; another one: begin anew
_SHARE = 8  # of what was written longest ago, one part in so many goes at once
_LOG_BYTES = 4 * MIB  # that the write-ahead log keeps on the disk


class RowCache:
    """One file of at most about ``most`` bytes, held by one process. Used by one thread at a time; raises nothing."""

    def __init__(self, path: str, most: float) -> None:
        self._path = path
        self._most = most
        self._db: sqlite3.Connection | None = None
        try:
            self._db = _opened(path, most)
        except sqlite3.Error as error:
            self._give_up(error)

    def bodies(self, table: str, number: int, names: Sequence[str]) -> list[bytes]:
        """The cached rows of these runs of a workflow, which may be outdated."""
        if self._db is None:
            return []
        query = f"SELECT body FROM {table} WHERE workflow = ? AND run IN ({rows.marks(names)})"
        try:
            found = self._db.execute(query, (number, *names)).fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return []
        return [body for (body,) in found if isinstance(body, bytes)]  # a damaged file may say anything

    def keep(self, table: str, number: int, found: Sequence[tuple[str, bytes]]) -> None:
        """Replace the cached rows of these runs; the oldest rows of all are dropped when there are too many."""
        if self._db is None or not found:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            gone = f"DELETE FROM {table} WHERE workflow = ? AND run = ?"
            self._db.executemany(gone, {(number, run) for run, _ in found})
            new = f"INSERT INTO {table} (workflow, run, body) VALUES (?, ?, ?)"
            self._db.executemany(new, [(number, run, body) for run, body in found])
            _cut(self._db, self._most)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file, which the next process uses."""
        if self._db is not None:
            self._db.close()
        self._db = None

    def _give_up(self, error: sqlite3.Error) -> None:
        """Go on without it; the next process begins anew."""
        log.warning("%s is not used any more: %s. Runs are read from the database server alone.", self._path, error)
        self.close()
        if not _held(error):
            _remove(self._path)


def _opened(path: str, most: float) -> sqlite3.Connection:
    """A connection to the file, begun anew where it is larger than it may be or not one of this version."""
    try:
        db = _connected(path)
    except sqlite3.Error as error:
        if _held(error):
            raise
    else:
        if _bytes(db, "page_count") <= most:
            return db
        db.close()
    _remove(path)
    return _connected(path)


def _connected(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        db.execute("PRAGMA synchronous = OFF")  # what a crash of the node leaves is found out by its digests
        db.execute("PRAGMA secure_delete = OFF")  # some builds write zeros over all that is deleted
        db.execute("BEGIN EXCLUSIVE")
        if db.execute("PRAGMA schema_version").fetchone()[0] == 0:  # no table yet
            for table in TABLES:
                db.execute(
                    f"CREATE TABLE {table} (place INTEGER PRIMARY KEY, workflow INTEGER NOT NULL, run TEXT NOT NULL, "
                    "body BLOB NOT NULL)"
                )
                db.execute(f"CREATE INDEX {table}_by_run ON {table} (workflow, run)")
            db.execute(f"PRAGMA user_version = {_VERSION}")
        elif db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            raise sqlite3.DatabaseError("another version")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _cut(db: sqlite3.Connection, most: float) -> None:
    """Delete the rows written longest ago until the file is smaller than ``most`` bytes."""
    span = "SELECT min(place), max(place) FROM {}"
    while _bytes(db, "page_count") - _bytes(db, "freelist_count") > most:
        gone = 0
        for table in TABLES:
            first, last = db.execute(span.format(table)).fetchone()
            if first is not None:
                old = f"DELETE FROM {table} WHERE place <= ?"
                gone += db.execute(old, (first + (last - first) // _SHARE,)).rowcount
        if not gone:
            return


def _bytes(db: sqlite3.Connection, pages: str) -> int:
    """Size of the pages that this pragma counts."""
    return int(db.execute(f"PRAGMA {pages}").fetchone()[0] * db.execute("PRAGMA page_size").fetchone()[0])


def _held(error: sqlite3.Error) -> bool:
    """Whether another process has the file."""
    return isinstance(translate(error, ""), HistoryLocked)


def _remove(path: str) -> None:
    for suffix in ("-wal", "-shm", "-journal", ""):
        with suppress(OSError):
            Path(path + suffix).unlink()
