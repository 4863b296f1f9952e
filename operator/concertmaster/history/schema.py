"""The history file itself: opening it, its tables and their migrations, and what happens when it is damaged.

A damaged history is no reason to stop: it holds nothing that the metrics (two weeks) or the next runs cannot give
again. It is set aside under a name of its own, so that a person can examine it, and a new one is begun.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from concertmaster.core.units import MIB
from concertmaster.history.errors import (
    HistoryDamaged,
    HistoryError,
    HistoryReadOnly,
    check_version,
    translate,
)

APPLICATION_ID = 0x434D4831  # "CMH1", so that another program's database is not taken for ours
_BUSY_SECONDS = 5.0
_LOG_BYTES = 64 * MIB  # that the write-ahead log keeps on the disk: on a full one, deleting takes room there first
_MAX_COPY_BYTES = 256 * MIB  # bytes: the chart's memory limit is twice that

# Statements by the version of the schema that they lead to; what was released is never changed. Version 8 is the first.
# Daily rows and what goes with them are kept for 400 days when the runs are pruned: milliseconds, millionths of a currency
# unit, days since 1970.
MIGRATIONS: dict[int, Sequence[str]] = {
    8: (
        """CREATE TABLE workflows (
            id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
            UNIQUE (namespace, kind, name))""",
        # Executions of a run, in columns, and by uid the row in which each is.
        """CREATE TABLE executions (
            place INTEGER PRIMARY KEY, workflow INTEGER NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            run TEXT NOT NULL, begun REAL, ended REAL, pods INTEGER NOT NULL, body BLOB NOT NULL)""",
        "CREATE INDEX executions_by_run ON executions (workflow, run, ended)",
        "CREATE INDEX executions_by_end ON executions (ended)",
        "CREATE TABLE pods (uid BLOB PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID",
        """CREATE TABLE records (
            workflow INTEGER NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            run TEXT NOT NULL, ended REAL, body BLOB NOT NULL, PRIMARY KEY (workflow, run)) WITHOUT ROWID""",
        """CREATE TABLE watermarks (
            source TEXT NOT NULL, shard TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (source, shard)) WITHOUT ROWID""",
        """CREATE TABLE fingerprints (
            workflow INTEGER NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            fingerprint TEXT NOT NULL, first_seen REAL NOT NULL, last_seen REAL NOT NULL,
            PRIMARY KEY (workflow, first_seen)) WITHOUT ROWID""",
        # Pending writes to the cluster, kept until their outcome is known.
        "CREATE TABLE journal (key TEXT PRIMARY KEY, body TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID",
        # Results of users' queries for a run, beyond the retention of the metrics. Step "" is the run as a whole.
        """CREATE TABLE amounts (
            workflow INTEGER NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            run TEXT NOT NULL, metric TEXT NOT NULL, step TEXT NOT NULL, value REAL NOT NULL,
            PRIMARY KEY (workflow, run, metric, step)) WITHOUT ROWID""",
        """CREATE TABLE step_names (
            workflow INTEGER NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            step INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (workflow, step)) WITHOUT ROWID""",
        """CREATE TABLE daily (
            workflow INTEGER NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            step INTEGER NOT NULL, day INTEGER NOT NULL, count INTEGER NOT NULL, succeeded INTEGER NOT NULL,
            failed INTEGER NOT NULL, timed INTEGER NOT NULL, seconds INTEGER, p50 INTEGER, p95 INTEGER, cost INTEGER,
            wasted INTEGER, queue INTEGER, score INTEGER, until REAL NOT NULL,
            PRIMARY KEY (workflow, step, day)) WITHOUT ROWID""",
        """CREATE TABLE daily_metrics (
            workflow INTEGER NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            step INTEGER NOT NULL, day INTEGER NOT NULL, metric TEXT NOT NULL, amount REAL NOT NULL,
            PRIMARY KEY (workflow, step, day, metric)) WITHOUT ROWID""",
        """CREATE TABLE baselines (
            workflow INTEGER PRIMARY KEY REFERENCES workflows (id) ON DELETE CASCADE, at REAL NOT NULL,
            runs INTEGER NOT NULL, p50 REAL, p95 REAL, success REAL, cost REAL, score INTEGER)""",
        """CREATE TABLE adoptions (
            workflow INTEGER NOT NULL REFERENCES workflows (id) ON DELETE CASCADE, recommendation TEXT NOT NULL,
            state TEXT NOT NULL, first REAL NOT NULL, since REAL NOT NULL, money REAL, minutes REAL, failures REAL,
            by TEXT, verdict TEXT, measured REAL, PRIMARY KEY (workflow, recommendation)) WITHOUT ROWID""",
        # The last analysis of each profile, and whether new facts came since.
        """CREATE TABLE analyses (
            profile TEXT PRIMARY KEY, workflow INTEGER NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            stale INTEGER NOT NULL, content BLOB NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX analyses_by_workflow ON analyses (workflow)",
    ),
}


