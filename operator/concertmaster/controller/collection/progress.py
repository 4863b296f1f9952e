"""What one collection has read so far, and still lacks of the past."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from concertmaster.controller.collection.watermarks import MIN_PAST_SECONDS
from concertmaster.controller.interfaces import CollectionRequest, Heartbeat
from concertmaster.core.model import WorkflowDefinition, WorkflowKey


@dataclass(slots=True)
class Reading:
    """The result of one collection so far."""

    demand: CollectionRequest
    heartbeat: Heartbeat
    more: bool = False
    changed: set[WorkflowKey] = field(default_factory=set)
    unassigned: Counter[str] = field(default_factory=Counter)
    unread: dict[WorkflowKey, float] = field(default_factory=dict)
    long: bool = False  # the past takes long

    def lack(self, lows: Mapping[WorkflowKey, float], want: float) -> bool:
        """Note which workflows were not read down to ``want`` (unix seconds); whether there are any."""
        self.unread = {key: low for key, low in lows.items() if low > want + MIN_PAST_SECONDS}
        return bool(self.unread)

    def behind(
        self, together: Callable[[Iterable[str]], Iterable[list[str]]], most: int
    ) -> list[tuple[float, list[str]]]:
        """The namespaces in groups, each with the moment down to which it was read. The least read come first, so that
        all workflows get their newest runs early. A group has namespaces that may be queried ``together``, with at most
        ``most`` workflows, or one."""
        sizes, tops = Counter(d.key.namespace for d in self.demand.workflows), dict[str, float]()
        for key, low in self.unread.items():
            tops[key.namespace] = max(low, tops.get(key.namespace, low))
        parts = list[tuple[float, list[str]]]()
        for top in sorted(set(tops.values()), reverse=True):
            for group in together(name for name, own in tops.items() if own == top):
                part, size = list[str](), 0
                for name in group:
                    if part and size + sizes[name] > most:
                        parts.append((top, part))
                        part, size = [], 0
                    part, size = [*part, name], size + sizes[name]
                parts.append((top, part))
        return parts

    def definitions(self, namespaces: Iterable[str]) -> list[WorkflowDefinition]:
        """The workflows of these namespaces."""
        places = set(namespaces)
        return [d for d in self.demand.workflows if d.key.namespace in places]
