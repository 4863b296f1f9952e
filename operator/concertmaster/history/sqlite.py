"""SQLite under the store: one file, one connection, errors of this package."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from concertmaster.core.units import MIB
from concertmaster.history.errors import HistoryFull, HistoryLocked, translate, translated
from concertmaster.history.runs.row_sources import DatabaseRows
from concertmaster.history.schema import give_back, open_copy, open_database, together
from concertmaster.history.sql import ANYWHERE, DAILY, RunPlaces, Transaction

_BATCH_WORKFLOWS = 100  # of which old daily rows are deleted in one transaction
_ROOM = 64 * MIB  # as much as the log may take


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
                after = self._drop_some(day, after)
        return True

    def _drop_some(self, day: int, after: int) -> int | None:
        """Delete those of some workflows, which follow the number ``after``. The last of their numbers, None when none are
        left. By the key, which begins with workflow and step: only by day all rows would be read, or an index by day would
        have to be kept."""
        query = "SELECT id FROM workflows WHERE id > ? ORDER BY id LIMIT ?"
        numbers = [number for (number,) in self._db.execute(query, (after, _BATCH_WORKFLOWS))]
        if not numbers:
            return None
        query = "SELECT workflow, step FROM step_names WHERE workflow BETWEEN ? AND ?"
        steps = [*((number, 0) for number in numbers), *self._db.execute(query, (numbers[0], numbers[-1]))]
        for table in DAILY:
            old = f"DELETE FROM {table} WHERE workflow = ? AND step = ? AND day < ?"
            self._db.executemany(old, [(number, step, day) for number, step in steps])
        return int(numbers[-1])


class RowsOneByOne:
    """See ``sql.RunRetention``."""

    def prepare(self) -> RunPlaces:
        """See ``sql.RunRetention``."""
        return ANYWHERE

    def drop_before(self, namespaces: Collection[str], moment: float) -> float:
        """See ``sql.RunRetention``. The caller deletes all of it."""
        return moment


class SqliteEngine:
    """See ``sql.DatabaseEngine``."""

    def __init__(self, path: str, *, copy: bool = False) -> None:
        """Open ``path`` (":memory:" for none), creating or rebuilding it; ``copy`` works in memory on what it holds."""
        self.place = path
        self.lasting = not copy
        self._lock = threading.RLock()
        self.db, self.recovered = open_copy(path) if copy else open_database(path)
        self._page: int = self.db.execute("PRAGMA page_size").fetchone()[0]
        self.daily = RowsOfDays(self.db, self.transaction)
        self.run_retention = RowsOneByOne()
        self.runs = DatabaseRows(self.db)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """See ``sql.DatabaseEngine``."""
        with self._lock:
            try:
                if durable:  # an entry lost in a power failure could never be rolled back
                    self.db.execute("PRAGMA synchronous = FULL")
                if self.lasting:  # a copy is in memory
                    self._leave_room(0 if durable else _ROOM)
                try:
                    with together(self.db):
                        yield
                finally:
                    if durable:
                        self.db.execute("PRAGMA synchronous = NORMAL")
            except sqlite3.Error as error:
                fault = translate(error, self.place)
                if isinstance(fault, HistoryFull):  # the log holds what was given up as well
                    with suppress(sqlite3.Error):
                        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                raise fault from error

    def _leave_room(self, room: int) -> None:
        """Let the file grow until ``room`` bytes of its disk are left, or a quarter of a small one. On a disk that is full
        to the last byte nothing can be deleted: a deletion is written to the log first, and the log cannot be emptied into
        a file that cannot grow."""
        try:
            disk, size = os.statvfs(self.place), Path(self.place).stat().st_size
        except OSError:
            return  # in memory; or the write itself meets it
        spare = disk.f_bavail * disk.f_frsize - min(room, disk.f_blocks * disk.f_frsize // 4)
        # SQLite takes no bound below what there is.
        self.db.execute(f"PRAGMA max_page_count = {max(1, (size + spare) // self._page)}")

    def claim(self, names: Iterable[str]) -> None:
        """See ``sql.DatabaseEngine``. A transaction has the file to itself."""

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See ``sql.DatabaseEngine``."""
        with self._lock, translated(self.place):
            yield

    def shrink(self) -> None:
        """See ``sql.DatabaseEngine``. Without room, or beside another process, later: what was deleted is deleted."""
        with suppress(HistoryFull, HistoryLocked), self.reading():
            give_back(self.db)

    def check(self) -> None:
        """See ``sql.DatabaseEngine``. A file fails where it is used."""

    def close(self) -> None:
        """See ``sql.DatabaseEngine``."""
        with self._lock:
            self.db.close()
