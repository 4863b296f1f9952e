"""Required number of retries: the smallest limit that reaches the target success rate.

Attempts are not independent: some failures are transient (a lost node, a busy service), others permanent (a bug, too little
memory). Two rates are therefore estimated separately: how often a first attempt fails, and how often a further attempt
succeeds after a failure. Both have a Beta prior, so that three failures carry little weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MIN_ITEMS = 10  # items with attempts
MAX_RETRIES = 5  # beyond five retries, fix the cause instead


@dataclass(frozen=True, slots=True)
class AttemptChain:
    """Attempts of one item of one run whose ends were seen, in order: True for success. ``unseen``: the end of the last
    one was not, and counts as no failure."""

    attempts: tuple[bool, ...]
    unseen: bool = False

    @property
    def failed(self) -> bool:
        """Whether the item failed for good."""
        return not self.unseen and not self.attempts[-1]


@dataclass(frozen=True, slots=True)
class RetryLimit:
    """``limit``: smallest number of retries that reaches the target; None if none up to 5 does, or too little is known.

    ``success``: predicted share (0 to 1) at ``limit``; ``success_now``: the observed one. ``assumed``: no retry was
    observed, and failures are assumed to be independent.
    """

    limit: int | None
    success: float | None
    success_now: float | None
    assumed: bool
    reason: str


def retry_limit(chains: Sequence[AttemptChain], target: float) -> RetryLimit:
    """Retry limit from the attempts of each item. ``target``: success to reach (0 to 1)."""
    usable = [c for c in chains if c.attempts or c.unseen]
    if (seen := sum([bool(c.attempts) for c in usable])) < _MIN_ITEMS:
        return RetryLimit(None, None, None, False, f"{seen} executions, {_MIN_ITEMS} are needed")
    failed_first = sum([c.attempts[:1] == (False,) for c in usable])
    later = [ok for c in usable for ok in c.attempts[1:]]
    now = 1.0 - sum([c.failed for c in usable]) / len(usable)
    first = failed_first / len(usable)
    if not failed_first:
        return RetryLimit(0, 1.0, now, False, "no attempt failed")
    assumed = not later
    again = 1.0 - first if assumed else (sum(later) + 0.5) / (len(later) + 1.0)
    shrunk_first = (failed_first + 0.5) / (len(usable) + 1.0)
    for limit in range(MAX_RETRIES + 1):
        success = 1.0 - shrunk_first * (1.0 - again) ** limit
        if success >= target:
            return RetryLimit(limit, success, now, assumed, f"{failed_first} of {len(usable)} first attempts failed")
    return RetryLimit(
        None,
        1.0 - shrunk_first * (1.0 - again) ** MAX_RETRIES,
        now,
        assumed,
        f"even {MAX_RETRIES} retries would not reach the target: these failures do not pass by themselves",
    )
