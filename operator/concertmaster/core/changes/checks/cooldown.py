"""Cooldown: time between two changes of one workflow, longer after each change that had to be taken back."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Past, Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Plan
from concertmaster.core.text import count, duration

NAME = "cooldown"
MOST = 16  # the cooldown doubles after each restore up to this many times its value


def factor(past: tuple[Past, ...]) -> int:
    """2 to the number of restores since the last change that stayed, at most 16."""
    restores = 0
    for change in sorted(past, key=lambda p: p.applied, reverse=True):
        if change.restored is None:
            break
        restores += 1
    return min(MOST, 1 << min(restores, 30))


def until(past: tuple[Past, ...], cooldown: float) -> float | None:
    """When the cooldown is over (unix seconds); None when nothing was changed yet."""
    last = max((max(p.applied, p.restored or 0.0) for p in past), default=None)
    return None if last is None else last + cooldown * factor(past)


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed until the cooldown after the last write is over."""
    cooldown = situation.rights.cooldown_seconds
    end = until(situation.past, cooldown)
    if end is None or situation.now >= end:
        return passed(NAME, "no cooldown holds")
    times = factor(situation.past)
    why = f", {times} times {duration(cooldown)} after {count(times.bit_length() - 1, 'restore')}" if times > 1 else ""
    left = duration(end - situation.now)
    return closed(NAME, "Cooldown", f"the last change was too recently; {left} to go{why} (apply.cooldown)")
