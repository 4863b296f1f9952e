"""Partitions of a table by the numbers of one column: which there are, and how they are made and dropped.

The name of each ends with the first number that is no longer in it, in a unit of the table's own: ``pods_until_2970``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence

from concertmaster.history.errors import HistoryLocked
from concertmaster.history.sql import Connection, Transaction

log = logging.getLogger(__name__)
_LOCK_TIMEOUT_MS = 300  # for each table: less than ``deadlock_timeout`` (1 s), so that others never give up
_SHORT_LOCK_TIMEOUT = f"SET LOCAL lock_timeout TO '{_LOCK_TIMEOUT_MS}ms'"
_NAMES = """SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = to_regclass(?) ORDER BY relname"""
_NAME = re.compile("until_(-?[0-9]+)")


def partitions(db: Connection, table: str) -> dict[str, int]:
    """Partitions of a table by name, each with the first number that is no longer in it. Without those that a person
    attached under names of their own."""
    names = [str(name) for (name,) in db.execute(_NAMES, (table,))]
    found = {name: _NAME.fullmatch(name.removeprefix(f"{table}_")) for name in names}
    return {name: int(of_name[1]) for name, of_name in found.items() if of_name is not None}


def partition(table: str, end: int) -> str:
    """The name of the partition that ends before ``end``."""
    return f"{table}_until_{end}"


def wait_briefly(db: Connection) -> None:
    """Inside a transaction: give up soon where another session has a lock. Others queue behind the one that waits."""
    db.execute(_SHORT_LOCK_TIMEOUT)


def one_at_a_time(db: Connection, what: str) -> None:
    """Inside a transaction: other shards that make or drop partitions of ``what`` wait until its end."""
    db.execute("SELECT pg_advisory_xact_lock(hashtextextended(? || ' of ' || current_schema(), 0))", (what,))


def make(db: Connection, table: str, end: int, values: tuple[int, int], *, key: str = "", settings: str = "") -> None:
    """Make the partition that ends before ``end``, of ``values`` from the first up to the second; ``key``: its primary key
    where the table has none, ``settings``: of its storage. It is attached to the table, whose rows can be read and written
    meanwhile; one that is created as a part of it locks them out. Only new workflows wait."""
    name = f'"{partition(table, end)}"'
    own_key = f", PRIMARY KEY ({key})" if key else ""
    db.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL{own_key}) {settings}")
    db.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({values[0]}) TO ({values[1]})")


def drop(
    db: Connection, transaction: Transaction, what: str, tables: Sequence[str], names: Callable[[], Iterable[str]]
) -> bool:
    """Drop the partitions ``names`` of these tables, which is called when nobody else can read or write them. False where
    another session has them: the caller tries again later."""
    try:
        with transaction():
            one_at_a_time(db, what)
            wait_briefly(db)
            for table in tables:
                db.execute(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
            for name in names():
                db.execute(f'DROP TABLE IF EXISTS "{name}"')
    except HistoryLocked:
        log.info(
            "history: %s that are too old could not be dropped: another session uses their tables; trying again",
            what,
        )
        return False
    return True
