"""Largest step: no change moves a value further than the policy lets one change go."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan
from concertmaster.core.text import percent

NAME = "largest-step"
_SLACK = 1e-3  # rounding to a whole millicore or Mi is no step of its own


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed where nothing is set now (no step can be told) and beyond bounds.maxStepPercent."""
    most = situation.rights.bounds.max_step
    for s in plan.settings:
        change = s.change
        if change is None:
            message = f"nothing is set at {s.pointer} now; set a first value by hand"
            return closed(NAME, "NoValueNow", message)
        if abs(change) > most + _SLACK:
            message = (
                f"{s.old_literal} to {s.new_literal} is {percent(abs(change))} in one step, at most {percent(most)}"
            )
            return closed(NAME, "StepTooLarge", f"{message} (apply.bounds.maxStepPercent)")
    return passed(NAME, "no step is too large" if plan.whole else "goes as far as one step may")
