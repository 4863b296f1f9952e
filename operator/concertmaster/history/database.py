"""The open file under the store: transactions, faults in our own words, and the journal of what is about to be written."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from concertmaster.history.daily import DailyTables
from concertmaster.history.errors import HistoryReadOnly, translate, translated
from concertmaster.history.schema import open_copy, open_database


class Database:
    """One file. Safe to use from several threads of one process."""

    def __init__(self, path: str, *, copy: bool = False) -> None:
        """Open ``path`` (":memory:" for none), creating or rebuilding it. ``recovered`` is a sentence for people when a
        damaged file was set aside, or a copy lacks something. Raises HistoryError and its kinds.

        ``copy``: work in memory on what the file holds, while its place cannot be written. Facts can be read anew from the
        metrics and are taken; the journal cannot, and refuses to be written.
        """
        self.path = path
        self._copy = copy
        self._lock = threading.RLock()
        self._db, self.recovered = open_copy(path) if copy else open_database(path)
        self._lost: list[str] = []  # rows whose bytes could not be read
        self.daily = DailyTables(self._db, self._transaction, self._reading)

    def close(self) -> None:
        """Close the file; further calls fail."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- the journal

    def write_journal(self, key: str, body: str, at: float) -> None:
        """Keep ``body`` under ``key`` at ``at`` (unix seconds), on the disk before this returns."""
        self._must_last()
        with self._lock, translated(self.path):
            self._db.execute("PRAGMA synchronous = FULL")  # what is lost with the power could never be rolled back
            try:
                with self._transaction():
                    self._db.execute("INSERT OR REPLACE INTO journal VALUES (?, ?, ?)", (key, body, at))
            finally:
                self._db.execute("PRAGMA synchronous = NORMAL")

    def drop_journal(self, key: str) -> None:
        """Forget an entry of the journal."""
        self._must_last()
        with self._transaction():
            self._db.execute("DELETE FROM journal WHERE key = ?", (key,))

    def journal(self, prefix: str = "") -> dict[str, str]:
        """The journal's entries whose key begins with ``prefix``, oldest first."""
        with self._lock, translated(self.path):
            rows = self._db.execute("SELECT key, body FROM journal ORDER BY at, key").fetchall()
        return {str(key): str(body) for key, body in rows if str(key).startswith(prefix)}

    # --- inside

    def _must_last(self) -> None:
        if self._copy:
            raise HistoryReadOnly(
                f"history {self.path} cannot be written: what must outlast this process is not begun."
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise translate(error, self.path) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, translated(self.path):
            yield

    def _shrink(self) -> None:
        with self._lock, translated(self.path):
            self._db.execute("PRAGMA incremental_vacuum").fetchall()
