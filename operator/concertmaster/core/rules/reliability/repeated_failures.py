"""Steps at which many runs fail, but not all: since a certain day, or again and again despite retries."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from concertmaster.core.analysis.runs.executions import unseen_at
from concertmaster.core.model import Outcome, RunRecord, StepExecution
from concertmaster.core.rules.reliability.retry.attempts import MIN_ATTEMPTS, Attempts, goes_on
from concertmaster.core.rules.reliability.retry.limit import LikeRetry, like_retry, never_enough
from concertmaster.core.stats.exact import is_over
from concertmaster.core.units import DAY

_RATIO = 6.0  # log-likelihood ratio: exceeded by chance less than once in a hundred windows
_LIKELY_RATIO = 3.0  # from which an increase is likely, if not significant
_RISE = 0.1  # least increase of the failed share of runs
_NEWER = 0.5  # least share of the failed share since then that the newer half of these runs has
_STAYS = 0.5  # of these numbers, for what the last analysis published
_QUIET = 3 * DAY  # without a failure: what fails on working days only has not ended at the weekend
_SEEN = 0.1  # more of the runs seen than before, from which an increase may be one of what is seen


@dataclass(frozen=True, slots=True)
class RepeatedFailures:
    """The step at which runs fail. ``ends``: for every run of the window, oldest first, whether it failed there (None:
    unknown); ``begin``: position of the first one that counts, with the ``failures`` since then. ``since``: its start (unix
    seconds) where failures have increased; without it failures were more frequent before it, if any run is. ``lately``:
    failed runs and runs since a likely increase, where none is significant. ``attempts``: at the step; where no
    retry was seen, ``hopeless``: what one would fail as often as."""

    step: str
    ends: tuple[bool | None, ...]
    begin: int
    failures: tuple[StepExecution, ...]
    since: float | None
    lately: tuple[int, int] | None
    attempts: Attempts
    hopeless: LikeRetry | None

    @property
    def failed(self) -> int:
        """Runs that failed there."""
        return len(self.failures)

    @property
    def of(self) -> int:
        """Runs that count."""
        return len(self.ends) - self.begin

    @property
    def unseen(self) -> int:
        """Runs among them that may have failed there or not."""
        return self.ends[self.begin :].count(None)

    @property
    def earlier(self) -> int:
        """Runs before them that failed there."""
        return self.ends[: self.begin].count(True)


def rise(failed: Sequence[bool | None], *, published: bool = False) -> int | None:
    """Position from which failures (True) are more frequent; None when not significant or no longer the case.
    ``published``: by the last analysis, so that half as clear an increase is enough.

    Where it is unknown whether a run failed (None), it counts as not failed. An increase that may only be one of what is
    seen is none.
    """
    flags, part = [own is True for own in failed], _STAYS if published else 1.0
    at = _increase(flags, part * _RATIO, part * _RISE)
    if at is None or (None in failed and not _seen_alike(failed, at) and not _seen_to_rise(failed, at, part)):
        return None
    since = flags[at:]
    newest = _newer_half(since)
    return at if sum(newest) / len(newest) >= part * _NEWER * sum(since) / len(since) else None


def _seen_alike(failed: Sequence[bool | None], at: int) -> bool:
    """Whether no smaller share of the runs that are not known to have failed was seen before ``at`` than since then."""
    before, since = ([own for own in part if own is not True] for part in (failed[:at], failed[at:]))
    return before.count(False) * len(since) >= (since.count(False) - _SEEN * len(since)) * len(before)


def _seen_to_rise(failed: Sequence[bool | None], at: int, part: float) -> bool:
    """Whether failures increased at ``at`` among the runs of which it is known, by ``part`` of what is required."""
    before, since = ([own for own in side if own is not None] for side in (failed[:at], failed[at:]))
    if not before or sum(since) / len(since) - sum(before) / len(before) < part * _RISE:
        return False
    apart = _likelihood(sum(before), len(before)) + _likelihood(sum(since), len(since))
    return apart - _likelihood(sum(before) + sum(since), len(before) + len(since)) >= part * _RATIO


def _fall(flags: Sequence[bool]) -> int:
    """Position from which failures (True) are less frequent; 0 when not significant."""
    at = _increase(flags[::-1], _RATIO, _RISE)
    return len(flags) - at if at is not None else 0


def _lately(flags: Sequence[bool]) -> tuple[int, int] | None:
    """Failures, and runs, since they may have become more frequent; None when that is not likely, or over."""
    at = _increase(flags, _LIKELY_RATIO, _RISE)
    if at is None:
        return None
    since = flags[at:]
    return (sum(since), len(since)) if any(_newer_half(since)) else None


def _newer_half(flags: Sequence[bool]) -> Sequence[bool]:
    return flags[len(flags) // 2 :]


def _ended(failed: Sequence[bool | None], runs: Sequence[RunRecord]) -> bool:
    """Whether no more ``runs`` fail, which is beyond chance, and not only for a weekend. It is unknown (None) whether some
    failed: these may have."""
    flags = [own is not False for own in failed]
    last, now = ((run.end or run.start or 0.0) for run in (runs[len(flags) - 1 - flags[::-1].index(True)], runs[-1]))
    return now - last >= _QUIET and is_over(flags)


def _increase(flags: Sequence[bool], ratio: float, rise: float) -> int | None:
    """The most likely position from which the share of failures is higher by ``rise``; None when its log-likelihood
    ratio is smaller than ``ratio``, or fewer than ``MIN_ATTEMPTS`` lie behind it."""
    count, total = len(flags), sum(flags)
    best, at = 0.0, None
    whole = _likelihood(total, count)
    early = 0
    for i in range(1, count):
        early += flags[i - 1]
        late = total - early
        if not flags[i] or late / (count - i) - early / i < rise:
            continue
        likelihood = _likelihood(early, i) + _likelihood(late, count - i) - whole
        if likelihood > best:
            best, at = likelihood, i
    return at if at is not None and best >= ratio and sum(flags[at:]) >= MIN_ATTEMPTS else None


def _likelihood(hits: int, of: int) -> float:
    """Log-likelihood of ``hits`` out of ``of`` at the observed rate."""
    return sum(k * math.log(k / of) for k in (hits, of - hits) if k)


def _failed_at(step: str, run: RunRecord, culprits: Mapping[str, Mapping[str, StepExecution]]) -> bool | None:
    """Whether the run failed at the step; None where that is unknown."""
    if step in culprits.get(run.run, {}):
        return True
    return None if unseen_at(run, step) else False


def _hopeless(own: Attempts, since: float | None) -> LikeRetry | None:
    """What is most like a retry, if none was seen and that fails so often in the runs since then (unix seconds; None: all)
    that with any limit of retries too many of them would still fail; else None."""
    if own.retries:
        return None
    recent = [run for run in own.runs if since is None or run.start is None or run.start >= since]
    like = like_retry(recent)
    return like if like is not None and never_enough(like.success) else None


def repeated(
    runs: Sequence[RunRecord],
    culprits: Mapping[str, Mapping[str, StepExecution]],
    attempts: Mapping[str, Attempts],
    published: Collection[str] = (),
) -> list[RepeatedFailures]:
    """Steps at which runs fail more often since a certain day, or often despite retries; most failures first.

    Without an increase, failures count in episodes, and from where on they are as frequent as now: an outage that is over
    is not going on, however many runs it hit.

    ``culprits``: for each failed run, the final failure by step. ``attempts``: of each step that failed. ``published``:
    steps that the last analysis reported, which need half as clear an increase.
    """
    ended = [r for r in runs if r.outcome in (Outcome.SUCCEEDED, Outcome.FAILED) or r.unseen]
    out = []
    for step in dict.fromkeys(s for own in culprits.values() for s in own):
        failed = [_failed_at(step, r, culprits) for r in ended]
        flags = [own is True for own in failed]
        likely = rise(failed, published=True)
        if likely is not None and _ended(failed[likely:], ended[likely:]):
            continue  # published or not: else it would be withdrawn, and published again by the next analysis
        at = likely if step in published else rise(failed)
        own = attempts.get(step, Attempts())
        begin = at if at is not None else _fall(flags)
        recent = flags[begin:]
        hopeless = _hopeless(own, ended[begin].start)
        useless = own.useless or hopeless is not None
        if at is None and not (useless and sum(recent) >= MIN_ATTEMPTS and goes_on(failed[begin:])):
            continue
        failures = tuple(culprits[r.run][step] for r, failed in zip(ended[begin:], recent, strict=True) if failed)
        since = ended[begin].start if at is not None else None
        lately = _lately(recent) if at is None else None
        out.append(RepeatedFailures(step, tuple(failed), begin, failures, since, lately, own, hopeless))
    return sorted(out, key=lambda r: (-r.failed / r.of, r.step))
