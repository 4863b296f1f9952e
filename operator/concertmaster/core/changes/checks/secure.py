"""Secure referencing: with ``templateReferencing: Secure`` Argo fails running workflows whose template changes."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan
from concertmaster.core.text import count

NAME = "secure-reference"
_KINDS = ("WorkflowTemplate", "ClusterWorkflowTemplate")


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed while runs are active where Argo compares stored templates, and where that is not known."""
    facts = situation.facts
    if plan.target.kind not in _KINDS:
        return passed(NAME, "no run refers to it", waiting=True)
    if facts.secure is False:
        return passed(NAME, "Argo does not compare templates with running workflows", waiting=True)
    if facts.active_runs == 0:
        return passed(NAME, "no run is active", waiting=True)
    if facts.active_runs is None:
        return closed(
            NAME, "Unknown", f"whether runs are active is not known: {facts.why('active_runs')}", waiting=True
        )
    if facts.secure is None:
        why = facts.why("secure")
        message = f"{count(facts.active_runs, 'run')} active, and Argo's templateReferencing is not known: {why}"
        return closed(NAME, "ActiveRuns", message, waiting=True)
    message = f"templateReferencing is Secure and {count(facts.active_runs, 'run')} active, which a change would fail"
    return closed(NAME, "ActiveRuns", message, waiting=True)