def open_database(path: str) -> tuple[sqlite3.Connection, str | None]:
    """An open, checked and migrated connection, and a sentence when a damaged file had to be set aside.

    Raises HistoryReadOnly, HistoryFull or HistoryLocked when the place itself is the problem, HistoryError for a file of
    another version or of another program.
    """
    aside: str | None = None
    while True:
        try:
            return _opened(path), aside
        except sqlite3.Error as error:
            meant = translate(error, path)
            if not isinstance(meant, HistoryDamaged) or aside is not None or path == ":memory:":
                raise meant from error
        except _Unsound as error:
            if aside is not None:
                raise HistoryDamaged(f"history {path} is damaged again right after it was rebuilt: {error}") from error
        aside = _set_aside(path)


def open_copy(path: str) -> tuple[sqlite3.Connection, str | None]:
    """A database in memory with what the file at ``path`` holds, for a place that cannot be written, and a sentence when
    something may be missing in it.

    What an ended process left in the write-ahead log belongs to it: SQLite reads the log of a file it may not write
    where it can map the log's index. Where it cannot, the file is read without the log. Empty where the file cannot be
    read or is too large: the metrics fill it. Raises HistoryError for a file of another version or of another program.
    """
    try:
        size, logged = Path(path).stat().st_size, Path(f"{path}-wal").exists()
    except OSError:
        size, logged = 0, False
    lacking = f"Of history {path} nothing could be read: the copy began empty."
    for way in ("mode=ro", "mode=ro&immutable=1") if size else ():
        if size > _MAX_COPY_BYTES:
            lacking = f"History {path} has more than {_MAX_COPY_BYTES >> 20} MiB: the copy began empty."
            break
        if (memory := _copied(path, way)) is not None:
            logless = logged and way != "mode=ro"
            return _prepared(memory, path), (
                f"What the last process wrote at its end ({path}-wal) could not be read and is missing in the copy."
                if logless
                else None
            )
    return _prepared(_connect(":memory:"), path), lacking if size else None


def _copied(path: str, way: str) -> sqlite3.Connection | None:
    """The file's content in memory; None when it cannot be read this way or is damaged."""
    memory = _connect(":memory:")
    try:
        with closing(_connect(f"{Path(path).absolute().as_uri()}?{way}", uri=True)) as file:
            _check(file, path)
            file.backup(memory)
    except (sqlite3.Error, _Unsound):
        memory.close()
        return None
    except BaseException:
        memory.close()
        raise
    return memory


def connect_readonly(path: str) -> sqlite3.Connection:
    """A connection that only reads, for a file that may be in use. Raises HistoryError for one of another version."""
    connection = _connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)
    try:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise HistoryError(f"{path} is no history of Concertmaster.")
        have = connection.execute("SELECT max(version) FROM migrations").fetchone()[0]
        if have != max(MIGRATIONS):
            raise HistoryError(f"history {path} has schema {have}; this version reads schema {max(MIGRATIONS)}.")
    except BaseException:
        connection.close()
        raise
    return connection


class _Unsound(Exception):
    """The integrity check found something."""


def _connect(path: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=uri)


def _opened(path: str) -> sqlite3.Connection:
    return _prepared(_connect(path), path)


def _prepared(connection: sqlite3.Connection, path: str) -> sqlite3.Connection:
    """The connection, checked and migrated; closed when that fails."""
    try:
        fresh = connection.execute("PRAGMA page_count").fetchone()[0] == 0
        if fresh:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        if not fresh:
            _check(connection, path)
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: str) -> None:
    problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise _Unsound("; ".join(problems))
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise HistoryError(f"{path} is a database of another program. Set historyPath to a file of its own.")


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied TEXT NOT NULL)")
    have = connection.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()[0]
    check_version(path, have, MIGRATIONS, "move the file away")
    for version, statements in MIGRATIONS.items():
        if version > have:
            _executed(connection, (*statements, f"INSERT INTO migrations VALUES ({version}, datetime('now'))"))


def give_back(connection: sqlite3.Connection) -> None:
    """Return free pages to the disk. As a script: a statement without columns is stepped once, which frees one page."""
    connection.executescript("PRAGMA incremental_vacuum")


def _executed(connection: sqlite3.Connection, statements: Sequence[str]) -> None:
    with together(connection):
        for statement in statements:
            connection.execute(statement)


@contextmanager
def together(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written meanwhile, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise


def _set_aside(path: str) -> str:
    """Rename the file (and its write-ahead log) to the first free "<name>.damaged-<n>"."""
    number = 1
    while Path(f"{path}.damaged-{number}").exists():
        number += 1
    target = f"{path}.damaged-{number}"
    rename: Callable[[str, str], None] = os.replace
    try:
        for suffix in ("-wal", "-shm", ""):
            if Path(path + suffix).exists():
                rename(path + suffix, target + suffix)
    except OSError as error:
        raise HistoryReadOnly(
            f"history {path} is damaged and cannot be set aside ({error.strerror or error}). Make its directory writable "
            "for the operator's user, or set historyPath to another place."
        ) from error
    return (
        f"history {path} was damaged: it was set aside as {target} and a new one was begun; the metrics fill it again."
    )
