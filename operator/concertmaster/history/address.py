"""Where a history on a database server is."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.postgresql.server import place_of


@dataclass(frozen=True, slots=True)
class CacheFile:
    """A file in which a process keeps copies of the rows it read, of at most about ``most`` bytes."""

    path: str
    most: float


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where the database is. ``url`` holds no password: libpq takes it from PGPASSWORD, or it stands in
    ``password_file``, which is read for each connection. ``cache``: None for none."""

    url: str
    schema: str = "concertmaster"
    password_file: str | None = None
    cache: CacheFile | None = None

    def __str__(self) -> str:
        """Without user and parameters."""
        return place_of(self.url)
