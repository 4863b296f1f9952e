"""The rows of some runs of a workflow: from the database, or as far as they are unchanged from a copy of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from concertmaster.history import rows
from concertmaster.history.runs.row_cache import RowCache
from concertmaster.history.sql import Connection, RunRow

MAX_UNCACHED_RUNS = 3  # runs of which a second round trip costs more than their bytes


class DatabaseRows:
    """See ``sql.RowsOfRuns``."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def of(self, table: str, number: int, names: Sequence[str]) -> Iterator[RunRow]:
        """See ``sql.RowsOfRuns``."""
        yield from self._db.execute(_query(table, "body", names), (number, *names))


class CachedRows:
    """See ``sql.RowsOfRuns``. The server says which bytes each row has, by their SHA-256, and sends those the cache lacks:
    what another shard wrote meanwhile is never missed, and a cache that is old, damaged or of another database is at worst
    of no use."""

    def __init__(self, db: Connection, cache: RowCache) -> None:
        self._db = db
        self._cache = cache
        self._direct = DatabaseRows(db)

    def of(self, table: str, number: int, names: Sequence[str]) -> Iterator[RunRow]:
        """See ``sql.RowsOfRuns``."""
        if len(names) <= MAX_UNCACHED_RUNS:
            yield from self._direct.of(table, number, names)
            return
        known = {sha256(body).digest(): body for body in self._cache.bodies(table, number, names)}
        lacking = list(names)
        if known:
            found = self._db.execute(_query(table, "sha256(body)", names), (number, *names)).fetchall()
            changed = {run for run, _, digest in found if digest not in known}
            yield from ((run, ended, known[digest]) for run, ended, digest in found if run not in changed)
            lacking = sorted(changed)
        if lacking:
            fetched = list(self._direct.of(table, number, lacking))
            self._cache.keep(table, number, [(run, body) for run, _, body in fetched])
            yield from fetched


def _query(table: str, what: str, names: Sequence[str]) -> str:
    return f"SELECT run, ended, {what} FROM {table} WHERE workflow = ? AND run IN ({rows.marks(names)})"
