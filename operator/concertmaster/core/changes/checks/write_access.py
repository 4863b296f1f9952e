"""Write access: the operator is read-only until its installation says otherwise."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan

NAME = "write-access"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed without the right to patch the target; the condition WriteAccess has the Helm value."""
    access = situation.facts.write_access
    if access is None:
        return closed(NAME, "Unknown", "the API server could not be asked about the right to write", waiting=True)
    if not access:
        message = (
            f"the operator may not patch {plan.target.kind}; the policy's condition WriteAccess has the value to set"
        )
        return closed(NAME, "NoRight", message)
    return passed(NAME, f"the operator may patch {plan.target.kind}")
