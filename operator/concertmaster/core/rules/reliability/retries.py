"""How many retries a step needs: the smallest limit that reaches the success asked for.

Attempts are not independent coins: some failures pass (a lost node, a busy service), others never do (a bug, too little
memory). So two rates are kept apart: how often a first attempt fails, and how often a further attempt after a failure
succeeds. Both are shrunk towards ignorance (Beta prior), so that three failures do not say much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST = 5  # beyond five retries the cause is to be fixed, not the limit


@dataclass(frozen=True, slots=True)
class Chain:
    """The attempts of one item of one run, in order: True for success. ``wasted`` are the seconds of failed attempts."""

    attempts: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class RetryLimit:
    """``limit``: smallest number of retries that reaches the objective; None when none up to 5 does, or too little is known.

    ``success`` is the predicted share (0 to 1) at ``limit``, ``success_now`` the observed one. ``assumed``: no retry was
    seen, and failures are taken as independent.
    """

    limit: int | None
    success: float | None
    success_now: float | None
    assumed: bool
    reason: str


def retry_limit(chains: Sequence[Chain], target: float = 0.99, *, least: int = 10) -> RetryLimit:
    """Retries needed by the attempts of each item. ``target``: success to reach (0 to 1); ``least`` chains are needed."""
    usable = [c for c in chains if c.attempts]
    if len(usable) < max(1, least):
        return RetryLimit(None, None, None, False, f"{len(usable)} executions, {least} are needed")
    failed_first = sum(not c.attempts[0] for c in usable)
    later = [ok for c in usable for ok in c.attempts[1:]]
    now = sum(c.attempts[-1] for c in usable) / len(usable)
    first = failed_first / len(usable)
    if not failed_first:
        return RetryLimit(0, 1.0, now, False, "no attempt failed")
    assumed = not later
    again = 1.0 - first if assumed else (sum(later) + 0.5) / (len(later) + 1.0)
    shrunk_first = (failed_first + 0.5) / (len(usable) + 1.0)
    for limit in range(MOST + 1):
        success = 1.0 - shrunk_first * (1.0 - again) ** limit
        if success >= target:
            return RetryLimit(limit, success, now, assumed, f"{failed_first} of {len(usable)} first attempts failed")
    return RetryLimit(
        None,
        1.0 - shrunk_first * (1.0 - again) ** MOST,
        now,
        assumed,
        f"even {MOST} retries would not reach the target: these failures do not pass by themselves",
    )
