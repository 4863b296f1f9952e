"""Where a store can be: a file, or a schema of a real PostgreSQL server. Tests of the metrics source run on both."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg

from concertmaster.history import Address, Store, open_server


class Place(Protocol):
    """One place, empty at first."""

    def open(self) -> Store:
        """The metrics source there, opened anew."""

    def raw(self, statement: str) -> list[tuple[Any, ...]]:
        """One statement beside the metrics source, and its rows."""


@dataclass(frozen=True)
class File:
    """A SQLite file."""

    path: Path

    def open(self) -> Store:
        return Store(str(self.path))

    def raw(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as db, db:
            return db.execute(statement).fetchall()


@dataclass(frozen=True)
class Schema:
    """A schema of a PostgreSQL server; ``password_file`` as the operator's settings name it."""

    address: Address

    @classmethod
    def fresh(cls, url: str, password_file: Path) -> Schema:
        return cls(Address(url, f"test_{secrets.token_hex(6)}", str(password_file)))

    def open(self) -> Store:
        return open_server(self.address)

    def raw(self, statement: str) -> list[tuple[Any, ...]]:
        password = Path(self.address.password_file or "").read_text()
        with psycopg.connect(
            self.address.url, password=password, options=f"-c search_path={self.address.schema}"
        ) as db:
            found = db.execute(statement)  # type: ignore[arg-type] # the tests' own text
            return found.fetchall() if found.description else []
