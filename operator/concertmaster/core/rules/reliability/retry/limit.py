"""Required number of retries: the smallest limit that reaches the target success rate.

Attempts are not independent: some failures are transient (a lost node, a busy service), others permanent (a bug, too little
memory). Two rates are therefore estimated separately: how often a first attempt fails, and how often a further attempt
succeeds after a failure. Both have a Beta prior, so that three failures carry little weight. Where no retry was seen, the
attempts most like one show the second: those made close to a failed one, or at the same hour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from concertmaster.core import text
from concertmaster.core.units import DAY, HOUR

_MIN_ITEMS = 10  # items with attempts
FIRST = "first attempts"
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


class RunItems(NamedTuple):
    """How many items of a step ``failed`` for good, of how ``many``, in a run with this ``start`` (unix seconds; None:
    unknown). ``passes``: a retry leaves behind what failed first, as with a lost node, which takes other items along."""

    start: float | None
    failed: int
    many: int
    passes: bool = False

    @property
    def success(self) -> float:
        """Share (0 to 1) of its items that did not fail."""
        return 1.0 - self.failed / self.many


class LikeRetry(NamedTuple):
    """Share (0 to 1) of ``success`` to expect of a retry where none was seen, and of which attempts that is the share."""

    success: float
    of: str

    def __str__(self) -> str:
        return f"{self.of} ({text.percent(self.success)})"


@dataclass(frozen=True, slots=True)
class RetryLimit:
    """``limit``: smallest number of retries that reaches the target; None if none up to 5 does, or too little is known.

    ``success``: predicted share (0 to 1) at ``limit``; ``success_now``: the observed one. ``like``: what a retry is taken
    to succeed as often as, where none was observed.
    """

    limit: int | None
    success: float | None
    success_now: float | None
    like: LikeRetry | None
    reason: str


def like_retry(runs: Sequence[RunItems]) -> LikeRetry | None:
    """What succeeds least of all that is like a retry of a failed item, from the step's runs, oldest first; None where none
    failed.

    The other items of its run (unless what failed there passes) and the next run show what lasts longer than an attempt:
    then a retry fails as well. The other runs at the same hour (UTC) show what comes every day. Where failures are
    independent, all of them succeed as often as first attempts do; the share of these is the prior of the others, with the
    weight of one run.
    """
    failing = [at for at, run in enumerate(runs) if run.failed]
    if not failing:
        return None
    first = 1.0 - sum([run.failed for run in runs]) / sum([run.many for run in runs])
    of_hour: dict[int, list[float]] = defaultdict(list)
    for run in runs:
        if run.start is not None:
            of_hour[_hour(run.start)].append(run.success)
    others, later, hourly = [], [], []
    for at in failing:
        run = runs[at]
        if run.many > 1:
            others.append(first if run.passes else 1.0 - (run.failed - 1) / (run.many - 1))
        if at + 1 < len(runs):
            later.append(runs[at + 1].success)
        same = of_hour[_hour(run.start)] if run.start is not None else []
        if len(same) > 1:
            hourly.append((sum(same) - run.success) / (len(same) - 1))
    seen = ((others, "the other items of these runs"), (later, "the next run"), (hourly, "other runs at the same hour"))
    likely = [LikeRetry(fmean([*shares, first]), of) for shares, of in seen if shares]
    return min([LikeRetry(first, FIRST), *likely])


def _hour(start: float) -> int:
    return int(start % DAY // HOUR)


def retry_limit(chains: Sequence[AttemptChain], target: float, like: LikeRetry | None = None) -> RetryLimit:
    """Retry limit from the attempts of each item. ``target``: success to reach (0 to 1). ``like``: what is most like a
    retry, where none was seen (None: first attempts)."""
    usable = [c for c in chains if c.attempts or c.unseen]
    if (seen := sum([bool(c.attempts) for c in usable])) < _MIN_ITEMS:
        return RetryLimit(None, None, None, None, f"{seen} executions, {_MIN_ITEMS} are needed")
    failed_first = sum([c.attempts[:1] == (False,) for c in usable])
    later = [ok for c in usable for ok in c.attempts[1:]]
    now = 1.0 - sum([c.failed for c in usable]) / len(usable)
    first = failed_first / len(usable)
    if not failed_first:
        return RetryLimit(0, 1.0, now, None, "no attempt failed")
    like = None if later else like or LikeRetry(1.0 - first, FIRST)
    again = (sum(later) + 0.5) / (len(later) + 1.0) if like is None else like.success
    shrunk_first = (failed_first + 0.5) / (len(usable) + 1.0)
    for limit in range(MAX_RETRIES + 1):
        success = 1.0 - shrunk_first * (1.0 - again) ** limit
        if success >= target:
            return RetryLimit(limit, success, now, like, f"{failed_first} of {len(usable)} first attempts failed")
    return RetryLimit(
        None,
        1.0 - shrunk_first * (1.0 - again) ** MAX_RETRIES,
        now,
        like,
        f"even {MAX_RETRIES} retries would not reach the target: these failures are not transient",
    )


def rescued_runs(runs: Sequence[RunItems], recommended: RetryLimit) -> float:
    """Share (0 to 1) of the runs with failed items in which all of them would succeed with the recommended limit."""
    now, then = recommended.success_now or 0.0, recommended.success or 0.0
    of_items = max(0.0, 1.0 - (1.0 - then) / (1.0 - now)) if now < 1.0 else 0.0
    return fmean([of_items**run.failed for run in runs if run.failed])
