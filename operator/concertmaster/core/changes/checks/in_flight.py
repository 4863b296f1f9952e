"""In flight: what is being proven must be proven before the next change, or nobody can tell which of them did what."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan
from concertmaster.core.text import count

NAME = "in-flight"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed while apply.maxInFlight changes of this workflow or any of the same object are under verification, or the
    rate of writes is used up."""
    flying, most = situation.in_flight, situation.rights.max_in_flight
    if len(flying) >= most:
        names = ", ".join(flying[:3])
        message = (
            f"{count(len(flying), 'change')} of this workflow under verification ({names}), at most {most} at a time"
        )
        return closed(NAME, "InFlight", message)
    if situation.elsewhere:
        names = ", ".join(situation.elsewhere[:3])
        message = f"another change of {plan.target} is under verification ({names}): the same runs would prove both"
        return closed(NAME, "InFlight", message)
    if situation.writes_left <= 0:
        message = "the namespace had its share of changes in this minute (limits.changesPerMinute)"
        return closed(NAME, "RateLimited", message, waiting=True)
    return passed(NAME, "no other change is in the way", waiting=True)
