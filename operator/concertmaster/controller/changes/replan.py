"""Is a decided plan still the operator's own advice? Pure.

A plan is recomputed from the present advice on the present object. Usually it is the very same. Advice moves a little
with every run, though, and a person takes time to decide: a plan that the operator is known to have proposed stays good
while the advice still names the same fields, moves them the same way and differs by less than a change must be worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.checks_cluster import other_pipelines
from concertmaster.core.changes.fields import Refused, Setting
from concertmaster.core.changes.json_patch import compact
from concertmaster.core.changes.operations import written
from concertmaster.core.changes.plan import Plan, plan
from concertmaster.core.changes.situation import Situation
from concertmaster.core.model import Edit, Recommendation
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.enums import ChangePhase, Decision
from concertmaster.core.model.policy import Bounds
from concertmaster.engines import PATCHABLE

_OBJECTION = 30 * 86400.0  # seconds for which a rule asks after a person was against what it did
C = ConditionType


def confirmed(
    change: WorkflowChangeView,
    item: Recommendation,
    raw: Mapping[str, Any],
    *,
    bounds: Bounds,
    drift: float,
    made: bool,
    monthly_cost: float | None = None,
    spread: float = 0.0,
) -> Plan | None:
    """The plan of ``change``, recomputed; None when the present advice is another one. Raises Refused.

    ``drift`` is the relative difference that is accepted of a plan known to be the operator's own (``made``).
    """
    more: dict[str, Any] = {"profile": change.profile, "namespace": change.namespace, "monthly_cost": monthly_cost}
    more["spread"] = spread
    now = plan(item, raw, PATCHABLE, bounds=bounds, **more)
    if now.digest == change.digest:
        return now
    values = written(change.operations("patch") or ())
    if not made or set(values) != {s.pointer for s in now.settings}:
        return None
    if not all(_near(s, values[s.pointer], drift) for s in now.settings):
        return None
    edits = tuple(_edit(e, values[e.pointer]) for e in item.edits if e.pointer in values)
    try:
        again = plan(replace(item, edits=edits), raw, PATCHABLE, **more)
    except Refused:
        return None
    again = replace(again, whole=now.whole)
    return again if again.digest == change.digest else None


def lowers_memory(kind: str, patch: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a patch of an object of ``kind`` sets a memory request lower than what its own tests say holds."""
    known = PATCHABLE.get(kind)
    if known is None:
        return False
    held: dict[str, Any] = {}
    for operation in patch:
        if operation.get("op") == "test":
            held.setdefault(str(operation["path"]), operation.get("value"))
    for pointer, value in written(patch).items():
        if known.resource(pointer) != "memory":
            continue
        old, new = quantity(held.get(pointer)) or quantity(held.get(known.inherited(pointer) or "")), quantity(value)
        if old is not None and new is not None and new < old:
            return True
    return False


def _near(setting: Setting, value: Any, drift: float) -> bool:
    amount = quantity(value)
    if amount is None or amount <= 0:
        return False
    same_way = setting.old is None or (amount - setting.old) * (setting.new - setting.old) > 0
    return same_way and abs(amount / setting.new - 1.0) < drift


def _edit(edit: Edit, value: Any) -> Edit:
    return replace(edit, proposed=value if isinstance(value, str) else compact(value))


def caution_of(made: Plan, situation: Situation) -> str | None:
    """What a person should know who decides: who else is changed, and how weak the proof will be."""
    return "; ".join(t for t in (other_pipelines(made, situation.facts), situation.unsure) if t) or None


def objection(changes: Sequence[WorkflowChangeView], now: float) -> str | None:
    """What a person did against changes of one recommendation in the last 30 days: then the rule asks."""
    for change in changes:
        at = max(change.since(C.RESTORED) or 0.0, change.since(C.APPROVED) or 0.0)
        if now - at >= _OBJECTION:
            continue
        if change.decision == Decision.REJECT:
            return f"{change.spec.get('decidedBy') or 'somebody'} rejected a change of this kind"
        if change.phase == ChangePhase.CONFLICT and change.applied is not None:
            return "somebody undid or overwrote a change of this kind"
    return None
