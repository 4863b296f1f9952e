"""Locations of a history store: a file, or a schema of a real PostgreSQL server. Tests of the store run on both."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg

from concertmaster.core.units import WEEK
from concertmaster.history import CacheFile, DatabaseAddress, Store, open_server


class Place(Protocol):
    """One location, initially empty. ``stays``: seconds for which runs may stay longer than they must."""

    stays: float

    def open(self) -> Store:
        """Open the store there."""

    def raw(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute one statement directly in the database; returns its rows."""


@dataclass(frozen=True)
class File:
    """A SQLite file."""

    path: Path
    stays = 0.0

    def open(self) -> Store:
        return Store(str(self.path))

    def raw(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as db, db:
            return db.execute(statement).fetchall()


@dataclass(frozen=True)
class Schema:
    """A schema of a PostgreSQL server; ``password_file`` as in the operator's settings."""

    address: DatabaseAddress
    clock: Callable[[], float] = time.time
    stays = 3 * WEEK

    @classmethod
    def fresh(cls, url: str, password_file: Path, cache: Path | None = None) -> Schema:
        copies = CacheFile(str(cache), 2**20) if cache is not None else None
        return cls(DatabaseAddress(url, f"test_{secrets.token_hex(6)}", str(password_file), copies))

    def open(self) -> Store:
        return open_server(self.address, clock=self.clock)

    def connect(self) -> psycopg.Connection:
        """A session of its own, whose transaction is committed where it is left."""
        password = Path(self.address.password_file or "").read_text()
        return psycopg.connect(self.address.url, password=password, options=f"-c search_path={self.address.schema}")

    def raw(self, statement: str) -> list[tuple[Any, ...]]:
        with self.connect() as db:
            found = db.execute(statement)  # type: ignore[arg-type] # the tests' own text
            return found.fetchall() if found.description else []

    def partitions(self, table: str) -> list[str]:
        """The names of the partitions of a table."""
        query = "SELECT relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = '{}'::regclass"
        return sorted(name for (name,) in self.raw(query.format(table)))
