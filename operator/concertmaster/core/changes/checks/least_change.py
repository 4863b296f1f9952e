"""Minimum change: a difference too small to matter is not worth a change and its proof."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan
from concertmaster.core.text import percent

NAME = "minimum-change"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed when no field changes by apply.minChangePercent."""
    largest = max((abs(s.change) for s in plan.settings if s.change is not None), default=0.0)
    least = situation.rights.min_change
    if largest < least - 1e-9:
        message = f"the change is {percent(largest)}, less than {percent(least)} (apply.minChangePercent)"
        return closed(NAME, "TooSmall", message)
    return passed(NAME, f"the change is {percent(largest)}")
