"""podSpecPatch: Argo applies it last, so a request set beside it would not hold."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Kind, Plan

NAME = "pod-spec-patch"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed for requests where a podSpecPatch sets resources."""
    if plan.kind is Kind.RESOURCES and situation.facts.pod_spec_patch:
        return closed(NAME, "PodSpecPatch", "a podSpecPatch sets resources and has the last word; change it there")
    return passed(NAME, "no podSpecPatch sets resources")
