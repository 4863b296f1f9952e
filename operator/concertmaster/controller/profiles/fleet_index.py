"""The input of the rules that compare workflows, at a bounded cost.

Each analysis contributes what its workflow reserves, without a query or a second reading of the history. From these an
*edition* of the fleet is made when all workflows were analysed once, and then at most once an hour. A new edition is a
reason to analyse only the workflows its rules concern: one that waits for nodes, one that makes the next peak, one that
already has such recommendations. All others use the edition when they are analysed for other reasons.
"""

from __future__ import annotations

from collections.abc import Collection

from concertmaster.core.fleet.members import name_of
from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.recommendations import rule_of
from concertmaster.core.rules import RULES, Fleet, FleetMember
from concertmaster.core.times import recent
from concertmaster.core.units import HOUR

REBUILD_EVERY = HOUR  # seconds between two editions
HOURS = 72  # ahead, in which the peak is looked for: the default of demand-forecast
_COMPARING = frozenset(rule.name for rule in RULES if rule.compares)


class FleetIndex:
    """Collects members and provides editions."""

    def __init__(self) -> None:
        self._members: dict[WorkflowKey, FleetMember] = {}
        self._waiting: set[WorkflowKey] = set()
        self._concerned: frozenset[WorkflowKey] = frozenset()
        self._changed = False
        self._made_at = float("-inf")
        self._edition = 0
        self.fleet: Fleet | None = None  # None until every workflow was analysed

    def learn(self, member: FleetMember, *, waits: bool) -> None:
        """Record a workflow's member. ``waits``: its rules depend on other workflows."""
        self._members[member.key] = member
        (self._waiting.add if waits else self._waiting.discard)(member.key)
        self._changed = True

    def restore(self, member: FleetMember, *, waits: bool, edition: int) -> None:
        """Restore a member from an earlier process, with the edition it was analysed with: no reason for a new one."""
        changed = self._changed
        self.learn(member, waits=waits)
        self._changed = changed
        if edition:
            self._edition = max(self._edition, edition)
            self._concerned |= {member.key}

    def member(self, key: WorkflowKey) -> tuple[FleetMember | None, bool]:
        """The member of a workflow."""
        return self._members.get(key), key in self._waiting

    def keep_only(self, keys: Collection[WorkflowKey]) -> None:
        """Forget workflows that nobody describes any more."""
        for key in self._members.keys() - keys:
            del self._members[key]
            self._waiting.discard(key)
            self._changed = True

    def edition_for(self, key: WorkflowKey) -> int:
        """Changes when the workflow must be analysed again because of the others."""
        return self._edition if key in self._concerned else 0

    def settle(self, now: float) -> bool:
        """All workflows were analysed: make a new edition where that is due. True when it concerns somebody."""
        if recent(self._made_at, now, REBUILD_EVERY) or not (self._changed or (self.fleet is None and self._members)):
            return False
        news = self._changed
        self.fleet = Fleet(self._members.values(), across=False)
        self._edition += news
        self._made_at, self._changed = now, False
        if not news:
            return False  # all of it was restored
        busy = max((h for h in self.fleet.demand(now, HOURS).hours if h.cores > 0), key=lambda h: h.cores, default=None)
        first = busy.by_workflow[0][0] if busy is not None else None
        peak = {key for key in self._members if name_of(key) == first}
        self._concerned = frozenset(self._waiting | peak)
        return bool(self._concerned)


def compares_workflows(recommendations: Collection[str]) -> bool:
    """Whether any of the ids is a recommendation that compares workflows."""
    return any(rule_of(r) in _COMPARING for r in recommendations)
