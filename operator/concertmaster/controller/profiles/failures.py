"""Analyses that failed: one sentence for the condition, one trace in the log for each kind of failure."""

from __future__ import annotations

import logging
from collections.abc import Collection

from concertmaster.controller.object_cache import CachedObject
from concertmaster.history import HistoryError

log = logging.getLogger("concertmaster.analysis")


class Failures:
    """The last failure of each profile."""

    def __init__(self) -> None:
        self._faults: dict[str, str] = {}

    def message(self, entry: CachedObject, error: Exception) -> str:
        """The message of the condition for ``error``; the trace goes to the log, once per kind of failure."""
        if isinstance(error, HistoryError):
            return str(error)
        fault = f"{type(error).__name__}: {error}"
        if self._faults.get(entry.uid) != fault:
            self._faults[entry.uid] = fault
            log.error("analysis of %s failed", entry.ref, exc_info=error)
        return f"the analysis failed ({type(error).__name__}); the operator's log has the details, please report it."

    def forget(self, uid: str) -> None:
        """An analysis of the profile succeeded."""
        self._faults.pop(uid, None)

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget profiles that are gone."""
        self._faults = {uid: fault for uid, fault in self._faults.items() if uid in uids}
