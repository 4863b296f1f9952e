"""Shared task: a Task that several Pipelines run is changed for all of them, and the proof looks at one."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Facts, Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan
from concertmaster.core.text import count, listing

NAME = "shared-task"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed for a Task that other Pipelines of the namespace run until a person approved it, and while the Pipelines
    cannot be read."""
    facts = situation.facts
    if facts.sharers is None:
        return closed(NAME, "Unknown", f"who else runs {plan.target} is not known: {facts.why('sharers')}")
    others = told(plan, facts)
    if others is None:
        return passed(NAME, "no other Pipeline runs it")
    if situation.approved:
        return passed(NAME, f"a person approved it although {others}")
    return closed(NAME, "Shared", f"{others}; it waits for a decision", waiting=True)


def told(plan: Plan, facts: Facts) -> str | None:
    """Who else is changed with the Task, in words; None when nobody is."""
    if not facts.sharers:
        return None
    who = f"{count(len(facts.sharers), 'other Pipeline')} ({listing(list(facts.sharers), 5)})"
    return f"{who} {'runs' if len(facts.sharers) == 1 else 'run'} {plan.target} too and would change with it unproven"
