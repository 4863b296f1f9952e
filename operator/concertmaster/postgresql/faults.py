"""What went wrong with a database, by PostgreSQL's error codes. Whoever asked it says what that means and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import psycopg


class FaultKind(StrEnum):
    """Kinds of faults that are remedied in different ways."""

    FULL = "Full"
    READ_ONLY = "ReadOnly"
    FORBIDDEN = "Forbidden"
    LOCKED = "Locked"
    TIMED_OUT = "TimedOut"
    CREDENTIALS = "Credentials"  # refused by the server
    CREDENTIALS_FILE = "CredentialsFile"  # cannot be read
    NO_DATABASE = "NoDatabase"
    NO_TABLE = "NoTable"  # or not the columns it should have
    NO_CONNECTION = "NoConnection"
    SHARED_SESSION = "SharedSession"
    UNREACHABLE = "Unreachable"
    OTHER = "Other"


@dataclass(frozen=True, slots=True)
class DatabaseFault:
    """One fault. ``why`` is one line of the server's or the driver's own words, ``code`` its SQLSTATE where it has one;
    ``file``: the one that cannot be read."""

    kind: FaultKind
    why: str
    code: str = ""
    file: str = ""


class SharedSession(psycopg.OperationalError):
    """A pooler gives the server's sessions to several clients by turns."""


_AT_START = {  # libpq passes on what a server says that refuses a connection, and not its code
    "authentication failed": "28P01",
    "no password supplied": "28P01",
    "too many clients": "53300",
    "remaining connection slots": "53300",
    " does not exist": "3D000",
}
_KINDS = {
    **dict.fromkeys(("53100", "53200", "58030"), FaultKind.FULL),
    "25006": FaultKind.READ_ONLY,
    "42501": FaultKind.FORBIDDEN,
    **dict.fromkeys(("55P03", "40P01", "40001"), FaultKind.LOCKED),
    "57014": FaultKind.TIMED_OUT,
    **dict.fromkeys(("28000", "28P01"), FaultKind.CREDENTIALS),
    "3D000": FaultKind.NO_DATABASE,
    **dict.fromkeys(("42P01", "42703", "3F000", "42809"), FaultKind.NO_TABLE),
    "53300": FaultKind.NO_CONNECTION,
    "54000": FaultKind.OTHER,  # a value that is too large to store or to index: says nothing of others
}


def fault_of(error: psycopg.Error) -> DatabaseFault:
    """The fault that ``error`` reports."""
    why = " ".join(str(error).split()) or type(error).__name__
    code = error.sqlstate or next((code for text, code in _AT_START.items() if text in why), "")
    kind = FaultKind.SHARED_SESSION if isinstance(error, SharedSession) else _KINDS.get(code)
    if kind is None:
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or code[:2] in ("08", "57", "58")
        kind = FaultKind.UNREACHABLE if lost else FaultKind.OTHER
    return DatabaseFault(kind, why, code or type(error).__name__)
