"""Faults of our own in the work for single profiles: each costs that profile alone, and is logged once, not every cycle."""

from __future__ import annotations

import logging
from collections.abc import Collection

from concertmaster.controller.object_cache import CachedObject


class LoggedFaults:
    """The last fault of each profile."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._faults: dict[str, str] = {}  # by uid

    def note(self, entry: CachedObject, what: str, error: Exception) -> None:
        """``what`` failed for a profile. The trace goes to the log, once per kind of fault."""
        fault = f"{type(error).__name__}: {str(error)[:200]}"
        if self._faults.get(entry.uid) != fault:
            self._faults[entry.uid] = fault
            self._log.error("%s of %s failed", what, entry.ref, exc_info=error)

    def forget(self, uid: str) -> None:
        """The work succeeded."""
        self._faults.pop(uid, None)

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget profiles that are gone."""
        self._faults = {uid: fault for uid, fault in self._faults.items() if uid in uids}
