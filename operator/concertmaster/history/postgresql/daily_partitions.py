"""Daily rows in PostgreSQL: a partition for every four weeks, dropped as a whole when its last day is too old.

A name of a partition ends with the first day that is no longer in it.
"""

from __future__ import annotations

from collections.abc import Collection

from concertmaster.history.postgresql.partitions import drop, make, one_at_a_time, partitions
from concertmaster.history.sql import DAILY, Connection, Transaction

DAYS = 28
"""Days of a partition: a row stays as much longer than it must at most."""

_WHAT = "daily rows"


class DailyPartitions:
    """See ``sql.DailyRetention``. Shards make and drop partitions one after the other."""

    def __init__(self, db: Connection, transaction: Transaction, reading: Transaction) -> None:
        self._db = db
        self._transaction = transaction
        self._reading = reading
        self._there: set[int] = set()  # ends of partitions that were found or made

    def forget(self) -> None:
        """What was found may be gone: another shard drops as well, and a standby that takes over may lack the newest."""
        self._there.clear()

    def prepare(self, days: Collection[int]) -> None:
        """See ``sql.DailyRetention``."""
        ends = {_end(day) for day in days} - self._there
        if not ends:
            return
        with self._reading():
            lacking = any(self._missing(table, ends) for table in DAILY)
        if lacking:
            with self._transaction():
                one_at_a_time(self._db, _WHAT)
                for table in DAILY:
                    for end in self._missing(table, ends):
                        make(self._db, table, end, (end - DAYS, end))
        self._there |= ends

    def drop_before(self, day: int) -> bool:
        """See ``sql.DailyRetention``."""
        self.forget()
        with self._reading():
            names = {name: end for table in DAILY for name, end in partitions(self._db, table).items()}
        due = [name for name, end in names.items() if end <= day]
        return not due or drop(self._db, self._transaction, _WHAT, ("workflows", *DAILY), lambda: due)

    def _missing(self, table: str, ends: Collection[int]) -> list[int]:
        """Those of ``ends`` of which the weeks are in no partition."""
        return sorted(set(ends) - set(partitions(self._db, table).values()))


def _end(day: int) -> int:
    """The first day after the four weeks of ``day``."""
    return (day // DAYS + 1) * DAYS
