"""History: what was observed, kept beyond the metrics' retention in one SQLite file."""

from concertmaster.history.analyses import KeptAnalysis
from concertmaster.history.errors import HistoryDamaged, HistoryError, HistoryFull, HistoryLocked, HistoryReadOnly
from concertmaster.history.evidence import Evidence
from concertmaster.history.store import Added, Stats, Store

__all__ = [
    "Added",
    "Evidence",
    "HistoryDamaged",
    "HistoryError",
    "HistoryFull",
    "HistoryLocked",
    "HistoryReadOnly",
    "KeptAnalysis",
    "Stats",
    "Store",
]
