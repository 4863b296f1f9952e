"""Partitions of a table by the numbers of one column: which there are, and how one is made and dropped.

The name of each ends with the first number that is no longer in it, in a unit of the table's own: ``pods_until_2960``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from concertmaster.history.sql import Connection

UNTIL = "_until_"
_NAMES = """SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = to_regclass(?) ORDER BY relname"""


def partitions(db: Connection, table: str) -> dict[str, int]:
    """Partitions of a table by name, each with the first number that is no longer in it."""
    return {str(name): int(name.rpartition("_")[2]) for (name,) in db.execute(_NAMES, (table,))}


def one_at_a_time(db: Connection, what: str) -> None:
    """Inside a transaction: other shards that make or drop partitions of ``what`` wait until its end."""
    db.execute("SELECT pg_advisory_xact_lock(hashtextextended(? || ' of ' || current_schema(), 0))", (what,))


def make(db: Connection, table: str, end: int, values: tuple[int, int], *, key: str = "", settings: str = "") -> None:
    """Make the partition that ends before ``end``, of ``values`` from the first up to the second; ``key``: its primary key
    where the table has none, ``settings``: of its storage. It is attached to the table, which can be read and written
    meanwhile; where it is made as a part of it, it cannot."""
    name = f'"{table}{UNTIL}{end}"'
    alone = f", PRIMARY KEY ({key})" if key else ""
    db.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL{alone}) {settings}")
    db.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({values[0]}) TO ({values[1]})")


def lock_all(db: Connection, tables: Sequence[str], milliseconds: int) -> None:
    """Inside a transaction: keep all others from these tables, to drop partitions of them. Others queue behind this one
    while it waits, so it soon gives up; the caller tries again later. ``tables``: in the order in which those who read and
    write come to them, so that no two wait for each other."""
    db.execute(f"SET LOCAL lock_timeout TO '{milliseconds}ms'")
    for table in tables:
        db.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


def drop(db: Connection, names: Iterable[str]) -> None:
    """Drop these partitions, of tables that are locked."""
    for name in names:
        db.execute(f'DROP TABLE IF EXISTS "{name}"')
