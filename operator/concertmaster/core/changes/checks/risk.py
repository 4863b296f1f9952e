"""Risk: no change riskier than the policy accepts."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan
from concertmaster.core.model import Level

NAME = "risk"
_ORDER = list(Level)


def check(plan: Plan, situation: Situation) -> Verdict:
    """Compares the recommendation's risk with apply.maxRisk."""
    most = situation.rights.max_risk
    if _ORDER.index(plan.risk) > _ORDER.index(most):
        return closed(
            NAME, "TooRisky", f"risk is {plan.risk.value}, and the policy accepts {most.value} (apply.maxRisk)"
        )
    return passed(NAME, f"risk is {plan.risk.value}")
