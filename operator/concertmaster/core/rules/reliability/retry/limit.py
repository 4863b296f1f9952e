"""Required number of retries: the smallest limit that reaches the target success rate.

Attempts are not independent: some failures are transient (a lost node, a busy service), others permanent (a bug, too little
memory). Rates are therefore estimated separately: how often a first attempt fails, how often a first retry succeeds, and how
often one succeeds after a failed retry, where most of what is transient is gone. All have a Beta prior, so that three
failures carry little weight. Where no retry was seen, the attempts most like one show the second: those made close to a
failed one, or at the same hour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

from concertmaster.core import text
from concertmaster.core.model import Interval
from concertmaster.core.rules.intervals import wilson
from concertmaster.core.units import DAY, HOUR

_MIN_ITEMS = 10  # items with attempts
FIRST = "first attempts"
MAX_RETRIES = 5  # beyond five retries, fix the cause instead
_MAX_FAILING_SHARE = 0.05  # share of executions that retries may leave failing


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
    to succeed as often as, where none was observed. ``again``: the share (0 to 1) of added retries that succeed, with its
    90% interval; the most, without an interval, where none was ``shown``: seen after a failed retry.
    """

    limit: int | None
    success: float | None
    success_now: float | None
    like: LikeRetry | None
    again: Interval
    shown: bool
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
    failed_first = sum([c.attempts[:1] == (False,) for c in usable])
    first = failed_first / len(usable) if usable else 0.0
    retried, repeated = retries(chains)
    like = None if retried else like or LikeRetry(1.0 - first, FIRST)
    once = _shrunk(retried) if like is None else like.success
    again = share_after(chains) or Interval(once, once, once)
    now = 1.0 - sum([c.failed for c in usable]) / len(usable) if usable else None
    found = RetryLimit(None, None, now, like, again, bool(repeated), "")
    if (seen := sum([bool(c.attempts) for c in usable])) < _MIN_ITEMS:
        return replace(found, reason=f"{seen} executions, {_MIN_ITEMS} are needed")
    if not failed_first:
        return replace(found, limit=0, success=1.0, reason="no attempt failed")
    failing = (failed_first + 0.5) / (len(usable) + 1.0)
    made = [0.0, once, *[_shrunk(repeated)] * (max(len(c.attempts) for c in usable) - 2)]
    for limit, share in enumerate([*made, *[again.likely] * MAX_RETRIES][: MAX_RETRIES + 1]):
        failing *= 1.0 - share
        if 1.0 - failing >= target:
            reason = f"{failed_first} of {len(usable)} first attempts failed"
            return replace(found, limit=limit, success=1.0 - failing, reason=reason)
    reason = f"even {MAX_RETRIES} retries would not reach the target: these failures are not transient"
    return replace(found, success=1.0 - failing, reason=reason)


def retries(chains: Iterable[AttemptChain]) -> tuple[list[bool], list[bool]]:
    """Whether they succeeded, of first retries and of those that followed a failed retry."""
    tried = [c.attempts for c in chains if len(c.attempts) > 1]
    return [attempts[1] for attempts in tried], [ok for attempts in tried for ok in attempts[2:]]


def share_after(chains: Iterable[AttemptChain]) -> Interval | None:
    """The share (0 to 1) of retries after those that were made that will succeed, with its 90% interval; None where none
    followed a failed one. Where fewer of these helped than of first ones, what is transient dwindles, and will go on to."""
    retried, repeated = retries(chains)
    if not repeated:
        return None
    likely, (low, high) = _shrunk(repeated), wilson(sum(repeated) / len(repeated), len(repeated))
    fewer = min(1.0, likely / _shrunk(retried))
    return Interval(min(low, likely) * fewer, likely * fewer, max(high, likely))


def never_enough(success: float) -> bool:
    """Whether too many executions still fail with any limit, if this share (0 to 1) of their attempts succeeds."""
    return (1.0 - success) ** (MAX_RETRIES + 1) > _MAX_FAILING_SHARE


def _shrunk(succeeded: Sequence[bool]) -> float:
    """The succeeded share (0 to 1), with a Beta prior."""
    return (sum(succeeded) + 0.5) / (len(succeeded) + 1.0)


def rescued_runs(runs: Sequence[RunItems], again: Interval, added: int) -> Interval:
    """Share (0 to 1) of the runs with failed items in which all of them would succeed with so many ``added`` retries, of
    which this share succeeds ``again``."""
    failed = [run.failed for run in runs if run.failed]
    low, likely, high = (
        fmean([(1.0 - (1.0 - share) ** added) ** items for items in failed])
        for share in (again.low, again.likely, again.high)
    )
    return Interval(low, likely, high)
