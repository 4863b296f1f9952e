"""SQLite under the store: one file, one connection, errors of this package."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

from concertmaster.history.errors import HistoryFull, HistoryLocked, translate, translated
from concertmaster.history.rows import delete_days
from concertmaster.history.runs.row_sources import DatabaseRows
from concertmaster.history.schema import give_back, open_copy, open_database, together
from concertmaster.history.sql import ANYWHERE, DAILY, RunPlaces, Transaction


class RowsOfDays:
    """See ``sql.DailyRetention``."""

    def __init__(self, db: sqlite3.Connection, transaction: Transaction) -> None:
        self._db = db
        self._transaction = transaction

    def prepare(self, days: Collection[int]) -> None:
        """See ``sql.DailyRetention``. Nothing to do."""

    def drop_before(self, day: int) -> bool:
        """See ``sql.DailyRetention``."""
        after: int | None = 0
        while after is not None:
            with self._transaction():
                after = delete_days(self._db, DAILY, day, after)
        return True


class RowsOneByOne:
    """See ``sql.RunRetention``."""

    def prepare(self) -> RunPlaces:
        """See ``sql.RunRetention``."""
        return ANYWHERE

    def drop_before(self, namespaces: Collection[str], moment: float) -> float:
        """See ``sql.RunRetention``. The caller deletes all of it."""
        return moment


class SqliteEngine:
    """See ``sql.Engine``."""

    def __init__(self, path: str, *, copy: bool = False) -> None:
        """Open ``path`` (":memory:" for none), creating or rebuilding it; ``copy`` works in memory on what it holds."""
        self.place = path
        self.lasting = not copy
        self._lock = threading.RLock()
        self.db, self.recovered = open_copy(path) if copy else open_database(path)
        self.daily = RowsOfDays(self.db, self.transaction)
        self.run_retention = RowsOneByOne()
        self.runs = DatabaseRows(self.db)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """See ``sql.Engine``."""
        with self._lock:
            try:
                if durable:  # an entry lost in a power failure could never be rolled back
                    self.db.execute("PRAGMA synchronous = FULL")
                try:
                    with together(self.db):
                        yield
                finally:
                    if durable:
                        self.db.execute("PRAGMA synchronous = NORMAL")
            except sqlite3.Error as error:
                raise translate(error, self.place) from error

    def claim(self, names: Iterable[str]) -> None:
        """See ``sql.Engine``. A transaction has the file to itself."""

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See ``sql.Engine``."""
        with self._lock, translated(self.place):
            yield

    def size(self) -> int:
        """See ``sql.Engine``."""
        one = self.db.execute
        return int(one("PRAGMA page_count").fetchone()[0] * one("PRAGMA page_size").fetchone()[0])

    def shrink(self) -> None:
        """See ``sql.Engine``. Without room, or beside another process, later: what was deleted is deleted."""
        with suppress(HistoryFull, HistoryLocked), self.reading():
            give_back(self.db)

    def check(self) -> None:
        """See ``sql.Engine``. A file fails where it is used."""

    def close(self) -> None:
        """See ``sql.Engine``."""
        with self._lock:
            self.db.close()
