"""Why an archive could not be read, each with what to do."""

from __future__ import annotations

from concertmaster.postgresql.server import place_of


class ArchiveError(Exception):
    """The archive could not be read. The message says what, where and what to do."""


class StatementFailed(ArchiveError):
    """One statement failed although the archive can be read: because of the row that it asked for, as a rule."""


class NoDriver(ArchiveError):
    """The PostgreSQL driver is not installed."""

    def __init__(self, url: str, reason: object) -> None:
        super().__init__(
            f"the workflow archive {place_of(url)} needs the PostgreSQL driver: pip install 'concertmaster[postgresql]' "
            f"({reason})"
        )
