"""How far each namespace and workflow of one source was read: forward from a watermark, and back into the past."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.core.model import WorkflowKey
from concertmaster.history import HistoryError


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The watermarks of ``source`` in the history. Times are unix seconds."""

    history: HistoryProvider
    source: str

    def lows(self, keys: Iterable[WorkflowKey], newest: float) -> dict[WorkflowKey, float]:
        """How far back each workflow was read: at first as far as its namespace is complete, else not at all."""
        marks, dropped = self._known()
        lows: dict[WorkflowKey, float] = {}
        for key in keys:
            known, until = marks.get(_past(key, dropped)), marks.get(key.namespace)
            lows[key] = -known if known is not None else until if until is not None else newest
        return lows

    def lower(
        self, lows: dict[WorkflowKey, float], namespaces: Collection[str], since: float, complete_until: float
    ) -> None:
        """A chunk was stored: workflows known down to its newer end are now known down to its older one."""
        marks, dropped = self._known()
        spaces = frozenset(namespaces)
        moved = {space: complete_until for space in spaces if space not in marks}
        for key, low in lows.items():
            if key.namespace in spaces and since < low <= complete_until + 1.0:
                lows[key] = since
                moved[_past(key, dropped)] = -since
        self.history.store.set_watermarks(self.source, moved)

    def complete_until(self, namespaces: Collection[str]) -> float | None:
        """Up to when all of these namespaces are complete; None when one was never read or the history is away."""
        try:
            marks = [self.history.store.watermark(self.source, namespace) for namespace in namespaces]
        except HistoryError:
            return None
        known = [mark for mark in marks if mark is not None]
        return min(known) if known and len(known) == len(marks) else None

    def _known(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """All watermarks of the source, and when histories were dropped, read at once."""
        return self.history.store.watermarks(self.source), self.history.store.watermarks("")


def _past(key: WorkflowKey, dropped: Mapping[str, float]) -> str:
    """Shard under which the oldest moment read for a workflow stands, negated because watermarks only grow.

    A workflow whose history was dropped starts a new one.
    """
    return f"past:{key}:{dropped.get(f'dropped:{key}', 0.0):.0f}"
