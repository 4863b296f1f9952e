"""Runs since a change that are suspended: they exist, so that none is missing, and show nothing of the change, unless it is
why Kueue does not admit them. Pure.

Kueue admits a run with the requests of all of its pods or not at all, and never one that exceeds what its ClusterQueue can
hold. Where it says so, that is certain; where its Workloads may not be read, runs that wait far longer than any before a
change that raised something are taken for it. Runs that wait for quota in use are admitted sooner or later.
"""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.core.changes.verification.before_after import BeforeAfter
from concertmaster.core.model import SuspendedRun
from concertmaster.core.text import count, duration
from concertmaster.core.units import HOUR

_NEVER = "maximum capacity"  # in Kueue's reason for a Workload that exceeds what its ClusterQueue can hold
_LONGER = 3.0  # times the longest suspension before
# Runs before it of known suspension: with fewer, the next one is often enough three times as long by chance.
_KNOWN_RUNS = 12


def not_admitted(waiting: Sequence[SuspendedRun], before_after: BeforeAfter, now: float) -> str | None:
    """Why runs ``waiting`` ``now`` (unix seconds) since a change that raised what they request are a harm of it; None if
    they are not."""
    queued = [run for run in waiting if run.queue is not None]
    for run in queued:
        if run.why is not None and _NEVER in run.why:
            return f"LocalQueue {run.queue} can never admit runs since the change: {run.why}; {_left(queued)}"
    if not queued or any(run.why is not None for run in queued):
        return None
    each = (r.suspension.seconds if r.suspension is not None else r.queue_time for r in before_after.before)
    known = [seconds for seconds in each if seconds is not None]
    oldest = min(queued, key=lambda run: run.created)
    longest, waited = max(known, default=0.0), now - oldest.created
    if len(known) < _KNOWN_RUNS or waited < _LONGER * longest + HOUR:
        return None
    return (
        f"no run since the change was admitted by LocalQueue {oldest.queue} within {duration(waited)}, each of {len(known)}"
        f" before it within {duration(longest)}: can its ClusterQueue hold what they request now? {_left(queued)}"
    )


def waiting_clause(waiting: Sequence[SuspendedRun]) -> str:
    """What a verification waits for, as a clause."""
    first = min(waiting, key=lambda run: run.created)
    runs = f"{count(len(waiting), 'run')} since the change {'is' if len(waiting) == 1 else 'are'}"
    if first.queue is None:
        return f"{runs} suspended"
    why = f" ({first.why})" if first.why is not None else ""
    return f"{runs} not admitted yet by LocalQueue {first.queue}{why}"


def _left(waiting: Sequence[SuspendedRun]) -> str:
    """What is to be done about runs that keep what they were created with."""
    names = ", ".join(f"{run.kind} {run.name}" for run in waiting[:3])
    more = f" and {len(waiting) - 3} more" if len(waiting) > 3 else ""
    return f"delete {names}{more}, which keep{'s' if len(waiting) == 1 else ''} the requests of the change"
