"""Errors of the history, each with its meaning and what to do.

SQLite's own messages ("database or disk is full") do not say which file, nor that nothing was lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

_DAMAGED = (
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
    "SQLITE_IOERR_READ",
    "SQLITE_IOERR_SHORT_READ",
    "SQLITE_IOERR_DATA",
    "SQLITE_IOERR_CORRUPTFS",
)
"""What is wrong with the content of the file. Other faults of input and output (locks, the index of the log, memory) are of
its place: a sound file would be set aside for them."""
_FULL = (
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_TRUNCATE",
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_SHMSIZE",
    "SQLITE_TOOBIG",
)


class HistoryError(Exception):
    """The history could not be read or written. The message says what, where and what to do."""


class HistoryFull(HistoryError):
    """No room for the write; it was rolled back as a whole and is repeated from the metrics next time."""


class HistoryReadOnly(HistoryError):
    """The file or its directory cannot be written."""


class HistoryLocked(HistoryError):
    """Another process holds the file."""


class HistoryUnavailable(HistoryError):
    """The database server cannot be reached or does not answer in time."""


class HistoryDamaged(HistoryError):
    """The file became unreadable while in use; reopening sets it aside and starts a new one."""


def translate(error: sqlite3.Error, path: str) -> HistoryError:
    """The error of this module for ``error`` of SQLite."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(_DAMAGED):
        return HistoryDamaged(f"history {path} is damaged ({error}). It is set aside and rebuilt at the next start.")
    if name.startswith(_FULL):
        return HistoryFull(
            f"history {path} has no space left to write ({error}). Nothing was lost: the write is repeated from the metrics "
            "once there is space. Enlarge the volume of historyPath, or lower maxRuns or the window; if it has space, check "
            "whether it has become read-only."
        )
    if name.startswith("SQLITE_CANTOPEN") and Path(path).is_dir():
        return HistoryReadOnly(
            f"history {path} is a directory. Remove it, or name a file in historyPath; a volume mounted with a subPath that "
            "does not exist yet becomes a directory."
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH", "SQLITE_IOERR")):
        return HistoryReadOnly(
            f"history {path} cannot be opened for writing ({error}). Check that the directory exists and that the "
            "operator's user may write there, or set historyPath to another place."
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return HistoryLocked(
            f"history {path} is held by another process ({error}). Only one operator may use it: stop the other one, or "
            "give each its own historyPath."
        )
    return HistoryError(f"history {path} failed: {error} ({name or type(error).__name__})")


def check_version(place: str, have: int, known: Collection[int], away: str) -> None:
    """Raise HistoryError where the schema of a history, 0 for none yet, is not one of those ``known`` here. ``away``: how to
    begin anew."""
    if have in (0, *known):
        return
    age, bound = ("a newer", f"up to {max(known)}") if have > max(known) else ("an older", f"from {min(known)} on")
    raise HistoryError(
        f"history {place} was written by {age} version (schema {have}, known {bound}). Run that version again, or {away} to "
        "begin anew."
    )


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Raise this module's errors for SQLite's."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error
