"""Harm that shows after a change was kept: failures and OOM kills that are too rare for the runs of a verification.

A rate that rises from 1 to 8% fails two runs of a verification, but sixteen of MOST_RUNS. All runs since the change are
judged as in ``harm``, by a test that may be repeated after every run: looking further adds hardly any false alarms. Bad runs
in a row count as one, before and after: an outage that comes later is one event, and says nothing of the change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from concertmaster.core.changes.verification.attribution import LoweredMemory, out_of_memory
from concertmaster.core.changes.verification.before_after import BeforeAfter
from concertmaster.core.changes.verification.harm import more
from concertmaster.core.model import Outcome
from concertmaster.core.model.policy import VerifySettings
from concertmaster.core.stats.comparison import MIN_RUNS
from concertmaster.core.text import count

MOST_RUNS = 200  # since the change
_KNOWN = 1e6  # runs that tell a share exactly
_AGES = 2.0  # times verify.maxAge: a week of its verification, and another one
_AGAIN = 1.1  # times the age at the last look: two dozen looks in two weeks, each of which reads hundreds of runs


def watched_until(settings: VerifySettings) -> float:
    """Seconds after a change up to which it is watched if it is kept; ``settings`` as of ``scheduled``."""
    return _AGES * settings.max_age_seconds


def next_look(age: float) -> float:
    """The age (seconds since the change) of the next look after one at ``age``."""
    return _AGAIN * age


def later_harm(before_after: BeforeAfter, steps: Collection[str], lowered: LoweredMemory | None) -> str | None:
    """Why a change of ``steps`` (empty: the whole workflow) that was kept turned out to do harm; None if it did not.
    ``lowered``: None unless it lowers a memory request. Its kills are also compared with what a size accepts, where there
    were none before: few runs before it leave room for more."""
    before, after = before_after.before, before_after.after[:MOST_RUNS]
    failed, were_failed = ([r.outcome is Outcome.FAILED for r in side] for side in (after, before))
    killed, were_killed = ([out_of_memory(r, steps) for r in side] for side in (after, before))
    accepted = lowered.accepted if lowered is not None and not any(were_killed) else None
    return _risen(failed, were_failed, "failed") or _risen(
        killed, were_killed, "had a container killed for lack of memory", accepted
    )


def _risen(bad: Sequence[bool], earlier: Sequence[bool], what: str, accepted: float | None = None) -> str | None:
    """That runs are bad more often than ``earlier`` ones, or than is ``accepted`` (a share; None: nothing is)."""
    times = _first(bad)
    found = more(times, sum(_first(earlier)), len(earlier))
    if found is None and accepted is not None and len(earlier) >= MIN_RUNS:
        found = more(times, accepted * _KNOWN, _KNOWN)
    if found is None:
        return None
    runs, before = count(found[1], "run"), f"{sum(earlier)} of {len(earlier)} before"
    return f"seen after the change was kept: {sum(bad[: found[1]])} of {runs} since it {what}, {before}"


def _first(bad: Sequence[bool]) -> list[bool]:
    """Those after a run that was not bad."""
    return [now and not last for last, now in pairwise([False, *bad])]
