"""Faults of an archive's database as errors, each with what to do."""

from __future__ import annotations

from concertmaster.archive.errors import ArchiveError, ArchiveNames, StatementFailed, StatementTimedOut
from concertmaster.postgresql.faults import DatabaseFault, FaultKind

_REMEDIES = {
    FaultKind.FORBIDDEN: "cannot be read: permission denied ({why}). GRANT SELECT ON {tables} to the operator's user.",
    FaultKind.NO_TABLE: "has no table {table} as {maker} makes it ({why}). Check {setting}.table and the database in "
    "{setting}.url{also}.",
    FaultKind.TIMED_OUT: "did not answer in time ({why}). Check the database's load.",
    FaultKind.LOCKED: "is locked by another session ({why}); it is read in the next cycle.",
    FaultKind.CREDENTIALS: "refuses the operator's credentials ({why}). Check {setting}.usernameFile and passwordFile.",
    FaultKind.CREDENTIALS_FILE: "cannot be reached: the file {file} cannot be read ({why}). Check the Secret that "
    "{setting}.usernameFile and passwordFile come from.",
    FaultKind.NO_DATABASE: "does not exist ({why}). Correct {setting}.url.",
    FaultKind.NO_CONNECTION: "has no free connection ({why}). Every shard needs one.",
    FaultKind.SHARED_SESSION: "is behind a pooler in transaction mode ({why}). Point {setting}.url at the server itself, "
    "or at a pool with pool_mode = session.",
    FaultKind.UNREACHABLE: "cannot be reached ({why}). Check that the server runs and that network policies let the "
    "operator reach it.",
}
_OF_ONE_STATEMENT = {
    FaultKind.OTHER: StatementFailed,
    FaultKind.FULL: StatementFailed,
    FaultKind.TIMED_OUT: StatementTimedOut,
}


def unreadable(fault: DatabaseFault, place: str, table: str, names: ArchiveNames) -> ArchiveError:
    """The error for a fault of the database ``place`` with the archive in ``table``."""
    # Where a row is damaged or too large the server says so in many ways, one of which is that it takes too long.
    raised = _OF_ONE_STATEMENT.get(fault.kind, ArchiveError)
    remedy = _REMEDIES.get(fault.kind, "failed: {why} ({code})")
    text = remedy.format(
        why=fault.why,
        code=fault.code,
        file=fault.file,
        table=table,
        tables=f"{table}, {table}_labels" if names.labels else table,
        maker=names.maker,
        setting=names.setting,
        also=names.also,
    )
    return raised(f"{names.title} {place} {text}")
