"""Kind: only the kinds of fields the policy names."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Kind, Plan
from concertmaster.core.changes.pointers import allowed

NAME = "kind"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed when a field is of a kind that apply.allow does not list, or none that is ever changed."""
    for setting in plan.settings:
        if allowed(plan.target.kind, setting.pointer) != setting.resource:
            return closed(NAME, "FieldNotAllowed", f"{setting.pointer} is never changed")
    wanted = {Kind.PARALLELISM if s.resource == "parallelism" else Kind.RESOURCES for s in plan.settings}
    missing = sorted(k.value for k in wanted - situation.rights.allow)
    if missing:
        return closed(NAME, "KindNotAllowed", f"the policy does not allow {', '.join(missing)}; see apply.allow")
    return passed(NAME, f"{plan.kind.value} may be changed")
