"""Failed runs in a row, and ones that increased: whether that is chance, or over, and how many would no longer fail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from concertmaster.core.model import Interval, Outcome, RunRecord
from concertmaster.core.rules.intervals import failed_share, share_interval
from concertmaster.core.rules.reliability.repeated_failures import RepeatedFailures, rise
from concertmaster.core.rules.reliability.retry.attempts import EPISODES, episodes
from concertmaster.core.rules.upper_bound import HALF
from concertmaster.core.stats.dependence import dependence
from concertmaster.core.stats.exact import is_over
from concertmaster.core.stats.rate_increase import increase

_SIGNIFICANCE = 0.05  # probability of such a streak anywhere in the window, for runs that fail only occasionally
_OVER = 0.05  # probability of no failure in as many of the newest runs, if failures went on


def streak_of(runs: Sequence[RunRecord]) -> tuple[list[RunRecord], list[RunRecord]]:
    """The failed runs since the last one that succeeded, or may have, since its end was not seen; and all runs before
    them. Runs that somebody stopped are ignored."""
    ended = [r for r in runs if r.outcome in (Outcome.SUCCEEDED, Outcome.FAILED) or r.unseen]
    at = next((i + 1 for i in range(len(ended) - 1, -1, -1) if ended[i].outcome is not Outcome.FAILED), 0)
    return ended[at:], ended[:at]


def by_chance(streak: Sequence[RunRecord], before: Sequence[RunRecord]) -> bool:
    """Whether such a streak is likely somewhere in the window, at the failure rate of the runs before it since failures
    increased (the streak may be part of that), or of all of them without an increase."""
    at = rise([None if r.unseen else r.outcome is Outcome.FAILED for r in (*before, *streak)])
    lately = before if at is None else before[at:]
    return chance(len(streak), lately) * len(lately) > _SIGNIFICANCE  # a streak is looked for after every run


def chance(streak: int, before: Sequence[RunRecord]) -> float:
    """Probability of such a streak of failures at the failure rate of the runs before it."""
    failed = sum(r.outcome is Outcome.FAILED for r in before)
    return float(((failed + 1) / (len(before) + 2)) ** streak) if before else 0.0


def lost_to_rows(failed: Sequence[bool]) -> Interval | None:
    """Share (0 to 1) of runs that fail, with its 90% interval: that of the window (``failed``, oldest first), up to all.

    A row of failures is one case, however many runs it has, and whether the present one ends by itself is unknown: all runs
    of a month are a bound, and no likely value, for what may be an outage of hours.
    """
    lost = sum(failed)
    share = share_interval(lost, len(failed), math.sqrt(lost / max(1, episodes(failed))))
    return replace(share, high=1.0) if share is not None else None


def maybe_over(failed: Sequence[bool | None]) -> int:
    """Number of the newest runs of which none failed, where so many are unlikely if failures went on as since the first one;
    else 0. It is unknown (None) whether some failed: these may have."""
    may = [own is not False for own in failed]
    seen = may[may.index(True) :] if True in may else []
    return [*reversed(seen), True].index(True) if is_over(seen, _OVER) else 0


def over_note(quiet: int) -> str:
    """The end of a sentence on failures that are ``maybe_over``; empty for 0."""
    return f"; none of the newest {quiet} runs failed there, so it may be over" if quiet else ""


def earlier_row(failed: Sequence[bool], least: float) -> tuple[int, int] | None:
    """Length of the last row of at least ``least`` failures before the present one, and the position right after it."""
    length = 0
    found = None
    for i, own in enumerate(failed):
        if not own and length >= least:
            found = length, i
        length = length + 1 if own else 0
    return found


def failures_avoided(repeat: RepeatedFailures, *, over: bool) -> Interval | None:
    """Share (0 to 1) of runs that would no longer fail, with its 90% interval; an upper bound where it may be ``over``."""
    share = _share(repeat)
    return Interval(0.0, HALF * share.likely, share.high) if share is not None and over else share


def _share(repeat: RepeatedFailures) -> Interval | None:
    """Share of runs that would no longer fail, with its 90% interval. An increase that is one row of failures or two may be
    an outage, and counts as far as the whole window does, up to all of it. Where an increase is likely but not significant,
    its upper end is that of the runs since then, of whose failures one is taken for a success: the start is chosen with
    hindsight."""
    if repeat.since is not None:
        rose, lost = _increased(repeat), lost_to_rows([own is True for own in repeat.ends])
        if rose is None or lost is None or not is_few(repeat):
            return rose
        return Interval(min(rose.low, lost.low), min(rose.likely, lost.likely), rose.high)
    alike = dependence([own is True for own in repeat.ends[repeat.begin :]])
    share = failed_share(repeat.failed, repeat.of, repeat.unseen, alike)
    if share is None or repeat.lately is None:
        return share
    failed, of = repeat.lately
    lately = share_interval(max(1, failed - 1), of + 1)
    return replace(share, high=max(share.high, lately.high)) if lately is not None else share


def _increased(repeat: RepeatedFailures) -> Interval | None:
    """By how much the failed share has increased. Ends that were not seen count as no failure (``failed_share``), or are
    left out; where all failed that were seen since then, all may have."""
    likely = increase([own is True for own in repeat.ends])
    if likely is None or None not in repeat.ends:
        return likely
    others = [increase([own for own in repeat.ends if own is not None])]
    if repeat.failed + repeat.unseen == repeat.of:
        others.append(increase([own is not False for own in repeat.ends]))
    known = [likely, *(share for share in others if share is not None)]
    return replace(likely, low=min(share.low for share in known), high=max(share.high for share in known))


def is_few(repeat: RepeatedFailures) -> bool:
    """Whether failures have increased by one row of them, or two."""
    return repeat.since is not None and episodes(repeat.ends[repeat.begin :]) < EPISODES
