"""Harm that ends a verification, whatever the aim of the change: kills, failures, requests that are too small, runs that are
clearly slower, and runs that do not come.

Failing runs are judged by their probability under the failure rate before (``first_excess``). Runs that use more memory than
the change left them are judged alike, against the share of runs that a size accepts: the runs before say nothing of it, for
they had more. A clear slowdown bypasses the sequential test: if the first two runs (three with a short baseline)
all take half as long again as the longest run before, on no larger input, chance explains it once in hundreds of changes (by
ranks alone: 1 in 496 after 30 runs).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from statistics import median

from concertmaster.core.changes.verification.attribution import LoweredMemory, killed_for_memory
from concertmaster.core.changes.verification.before_after import AmountsByRun, BeforeAfter, InputSizes, good
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.core.model.engines import QUEUE_LABEL
from concertmaster.core.schedules.starts import readable, upcoming
from concertmaster.core.stats.comparison import MIN_RUNS, CommonFactor
from concertmaster.core.stats.rate_increase import first_excess
from concertmaster.core.text import count, duration, memory, memory_quantity

QUIET_RUNS = 10  # runs without an OOM kill before the change for one kill after it to count as evidence
CLEARLY_LONGER = 1.5  # times the longest run before
_RATE_RUNS = 12  # runs before a change that show how often runs occur
_MISSED = 2  # scheduled starts
_MAX_RATE_RUNS = 200  # of these, where some may have been missed by the metrics source alone
GRACE = 600.0
"""Seconds until a run that ended is known."""
MIN_RUNS_LONG_BASELINE = 2  # runs after a change before their duration can end its verification


def killed(before_after: BeforeAfter, steps: Collection[str], lowered: LoweredMemory | None) -> str | None:
    """A new OOM kill after a lower memory request."""
    if lowered is None:
        return None
    each: list[Collection[str]] = [(s,) for s in steps] or [()]  # by step: earlier kills of one do not hide new ones
    new = [
        n
        for s in each
        if (n := killed_for_memory(before_after.after, s)) and not killed_for_memory(before_after.before, s)
    ]
    if not new or len(before_after.before) < QUIET_RUNS:
        return None
    killed = count(max(new), "run")
    return f"{killed} after it had a container killed for lack of memory, none of {len(before_after.before)} before"


def failing(before_after: BeforeAfter) -> str | None:
    """More failing runs than the failure rate before explains."""
    earlier = sum(_bad(r) for r in before_after.before)
    found = first_excess([_bad(r) for r in before_after.after], earlier, len(before_after.before))
    if found is None:
        return None
    return f"{found[0]} of {found[1]} runs after it failed, {earlier} of {len(before_after.before)} before"


def too_small(
    before_after: BeforeAfter, steps: Collection[str], lowered: LoweredMemory | None, *, certain: bool
) -> str | None:
    """Use above a lowered memory request, by containers that never used more than they requested before. ``certain``: in
    more runs than chance explains; else in any."""
    if lowered is None or not lowered.requests:
        return None
    known = {
        (e.step, c.name)
        for run in before_after.before
        for e in run.steps
        for c in e.containers
        if (c.memory_peak or 0.0) > (c.memory_request or math.inf)
    }
    each = [lowered.exceeded(run, steps) for run in before_after.after]
    new = [(key, *found[key]) for found in each for key in found.keys() - known]
    bad = [not found.keys() <= known for found in each]
    before = len(before_after.before)
    # Runs that this share is worth.
    worth = max(before, 1.0 / max(lowered.accepted, 1e-6)) if before >= MIN_RUNS else 0.0
    times = first_excess(bad, lowered.accepted * worth, worth) if certain else (sum(bad), len(bad))
    if times is None or not new:
        return None
    (step, _), peak, request = max(new, key=lambda row: row[1] / row[2])
    used = f"{step} used {memory(peak)} of {memory_quantity(request)}"
    return f"{times[0]} of {times[1]} runs after it needed more memory than the new request: {used}"


def clearly_slower(
    before_after: BeforeAfter, sizes: InputSizes, even: AmountsByRun, common: CommonFactor | None
) -> str | None:
    """The first runs after the change all far exceed anything before it, also without what the hour of the day and weekends
    explain (``seasonality``: such durations): the newest runs before it may all be of a night."""
    before, after = good(before_after.before), good(before_after.after)
    looked = MIN_RUNS_LONG_BASELINE if len(before) >= 20 else MIN_RUNS
    if len(before) < 8 or len(after) < looked:
        return None
    longest, largest = max(r.makespan or 0.0 for r in before), max(sizes[r.run] for r in before)
    first, factor = after[:looked], CLEARLY_LONGER * (max(1.0, common.high) if common is not None else 1.0)
    if any((r.makespan or 0.0) < factor * longest or sizes[r.run] > largest for r in first):
        return None
    if min(even[r.run] or 0.0 for r in first) < factor * max(even[r.run] or 0.0 for r in before):
        return None
    shortest = min(r.makespan or 0.0 for r in first)
    span = f"took {duration(shortest)} and more, none of {len(before)} before more than {duration(longest)}"
    return f"slower: the first {looked} runs {span}"


def _bad(run: RunRecord) -> bool:
    return run.outcome is Outcome.FAILED


def failure_rate(runs: Sequence[RunRecord]) -> float:
    """Share of failed runs (0 to 1)."""
    return sum(_bad(r) for r in runs) / len(runs) if runs else 0.0


def silent(
    before_after: BeforeAfter, definition: WorkflowDefinition | None, *, applied: float, until: float,
    blind: Sequence[tuple[float, float]] = (),
) -> str | None:  # fmt: skip
    """Why the absence of runs since the change (``applied``) counts as harm; None if it does not. Runs must have been due by
    ``until``, the time up to which metrics are complete. If pods are rejected, nothing runs and nothing fails either.

    Due means two starts of a schedule that can be read, or else three times the longest pause between runs before the
    change (the next of eleven pauses is that long by chance once in hundreds of changes, even for a Poisson process). In
    spans that are ``blind``, when the metrics source saw no pods, none was due: runs may have come.
    """
    starts = [r.start for r in before_after.before if r.start is not None]
    if before_after.begun or len(starts) < _RATE_RUNS or (definition is not None and definition.suspended):
        return None
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    longest = max(r.makespan or 0.0 for r in before_after.before)
    if definition is not None and definition.schedule and readable(definition):
        due = [
            t
            for t in upcoming(definition, applied, until, most=_MAX_RATE_RUNS if blind else _MISSED)
            if not any(a - longest <= t <= b for a, b in blind)
        ][:_MISSED]
        kept = median(pauses) <= 1.5 * max((b - a for a, b in pairwise(due)), default=0.0)
        if len(due) < _MISSED or not kept or until - due[-1] < longest + GRACE:
            return None
        queue = definition.declared.get(QUEUE_LABEL)
        why = (
            f"are its pods refused, or its runs not admitted by LocalQueue {queue}?"
            if queue
            else "are its pods refused?"
        )
        return f"no run since the change, although the schedule had {_MISSED} due: {why}"
    pause = max(*pauses, applied - starts[-1])
    hidden = sum(max(0.0, min(b, until) - max(a - longest, applied)) for a, b in blind)
    if until - applied - hidden < 3.0 * pause + longest + GRACE:
        return None
    return f"no run for {duration(until - applied)} since the change, never more than {duration(pause)} before it"
