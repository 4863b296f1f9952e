"""Another controller: two that size the same thing take turns at undoing each other."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan

NAME = "controllers"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed when a VerticalPodAutoscaler, HorizontalPodAutoscaler or KEDA object aims at the target."""
    found = situation.facts.controllers
    if found is None:
        return closed(NAME, "Unknown", f"autoscalers cannot be read: {situation.facts.why('controllers')}")
    if found:
        return closed(NAME, "OtherController", f"{'; '.join(found[:3])}: leave the sizing to it, or remove it")
    return passed(NAME, "no autoscaler aims at it")
