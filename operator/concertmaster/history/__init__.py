"""History: what was observed, kept beyond the metrics' retention in one SQLite file or in PostgreSQL."""

from concertmaster.history.address import CacheFile, DatabaseAddress
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
from concertmaster.history.runs.digest import RunsDigest
from concertmaster.history.runs.reader import left_out
from concertmaster.history.server import ServerState, configured, open_server, server_state
from concertmaster.history.store import Store

__all__ = [
    "CacheFile",
    "DatabaseAddress",
    "HistoryDamaged",
    "HistoryError",
    "HistoryFull",
    "HistoryLocked",
    "HistoryReadOnly",
    "HistoryUnavailable",
    "KeptAnalysis",
    "RunCache",
    "RunsDigest",
    "ServerState",
    "Store",
    "configured",
    "left_out",
    "open_server",
    "server_state",
]
