"""Faults of a database as errors of the history, each with what to do."""

from __future__ import annotations

from concertmaster.history.errors import (
    HistoryError,
    HistoryFull,
    HistoryLocked,
    HistoryReadOnly,
    HistoryUnavailable,
)
from concertmaster.postgresql.faults import DatabaseFault, FaultKind

_KEPT = "Nothing was lost: the write was rolled back as a whole and is repeated from the metrics."


def translate(fault: DatabaseFault, place: str) -> HistoryError:
    """The error of the history ``place`` for a fault of its database."""
    kind, why = fault.kind, fault.why
    if kind is FaultKind.FULL:
        return HistoryFull(
            f"history {place} has no room to write ({why}). {_KEPT} Enlarge the database's volume, or lower maxRuns or the "
            "window of policies."
        )
    if kind in (FaultKind.READ_ONLY, FaultKind.FORBIDDEN):
        return HistoryReadOnly(
            f"history {place} cannot be written ({why}). Check that history.url leads to the primary server and that the "
            "user owns the schema."
        )
    if kind is FaultKind.LOCKED:
        return HistoryLocked(f"history {place} is locked by another session ({why}). {_KEPT}")
    if kind is FaultKind.TIMED_OUT:
        return HistoryUnavailable(f"history {place} did not answer in time ({why}). {_KEPT} Check the database's load.")
    if kind is FaultKind.CREDENTIALS:
        return HistoryUnavailable(
            f"history {place} refuses the operator's credentials ({why}). Check the Secret with PGUSER and PGPASSWORD, or "
            "history.passwordFile."
        )
    if kind is FaultKind.CREDENTIALS_FILE:
        return HistoryUnavailable(f"history.passwordFile {fault.file} cannot be read ({why})")
    if kind is FaultKind.NO_DATABASE:
        return HistoryUnavailable(
            f"history {place} does not exist ({why}). Create the database, or correct history.url."
        )
    if kind is FaultKind.NO_CONNECTION:
        return HistoryUnavailable(
            f"history {place} has no free connection ({why}). Raise max_connections; every shard needs one."
        )
    if kind is FaultKind.SHARED_SESSION:
        return HistoryError(
            f"history {place} is behind a pooler in transaction mode ({why}). Point history.url at the server itself, or "
            "at a pool with pool_mode = session."
        )
    if kind is FaultKind.UNREACHABLE:
        return HistoryUnavailable(
            f"history {place} cannot be reached ({why}). {_KEPT} Check that the server runs and that network policies let "
            "the operator reach it."
        )
    return HistoryError(f"history {place} failed: {why} ({fault.code})")
