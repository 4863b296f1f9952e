"""Daily rows in PostgreSQL: a partition for every four weeks, dropped as a whole when its last day is too old.

A name of a partition ends with the first day that is no longer in it. The rows of versions that did not partition are one
partition, "before" that day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from concertmaster.history.sql import Connection, Transaction

DAYS = 28
"""Days of a partition: a row stays as much longer than it must at most."""

_TABLES = ("daily_metrics", "daily")  # in the order in which they are read
_UNTIL, _BEFORE = "_until_", "_before_"
_LOCK = 0x434D4832  # "CMH2": shards make and drop partitions one after the other
_NAMES = """SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = to_regclass(?) ORDER BY relname"""


class DailyPartitions:
    """See ``sql.DailyRetention``."""

    def __init__(self, db: Connection, transaction: Transaction, reading: Transaction) -> None:
        self._db = db
        self._transaction = transaction
        self._reading = reading
        self._there: set[int] = set()  # ends of partitions that were found or made since drop_before

    def prepare(self, days: Collection[int]) -> None:
        """See ``sql.DailyRetention``."""
        ends = {_end(day) for day in days} - self._there
        if not ends:
            return
        with self._reading():
            lacking = any(self._missing(table, ends) for table in _TABLES)
        if lacking:
            with self._alone("SHARE ROW EXCLUSIVE"):
                for table in _TABLES:
                    for end in self._missing(table, ends):
                        of = f"PARTITION OF {table} FOR VALUES FROM ({end - DAYS}) TO ({end})"
                        self._db.execute(f'CREATE TABLE "{table}{_UNTIL}{end}" {of}')
        self._there |= ends

    def drop_before(self, day: int) -> None:
        """See ``sql.DailyRetention``."""
        self._there.clear()  # other shards drop as well
        with self._reading():
            due = [name for table in _TABLES for name, end in self._names(table).items() if end <= day]
        if not due:
            return
        with self._alone("ACCESS EXCLUSIVE"):
            for name in due:
                self._db.execute(f'DROP TABLE IF EXISTS "{name}"')

    @contextmanager
    def _alone(self, mode: str) -> Iterator[None]:
        """A transaction in which no other one makes or drops partitions; ``mode``: the lock of the table that they refer to.
        Locks are taken in the order in which those who read and write come to the tables, each at once as strong as it
        will be needed, so that no two wait for each other."""
        with self._transaction():
            self._db.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
            self._db.execute(f"LOCK TABLE workflows IN {mode} MODE")
            self._db.execute(f"LOCK TABLE {', '.join(_TABLES)} IN ACCESS EXCLUSIVE MODE")
            yield

    def _missing(self, table: str, ends: Collection[int]) -> list[int]:
        """Those of ``ends`` of which the weeks are in no partition."""
        names = self._names(table)
        earlier = max((end for name, end in names.items() if _BEFORE in name), default=min(ends) - 1)
        return sorted(end for end in set(ends) - set(names.values()) if end > earlier)

    def _names(self, table: str) -> dict[str, int]:
        """Partitions of a table, each with the first day that is no longer in it."""
        return {str(name): int(name.rpartition("_")[2]) for (name,) in self._db.execute(_NAMES, (table,))}


def taken_over(table: str, earlier: str) -> str:
    """The statement that makes ``earlier`` the first partition of ``table``, to the end of its last four weeks, or drops it
    where it is empty."""
    return f"""DO $$
        DECLARE bound bigint := (SELECT max(day) / {DAYS} * {DAYS} + {DAYS} FROM {earlier});
        BEGIN
            IF bound IS NULL THEN
                DROP TABLE {earlier};
            ELSE
                EXECUTE 'ALTER TABLE {earlier} RENAME TO {table}{_BEFORE}' || bound;
                EXECUTE 'ALTER TABLE {table} ATTACH PARTITION {table}{_BEFORE}' || bound
                    || ' FOR VALUES FROM (MINVALUE) TO (' || bound || ')';
            END IF;
        END $$"""


def _end(day: int) -> int:
    """The first day after the four weeks of ``day``."""
    return (day // DAYS + 1) * DAYS
