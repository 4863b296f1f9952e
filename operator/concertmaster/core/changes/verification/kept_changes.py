"""Harm that shows after a change was kept: failures and OOM kills that are too rare for the runs of a verification.

A rate that rises from 1 to 8% fails two runs of a verification, but sixteen of MAX_RUNS. All runs since the change are
judged as in ``harm``, by a test that may be repeated after every run: this adds hardly any false alarms. Bad runs in a row
count as one, before and after (but for kills where memory was lowered): an outage that comes later is one event, and says
nothing of the change. Failures that other workflows share are left out, as in a verification (``shared``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from concertmaster.core.changes.verification.attribution import LoweredMemory
from concertmaster.core.changes.verification.before_after import BeforeAfter, out_of_memory
from concertmaster.core.model import Outcome
from concertmaster.core.model.policy import VerifySettings
from concertmaster.core.stats.comparison import MIN_RUNS
from concertmaster.core.stats.rate_increase import first_excess
from concertmaster.core.text import count

MAX_RUNS = 200  # since the change
_KNOWN = 1e6  # runs that tell a share exactly
_AGES = 2.0  # times verify.maxAge: a week of its verification, and another one
_RECHECK_FACTOR = 1.2  # times the age at the last check: some fifteen checks in two weeks, each reads hundreds of runs


def watched_until(settings: VerifySettings) -> float:
    """Seconds after a change up to which it is monitored if it is kept; ``settings`` as of ``scheduled``."""
    return _AGES * settings.max_age_seconds


def next_check(age: float) -> float:
    """The age (seconds since the change) at the next check after one at ``age``."""
    return _RECHECK_FACTOR * age


def later_harm(before_after: BeforeAfter, steps: Collection[str], lowered: LoweredMemory | None) -> str | None:
    """Why a change of ``steps`` (empty: the whole workflow) that was kept turned out to do harm; None if it did not.
    ``lowered``: None unless it lowers a memory request. Its kills are also compared with what a size accepts, where there
    were none before: few runs before it leave room for more. And each of them counts: no outage kills for memory, but inputs
    that have outgrown the request kill run after run."""
    before, after = before_after.before, before_after.after[:MAX_RUNS]
    failed, were_failed = ([r.outcome is Outcome.FAILED for r in side] for side in (after, before))
    killed, were_killed = ([out_of_memory(r, steps) for r in side] for side in (after, before))
    accepted = lowered.accepted if lowered is not None and not any(were_killed) else None
    of_events = _risen(failed, were_failed, "failed")
    return of_events or _risen(
        killed, were_killed, "had a container killed for lack of memory", accepted, each=lowered is not None
    )


def _risen(
    bad: Sequence[bool], earlier: Sequence[bool], what: str, accepted: float | None = None, *, each: bool = False
) -> str | None:
    """That runs are bad more often than ``earlier`` ones, or than is ``accepted`` (a share; None: nothing is). ``each``: bad
    runs in a row do not count as one."""
    times, before = (bad, earlier) if each else (_first(bad), _first(earlier))
    found = first_excess(times, sum(before), len(before))
    if found is None and accepted is not None and len(earlier) >= MIN_RUNS:
        found = first_excess(times, accepted * _KNOWN, _KNOWN)
    if found is None:
        return None
    runs = count(found[1], "run")
    since = f"{sum(bad[: found[1]])} of {runs} after it {what}"
    return f"found after the change was kept: {since}, {sum(earlier)} of {len(earlier)} before"


def _first(bad: Sequence[bool]) -> list[bool]:
    """Those after a run that was not bad."""
    return [now and not last for last, now in pairwise([False, *bad])]
