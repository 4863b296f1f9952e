"""The history behind the loop's seam: one open store, opened again when its file turns out to be damaged."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from concertmaster.core.model import RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.history import HistoryDamaged, Store

log = logging.getLogger("concertmaster.history")


class Keeper:
    """Holds the store. A damaged file is set aside by opening it again; the metrics fill the new one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.store = self._open()

    def _open(self) -> Store:
        store = Store(self._path)
        if store.recovered:
            log.warning("%s", store.recovered)
        return store

    def renew(self) -> None:
        """Set a damaged file aside and start a new one."""
        self.store.close()
        self.store = self._open()

    def close(self) -> None:
        """Close the file."""
        self.store.close()

    def runs(self, definition: WorkflowDefinition, *, limit: int, since: float, as_of: float) -> Sequence[RunRecord]:
        """See ``ports.History``."""
        try:
            return self.store.runs(definition.key, limit=limit, since=since, definition=definition, as_of=as_of)
        except HistoryDamaged as error:
            log.error("%s", error)
            self.renew()
            raise

    def dropped_at(self, key: WorkflowKey) -> float:
        """When the history of a workflow was last dropped (unix seconds, 0 for never)."""
        return self.store.watermark("", f"dropped:{key}") or 0.0

    def tidy(self, keep: Mapping[WorkflowKey, tuple[int, float]], now: float) -> None:
        """See ``ports.History``."""
        known = self.store.keys()
        for key in known:
            if key not in keep:
                self.store.forget(key)
                self.store.set_watermark("", f"dropped:{key}", now)
        if keep:
            longest = max(window for _, window in keep.values())
            self.store.prune(max_runs={key: runs for key, (runs, _) in keep.items()}, before=now - longest)
