"""How far each namespace and workflow of one source was read: forward from a watermark, and back into the past."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.interfaces import CollectionRequest, Heartbeat
from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.history import HistoryError

KEPT_EVERY = 600.0  # seconds that a process which starts may have to read again, although nothing ended in them


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The watermarks of ``source`` in the history. Times are unix seconds.

    ``ahead``: by namespace, the mark that the history has and the moment up to which nothing ended since. A look that finds
    nothing writes nothing; it only counts while the history has the same mark.
    """

    history: HistoryProvider
    source: str
    ahead: dict[str, tuple[float, float]] = field(default_factory=dict)

    def until(self, namespace: str) -> float | None:
        """Up to when a namespace is complete; None when it was never read."""
        kept = self.history.store.watermark(self.source, namespace)
        known = self.ahead.get(namespace)
        return known[1] if known is not None and known[0] == kept else kept

    def advance(self, namespaces: Iterable[str], until: float, *, facts: bool) -> None:
        """These are complete up to ``until``. The history keeps it with ``facts`` that were stored, or after ten minutes."""
        moved: dict[str, float] = {}
        for namespace in namespaces:
            kept = self.history.store.watermark(self.source, namespace)
            if facts or kept is None or until - kept >= KEPT_EVERY:
                moved[namespace] = until
                self.ahead.pop(namespace, None)
            elif until > kept:
                self.ahead[namespace] = kept, until
        self.history.store.set_watermarks(self.source, moved)

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
            marks = [self.until(namespace) for namespace in namespaces]
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


@dataclass(slots=True)
class Reading:
    """What one collection has brought so far."""

    demand: CollectionRequest
    heartbeat: Heartbeat
    more: bool = False
    changed: set[WorkflowKey] = field(default_factory=set)
    unassigned: Counter[str] = field(default_factory=Counter)
    unread: dict[WorkflowKey, float] = field(default_factory=dict)

    def definitions(self, namespaces: Iterable[str]) -> list[WorkflowDefinition]:
        wanted = set(namespaces)
        return [d for d in self.demand.workflows if d.key.namespace in wanted]
