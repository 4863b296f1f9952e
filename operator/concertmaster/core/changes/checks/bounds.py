"""Bounds: the new value lies within what the policy allows, and not above the limit beside it."""

from __future__ import annotations

from concertmaster.core import text
from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan

NAME = "bounds"


def shown(resource: str, value: float) -> str:
    """A value as people write it."""
    if resource == "cpu":
        return text.cpu(value)
    return text.memory(value) if resource == "memory" else str(int(value))


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed outside min and max, when min is above max, and above the container's own limit."""
    for s in plan.settings:
        least, most = situation.rights.bounds.of(s.resource)
        low, high = shown(s.resource, least), shown(s.resource, most)
        if least > most:
            return closed(
                NAME, "BoundsContradict", f"bounds.{s.resource}: min {low} is above max {high}; correct the policy"
            )
        if not least <= s.new <= most:
            return closed(
                NAME, "OutOfBounds", f"{s.resource} {s.new_literal} is outside {low} to {high} (apply.bounds)"
            )
        if s.limit is not None and s.new > s.limit * (1 + 1e-9):
            limit = shown(s.resource, s.limit)
            return closed(
                NAME, "AboveLimit", f"{s.resource} request {s.new_literal} is above the limit {limit} beside it"
            )
    return passed(NAME, "within the bounds")
