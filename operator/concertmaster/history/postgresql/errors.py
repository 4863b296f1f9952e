"""PostgreSQL's error codes as errors of the history, each with what to do."""

from __future__ import annotations

import psycopg

from concertmaster.history.errors import (
    HistoryError,
    HistoryFull,
    HistoryLocked,
    HistoryReadOnly,
    HistoryUnavailable,
)

_KEPT = "Nothing was lost: the write was rolled back as a whole and is repeated from the metrics."

_AT_START = {  # libpq passes on what a server says that refuses a connection, and not its code
    "authentication failed": "28P01",
    "no password supplied": "28P01",
    "too many clients": "53300",
    "remaining connection slots": "53300",
    " does not exist": "3D000",
}


def translate(error: psycopg.Error, place: str) -> HistoryError:
    """The error of the history for ``error`` of PostgreSQL."""
    why = " ".join(str(error).split()) or type(error).__name__
    code = error.sqlstate or next((code for text, code in _AT_START.items() if text in why), "")
    if code in ("53100", "53200", "58030", "54000"):
        return HistoryFull(
            f"history {place} has no room to write ({why}). {_KEPT} Enlarge the database's volume, or lower maxRuns or the "
            "window of policies."
        )
    if code in ("25006", "42501"):
        return HistoryReadOnly(
            f"history {place} cannot be written ({why}). Check that history.url leads to the primary server and that the "
            "user owns the schema."
        )
    if code in ("55P03", "40P01", "40001"):
        return HistoryLocked(f"history {place} is locked by another session ({why}). {_KEPT}")
    if code == "57014":
        return HistoryUnavailable(f"history {place} did not answer in time ({why}). {_KEPT} Check the database's load.")
    if code in ("28000", "28P01"):
        return HistoryUnavailable(
            f"history {place} refuses the operator's credentials ({why}). Check the Secret with PGUSER and PGPASSWORD, or "
            "history.passwordFile."
        )
    if code == "3D000":
        return HistoryUnavailable(
            f"history {place} does not exist ({why}). Create the database, or correct history.url."
        )
    if code == "53300":
        return HistoryUnavailable(
            f"history {place} has no free connection ({why}). Raise max_connections; every shard needs one."
        )
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or code[:2] in ("08", "57", "58"):
        return HistoryUnavailable(
            f"history {place} cannot be reached ({why}). {_KEPT} Check that the server runs and that network policies let "
            "the operator reach it."
        )
    return HistoryError(f"history {place} failed: {why} ({code or type(error).__name__})")
