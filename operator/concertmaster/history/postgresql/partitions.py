"""Daily rows in PostgreSQL: a partition for every four weeks, dropped as a whole when its last day is too old.

A name of a partition ends with the first day that is no longer in it. The rows of versions that did not partition are one
partition, "before" that day; as long as it is there, what is too old is deleted from it row by row.
"""

from __future__ import annotations

from collections.abc import Collection

from concertmaster.history.rows import delete_days
from concertmaster.history.sql import DAILY, Connection, Transaction

DAYS = 28
"""Days of a partition: a row stays as much longer than it must at most."""

_UNTIL, _BEFORE = "_until_", "_before_"
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('daily rows of ' || current_schema(), 0))"
_NAMES = """SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = to_regclass(?) ORDER BY relname"""


class DailyPartitions:
    """See ``sql.DailyRetention``. Shards make and drop partitions one after the other."""

    def __init__(self, db: Connection, transaction: Transaction, reading: Transaction) -> None:
        self._db = db
        self._transaction = transaction
        self._reading = reading
        self._there: set[int] = set()  # ends of partitions that were found or made

    def look_again(self) -> None:
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
                self._db.execute(_ALONE)
                for table in DAILY:
                    for end in self._missing(table, ends):
                        self._make(table, end)
        self._there |= ends

    def drop_before(self, day: int) -> None:
        """See ``sql.DailyRetention``."""
        self.look_again()
        with self._reading():
            names = {name: end for table in DAILY for name, end in self._names(table).items()}
        if due := [name for name, end in names.items() if end <= day]:
            with self._transaction():
                # others queue behind this one while it waits; it is tried again the next time
                self._db.execute("SET LOCAL lock_timeout TO '1s'")
                self._db.execute(_ALONE)
                # in the order in which those who read and write come to them, so that no two wait for each other
                for table in ("workflows", *DAILY):
                    self._db.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                for name in due:
                    self._db.execute(f'DROP TABLE IF EXISTS "{name}"')
        after: int | None = 0
        earlier = [f'"{name}"' for name, end in names.items() if _BEFORE in name and end > day]
        while earlier and after is not None:
            with self._transaction():
                after = delete_days(self._db, earlier, day, after)

    def _make(self, table: str, end: int) -> None:
        """Attached to the table, which can be read and written meanwhile; where it is made as a part of it, it cannot."""
        name = f'"{table}{_UNTIL}{end}"'
        self._db.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
        self._db.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({end - DAYS}) TO ({end})")

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
        DECLARE
            bound bigint := (SELECT max(day) / {DAYS} * {DAYS} + {DAYS} FROM {earlier});
            name text := quote_ident('{table}{_BEFORE}' || bound);
        BEGIN
            IF bound IS NULL THEN
                DROP TABLE {earlier};
            ELSE
                EXECUTE 'ALTER TABLE {earlier} RENAME TO ' || name;
                EXECUTE 'ALTER TABLE {table} ATTACH PARTITION ' || name
                    || ' FOR VALUES FROM (MINVALUE) TO (' || bound || ')';
            END IF;
        END $$"""


def _end(day: int) -> int:
    """The first day after the four weeks of ``day``."""
    return (day // DAYS + 1) * DAYS
