"""Pods of which everything is known, so that later readings need not ask for them again.

Looks overlap, because samples may be late and the last ones of a container come after its end. Without this each pod is
read as often as its end is covered, and its workflow analysed as often. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.prometheus.collect.collection import Collection
from concertmaster.prometheus.collect.windows import LOOKBACK, SETTLED

_SPARSE = 60.0  # seconds between samples where the interval is not known
_KEEP_SECONDS = 600.0 + LOOKBACK  # seconds before a reading that its window reaches back at most, overlap included


def settled(facts: Iterable[PodFact], latest: float, interval: float | None) -> frozenset[str]:
    """Uids of pods that a later reading would not show better. ``latest``: the newest moment that was queried (unix
    seconds); ``interval``: seconds between samples, None when unknown.

    A pod that vanished may turn out to have ended, and a container with fewer samples than its life has room for may have
    samples on their way.
    """
    return frozenset(
        fact.uid
        for fact in facts
        if fact.phase is not None
        and fact.finished is not None
        and fact.finished + SETTLED <= latest
        and not any(_lacks(c, fact.finished, interval or _SPARSE) for c in fact.containers)
    )


def _lacks(container: ContainerFact, finished: float, interval: float) -> bool:
    """Whether samples may be missing: more than the first and the last one of a life."""
    if container.started is None:
        return False  # it never ran
    life = max(0.0, (container.finished or finished) - container.started)
    return (container.samples or 0) < life / interval - 2


class SettledPods:
    """What the newest readings of one source settled, by namespace."""

    def __init__(self) -> None:
        self._ends: dict[str, dict[str, float]] = {}  # namespace -> uid -> end of the pod
        self._until: dict[str, float] = {}  # up to when the namespace was read

    def keep_only(self, namespaces: Set[str]) -> None:
        """Forget namespaces that are not read any more: nothing else would end what is known of them."""
        for known in (self._ends, self._until):
            for gone in known.keys() - namespaces:
                del known[gone]

    def known(self, namespaces: Sequence[str], since: float) -> frozenset[str]:
        """Uids that a reading from ``since`` (unix seconds) may leave out. A namespace that is read again from an earlier
        moment than it was read up to is read as if for the first time: somebody found its facts wrong or lost."""
        found: set[str] = set()
        for namespace in namespaces:
            if since < self._until.get(namespace, since):
                self._ends.pop(namespace, None)
                self._until.pop(namespace, None)
            own = {uid: end for uid, end in self._ends.get(namespace, {}).items() if end > since - _KEEP_SECONDS}
            if own:
                self._ends[namespace] = own
                found |= own.keys()
            else:
                self._ends.pop(namespace, None)
        return frozenset(found)

    def add(self, read: Collection, stored: Set[str]) -> None:
        """Remember what a reading settled, of the pods that were ``stored``."""
        for fact in read.facts:
            end = fact.finished
            if fact.uid in read.settled and fact.uid in stored and end and end > read.complete_until - _KEEP_SECONDS:
                self._ends.setdefault(fact.namespace, {})[fact.uid] = end
                self._until[fact.namespace] = max(read.complete_until, self._until.get(fact.namespace, 0.0))
