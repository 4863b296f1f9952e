"""How many retries a step needs: the smallest limit that reaches the success asked for.

Attempts are not independent coins: some failures pass (a lost node, a busy service), others never do (a bug, too little
memory). So two rates are kept apart: how often a first attempt fails, and how often a further attempt after a failure
succeeds. Both are shrunk towards ignorance (Beta prior), so that three failures do not prove much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST = 5  # beyond five retries the cause is to be mended, not the limit


@dataclass(frozen=True, slots=True)
class Chain:
    """The attempts of one item of one run, in order: True for success. ``wasted`` are the seconds of failed attempts."""

    attempts: tuple[bool, ...]
    wasted: float = 0.0


@dataclass(frozen=True, slots=True)
class RetryAdvice:
    """``limit``: smallest number of retries that reaches the objective; None when none up to 5 does, or too little is known.

    ``first_failure`` and ``retry_success`` are shares (0 to 1), the latter None when no retry was seen; then failures are
    taken as independent, which ``assumed`` tells. ``success`` is the predicted success at ``limit``, ``success_now`` the
    observed one. ``wasted_per_run`` seconds are what failed attempts took on average.
    """

    limit: int | None
    success: float | None
    success_now: float | None
    first_failure: float | None
    retry_success: float | None
    assumed: bool
    wasted_per_run: float
    reason: str


def retry_advice(chains: Sequence[Chain], target: float = 0.99, *, least: int = 10) -> RetryAdvice:
    """Advice from the attempts of each item. ``target`` is the success wanted (0 to 1); ``least`` chains are needed."""
    usable = [c for c in chains if c.attempts]
    if len(usable) < max(1, least):
        return RetryAdvice(None, None, None, None, None, False, 0.0, f"{len(usable)} executions, {least} are needed")
    failed_first = sum(not c.attempts[0] for c in usable)
    later = [ok for c in usable for ok in c.attempts[1:]]
    now = sum(c.attempts[-1] for c in usable) / len(usable)
    wasted = sum(c.wasted for c in usable) / len(usable)
    first = failed_first / len(usable)
    if not failed_first:
        return RetryAdvice(0, 1.0, now, 0.0, None, False, wasted, "no attempt failed")
    assumed = not later
    again = 1.0 - first if assumed else (sum(later) + 0.5) / (len(later) + 1.0)
    shrunk_first = (failed_first + 0.5) / (len(usable) + 1.0)
    for limit in range(MOST + 1):
        success = 1.0 - shrunk_first * (1.0 - again) ** limit
        if success >= target:
            return RetryAdvice(
                limit,
                success,
                now,
                first,
                None if assumed else again,
                assumed,
                wasted,
                f"{failed_first} of {len(usable)} first attempts failed",
            )
    return RetryAdvice(
        None,
        1.0 - shrunk_first * (1.0 - again) ** MOST,
        now,
        first,
        None if assumed else again,
        assumed,
        wasted,
        f"even {MOST} retries would not reach the target: these failures do not pass by themselves",
    )
