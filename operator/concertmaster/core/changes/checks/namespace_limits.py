"""Namespace limits: a value that a LimitRange or ResourceQuota forbids would keep every later pod from starting.

Neither is checked when a template is written, only when its pods are made: the damage would show in the next run.
"""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.checks.bounds import shown
from concertmaster.core.changes.plan import Plan

NAME = "namespace-limits"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Compares requests with every LimitRange, and with what every ResourceQuota leaves for the step's pods."""
    facts = situation.facts
    requests = [s for s in plan.settings if s.resource != "parallelism"]
    if requests and (facts.ranges is None or facts.quotas is None):
        topic = "ranges" if facts.ranges is None else "quotas"
        return closed(NAME, "Unknown", f"LimitRange and ResourceQuota cannot be read: {facts.why(topic)}")
    for s in requests:
        for found in facts.ranges or ():
            least, most = found.least.get(s.resource), found.most.get(s.resource)
            if found.scope == "Container" and least is not None and s.new < least * (1 - 1e-9):
                message = (
                    f"{s.new_literal} is below {shown(s.resource, least)}, the least LimitRange {found.name} allows"
                )
                return closed(NAME, "LimitRange", f"{s.resource} {message}")
            if most is not None and s.new > most * (1 + 1e-9):
                message = f"{s.new_literal} is above {shown(s.resource, most)}, the most LimitRange {found.name} allows"
                return closed(NAME, "LimitRange", f"{s.resource} {message}")
        for quota in facts.quotas or ():
            hard = quota.hard.get(s.resource)
            pods = facts.pods or 1
            if hard is not None and s.old is not None and s.new > s.old and s.new * pods > hard * (1 + 1e-9):
                message = (
                    f"{pods} x {s.new_literal} is more than the {shown(s.resource, hard)} of ResourceQuota {quota.name}"
                )
                return closed(NAME, "ResourceQuota", f"{s.resource}: {message}")
    return passed(NAME, "no LimitRange or ResourceQuota forbids it")
