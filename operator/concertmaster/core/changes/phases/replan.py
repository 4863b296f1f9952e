"""Whether a decided plan still matches the operator's own recommendation. Pure.

A plan is recomputed from the current recommendation on the current object, usually with the same result. Recommendations
move a little with every run, though, and decisions take time: a plan known to have been proposed by the operator stays valid
while the recommendation sets the same fields in the same direction and differs by less than the minimum change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from concertmaster.core.changes.checks_cluster import other_workflows, untried_admission
from concertmaster.core.changes.fields import Refused, Setting
from concertmaster.core.changes.json_patch import compact
from concertmaster.core.changes.operations import written
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.situation import ClusterFacts, Situation
from concertmaster.core.model import Edit, Recommendation
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.policy import Bounds


class Planner(Protocol):
    """Plans a recommendation on the current object."""

    def __call__(self, item: Recommendation, *, bounds: Bounds | None = None) -> Plan:
        """See ``plan``."""


def confirmed(
    item: Recommendation,
    planner: Planner,
    *,
    digest: str,
    patch: Sequence[Mapping[str, Any]],
    bounds: Bounds,
    drift: float,
    made: bool,
) -> Plan | None:
    """The proposed plan, identified by ``digest`` and ``patch``, recomputed; None when the current recommendation yields a
    different one. Raises Refused.

    ``drift``: accepted relative difference for a plan known to be the operator's own (``made``), which the present
    ``bounds`` must allow as well: no time would bring back those that it was made for.
    """
    now = planner(item, bounds=bounds)
    if now.digest == digest:
        return now
    values = written(patch)
    if not made or set(values) != {s.pointer for s in now.settings}:
        return None
    if not all(_near(s, values[s.pointer], drift) for s in now.settings):
        return None
    edits = tuple(_edit(e, values[e.pointer]) for e in item.edits if e.pointer in values)
    try:
        again = planner(replace(item, edits=edits), bounds=bounds)
    except Refused:
        return None
    again = replace(again, whole=now.whole)
    return again if again.digest == digest else None


def _near(setting: Setting, value: Any, drift: float) -> bool:
    amount = quantity(value)
    if amount is None or amount <= 0:
        return False
    same_way = setting.old is None or (amount - setting.old) * (setting.new - setting.old) > 0
    return same_way and abs(amount / setting.new - 1.0) < drift


def _edit(edit: Edit, value: Any) -> Edit:
    return replace(edit, proposed=value if isinstance(value, str) else compact(value))


def caution_of(made: Plan, situation: Situation) -> str | None:
    """What the approver must know: concerns, why the rule asks, and low power of the verification; None for nothing."""
    texts = (concerns(made, situation.facts), situation.withdrawn, situation.unsure)
    return "; ".join(t for t in texts if t) or None


def concerns(made: Plan, facts: ClusterFacts) -> str:
    """What only a person can take on: other workflows affected, and pods that cannot be tried. Empty for nothing."""
    return "; ".join(t for t in (other_workflows(made, facts), untried_admission(facts)) if t)
