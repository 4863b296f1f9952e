"""The open database under the store, and the journal of what is about to be written."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Self

from concertmaster.history.daily import DailyTables
from concertmaster.history.errors import HistoryReadOnly
from concertmaster.history.sql import Connection, Engine
from concertmaster.history.sqlite import SqliteEngine


class Database:
    """One database. Safe to use from several threads of one process."""

    def __init__(self, place: str | Engine, *, copy: bool = False) -> None:
        """Open the file ``place`` (":memory:" for none), creating or rebuilding it, or use an open database.
        ``recovered`` is a sentence for people when a damaged file was set aside, or a copy lacks something. Raises
        HistoryError and its kinds.

        ``copy``: work in memory on what the file holds, while its place cannot be written. Facts can be read anew from the
        metrics and are taken; the journal cannot, and refuses to be written.
        """
        self._engine: Engine = SqliteEngine(place, copy=copy) if isinstance(place, str) else place
        self.path = self._engine.place
        self.recovered = self._engine.recovered
        self._lost: list[str] = []  # rows whose bytes could not be read
        self.daily = DailyTables(lambda: self._db, self._transaction, self._engine.reading)

    def close(self) -> None:
        """Close it; further calls fail."""
        self._engine.close()

    def check(self) -> None:
        """Raise what would keep the next call from working."""
        self._engine.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- the journal

    def write_journal(self, key: str, body: str, at: float) -> None:
        """Keep ``body`` under ``key`` at ``at`` (unix seconds), on the disk before this returns."""
        self._must_last()
        with self._engine.transaction(durable=True):
            self._db.execute(
                "INSERT INTO journal VALUES (?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET body = excluded.body, at = excluded.at",
                (key, body, at),
            )

    def drop_journal(self, key: str) -> None:
        """Forget an entry of the journal."""
        self._must_last()
        with self._transaction():
            self._db.execute("DELETE FROM journal WHERE key = ?", (key,))

    def journal(self, prefix: str = "") -> dict[str, str]:
        """The journal's entries whose key begins with ``prefix``, oldest first."""
        with self._engine.reading():
            rows = self._db.execute("SELECT key, body FROM journal ORDER BY at, key").fetchall()
        return {str(key): str(body) for key, body in rows if str(key).startswith(prefix)}

    # --- inside

    @property
    def _db(self) -> Connection:
        return self._engine.db

    def _must_last(self) -> None:
        if not self._engine.lasting:
            raise HistoryReadOnly(
                f"history {self.path} cannot be written: what must outlast this process is not begun."
            )

    def _transaction(self) -> AbstractContextManager[None]:
        return self._engine.transaction()
