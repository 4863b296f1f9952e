"""All WorkflowChanges of one call of the stage, and what those there are mean for a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.workflow_change import WorkflowChangeView, ledger_entry
from concertmaster.core.changes.ledger import Ledger
from concertmaster.core.changes.operations import written
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.reconcile import IN_FLIGHT
from concertmaster.core.model import TASK
from concertmaster.core.model.enums import ChangePhase, Decision
from concertmaster.core.units import DAY

Place = tuple[str, str, str]
OBJECTION = 30 * DAY
"""Seconds for which a rule asks after a person was against what it did."""


@dataclass
class ListedChanges:
    """All as they were ``listed``, whosever they are."""

    listed: Sequence[WorkflowChangeView]

    @cached_property
    def in_flight(self) -> dict[str, WorkflowChangeView]:
        """Those in progress by uid, kept up to date as their workflows are worked on."""
        return {c.uid: c for c in self.listed if c.phase in IN_FLIGHT}

    @cached_property
    def ledger(self) -> Ledger:
        """What was promised and measured."""
        return Ledger(line for c in self.listed if (line := ledger_entry(c)) is not None)

    @cached_property
    def by_target(self) -> Mapping[Place, Sequence[WorkflowChangeView]]:
        """By their namespace and the kind and name of the object they are for."""
        found: dict[Place, list[WorkflowChangeView]] = {}
        for change in self.listed:
            if (target := change.target) is not None:
                found.setdefault((change.namespace, target.kind, target.name), []).append(change)
        return found

    def put(self, change: WorkflowChangeView) -> None:
        """Record the present state of a change."""
        self.in_flight.pop(change.uid, None)
        if change.phase in IN_FLIGHT:
            self.in_flight[change.uid] = change

    def of_same_object(self, own: Sequence[WorkflowChangeView], made: Plan) -> list[WorkflowChangeView]:
        """The profile's ``own`` changes, and those of the object of a plan that were made for another profile: one of
        people's own replaces what discovery created, and what they were against stays so. A Task is that of other
        workflows too."""
        if made.target.kind == TASK:
            return list(own)
        others = self.by_target.get((made.namespace, made.target.kind, made.target.name), ())
        return [*own, *(c for c in others if c.profile != made.profile)]

    def in_the_way(self, made: Plan) -> tuple[str, ...]:
        """Which changes in progress on the object of a plan it would disturb, in words for someone in its namespace: those
        of other profiles, and those of its own that set the same fields. Of other profiles an orphaned one does not count:
        nobody will judge it or roll it back."""
        fields = {s.pointer for s in made.settings}
        found = []
        for c in self.in_flight.values():
            if c.target is None or c.target.uid != made.target.uid:
                continue
            if (c.namespace, c.profile) == (made.namespace, made.profile):
                if fields & written(c.operations("patch") or ()).keys():
                    found.append(f"{c.name} of the same fields")
            elif not c.is_(ConditionType.ORPHANED):
                near = c.namespace == made.namespace
                found.append(f"{c.name} of profile {c.profile}" if near else "one in another namespace")
        return tuple(found)


def objection(changes: Sequence[WorkflowChangeView], made: Plan, now: float) -> str | None:
    """What a person had, in the last 30 days, against changes of the recommendation of a plan, or of a field that it sets:
    a rejection, a rollback, another value. The rule then waits for a decision."""
    fields = {s.pointer for s in made.settings}
    for change in changes:
        same = change.recommendation == made.recommendation
        if not same and not fields & written(change.operations("patch") or ()).keys():
            continue
        at = max(change.since(ConditionType.RESTORED) or 0.0, change.since(ConditionType.APPROVED) or 0.0)
        if now - at >= OBJECTION:
            continue
        what = "this kind" if same else "the same fields"
        if change.decision == Decision.REJECT:
            return f"{change.spec.get('decidedBy') or 'somebody'} rejected a change of {what}"
        applied = change.condition(ConditionType.APPLIED).get("status")
        if change.phase == ChangePhase.CONFLICT and applied in ("True", "Unknown"):
            return f"somebody undid or overwrote a change of {what}"
    return None
