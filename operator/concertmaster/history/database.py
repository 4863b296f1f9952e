"""The open database under the store: the journal of pending writes, and how far metrics were read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Self

from concertmaster.history.daily.tables import DailyTables
from concertmaster.history.errors import HistoryReadOnly
from concertmaster.history.sql import Connection, DatabaseEngine
from concertmaster.history.sqlite import SqliteEngine


class Database:
    """One database. Safe to use from several threads of one process."""

    def __init__(self, place: str | DatabaseEngine, *, copy: bool = False) -> None:
        """Open the file ``place`` (":memory:" for none), creating or rebuilding it, or use an open database.
        ``recovered`` is a sentence for people when a damaged file was set aside, or a copy lacks something. Raises
        HistoryError and its kinds.

        ``copy``: work in memory on what the file holds, while its place cannot be written. Facts can be read again from
        the metrics, so that they are accepted; the journal cannot, and refuses writes.
        """
        self._engine: DatabaseEngine = SqliteEngine(place, copy=copy) if isinstance(place, str) else place
        self.path = self._engine.place
        self.recovered = self._engine.recovered
        self.daily = DailyTables(self._engine)

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
        """Store ``body`` under ``key`` at ``at`` (unix seconds); it is on the disk when this returns."""
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

    def prune_journal(self, prefix: str, before: float) -> None:
        """Forget the entries whose key begins with ``prefix`` that were written before that (unix seconds)."""
        self._must_last()
        with self._transaction():
            self._db.execute("DELETE FROM journal WHERE key >= ? AND key < ? AND at < ?", (*_bounds(prefix), before))

    def journal(self, prefix: str = "") -> dict[str, str]:
        """The journal's entries whose key begins with ``prefix``, oldest first."""
        bounds = _bounds(prefix) if prefix else ()
        within = " WHERE key >= ? AND key < ?" if prefix else ""
        with self._engine.reading():
            rows = self._db.execute(f"SELECT key, body FROM journal{within} ORDER BY at, key", bounds).fetchall()
        return {str(key): str(body) for key, body in rows}

    # --- watermarks

    def set_watermark(self, source: str, shard: str, until: float) -> None:
        """Facts of this source and shard are complete up to ``until`` (unix seconds)."""
        self.set_watermarks(source, {shard: until})

    def set_watermarks(self, source: str, until: Mapping[str, float]) -> None:
        """The same for many shards at once."""
        if until:
            query = (
                "INSERT INTO watermarks VALUES (?, ?, ?)"
                " ON CONFLICT (source, shard) DO UPDATE SET until = excluded.until"
            )
            with self._transaction():
                self._db.executemany(query, [(source, shard, moment) for shard, moment in until.items()])

    def watermark(self, source: str, shard: str) -> float | None:
        """Up to when facts of this source and shard are complete (unix seconds); None when nothing was read yet."""
        with self._engine.reading():
            query = "SELECT until FROM watermarks WHERE source = ? AND shard = ?"
            row = self._db.execute(query, (source, shard)).fetchone()
            return None if row is None else float(row[0])

    def watermarks(self, source: str) -> dict[str, float]:
        """All watermarks of a source, by shard."""
        with self._engine.reading():
            rows = self._db.execute("SELECT shard, until FROM watermarks WHERE source = ?", (source,))
            return {str(shard): float(until) for shard, until in rows}

    def watermark_sources(self) -> list[str]:
        """Sources with watermarks, in a fixed order."""
        with self._engine.reading():
            return [str(name) for (name,) in self._db.execute("SELECT DISTINCT source FROM watermarks ORDER BY source")]

    def drop_watermarks(self, source: str, shards: Iterable[str]) -> None:
        """Forget how far these shards of a source were read."""
        if rows := [(source, shard) for shard in shards]:
            with self._transaction():
                self._db.executemany("DELETE FROM watermarks WHERE source = ? AND shard = ?", rows)

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


def _bounds(prefix: str) -> tuple[str, str]:
    """The first key that begins with ``prefix``, and the first after all of these, in any encoding of a database: prefixes
    end with a slash, a digit or a letter."""
    return prefix, f"{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}"
