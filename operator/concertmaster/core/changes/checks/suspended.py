"""Suspended: a policy that is switched off changes nothing."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan

NAME = "suspended"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed while the policy in force is suspended."""
    rights = situation.rights
    if rights.suspended:
        return closed(NAME, "Suspended", f"{rights.policy} is suspended; set spec.suspend to false to go on")
    return passed(NAME, "the policy is not suspended")
