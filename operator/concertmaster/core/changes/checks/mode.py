"""Mode: whether the policy lets anything be changed, and whether a person must say yes first."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan

NAME = "mode"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Auto needs a rule that may act by itself and has not lost that right; everything else needs an approval."""
    rights = situation.rights
    if rights.policy is None or rights.mode not in ("Approve", "Auto"):
        policy = rights.policy or "no policy"
        return closed(NAME, "ModeRecommend", f"mode is Recommend ({policy}); set apply.mode to Approve or Auto")
    if situation.approved:
        return passed(NAME, "a person approved it")
    if rights.mode == "Approve":
        return closed(NAME, "NeedsApproval", "mode is Approve: it waits for a decision", waiting=True)
    if not plan.automatic:
        return closed(
            NAME, "NeedsApproval", f"rule {plan.rule} never acts by itself: it waits for a decision", waiting=True
        )
    if situation.withdrawn is not None:
        return closed(NAME, "RightWithdrawn", f"{situation.withdrawn}; it waits for a decision", waiting=True)
    if situation.unsure is not None:
        return closed(NAME, "CannotBeProven", f"{situation.unsure}; it waits for a decision", waiting=True)
    return passed(NAME, f"mode is Auto ({rights.policy})")
