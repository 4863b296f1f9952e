"""History: what was observed, kept beyond the metrics' retention in one SQLite file or in PostgreSQL."""

from concertmaster.history.address import Address
from concertmaster.history.analyses import KeptAnalysis
from concertmaster.history.errors import (
    HistoryDamaged,
    HistoryError,
    HistoryFull,
    HistoryLocked,
    HistoryReadOnly,
    HistoryUnavailable,
)
from concertmaster.history.runs.cache import RunCache
from concertmaster.history.runs.evidence import RunsEvidence
from concertmaster.history.runs.reader import left_out
from concertmaster.history.server import open_server
from concertmaster.history.store import Added, Stats, Store

__all__ = [
    "Added",
    "Address",
    "HistoryDamaged",
    "HistoryError",
    "HistoryFull",
    "HistoryLocked",
    "HistoryReadOnly",
    "HistoryUnavailable",
    "KeptAnalysis",
    "RunCache",
    "RunsEvidence",
    "Stats",
    "Store",
    "left_out",
    "open_server",
]
