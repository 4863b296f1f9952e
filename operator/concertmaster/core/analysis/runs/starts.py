"""Outcome of each scheduled start: on time, late, skipped, overlapping an earlier run, or replacing it.

Derived from the starts and ends of runs and the due times of the cron schedule. A start that is missing while no run was in
progress has another cause (suspended schedule, controller outage) and is not counted.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.core.schedules.scheduler import scheduler_of
from concertmaster.core.schedules.starts import due, least_interval
from concertmaster.core.units import DAY

MAX_STARTS = 3000  # scheduled starts that are examined
CLOCK_TOLERANCE = 1.0  # s: clock tolerance between controllers
_HANDOVER = 5.0  # s: a run that begins this shortly before the end of another counts as its successor
MAX_START_DELAY = 30.0  # s: a controller creates the pods of a run within this time
YEAR = 366 * DAY
_MAX_REPLACE_GAP = 120.0  # s: longest gap between the last sample of a deleted pod and the run that replaced it


@dataclass(frozen=True, slots=True)
class RunSpan:
    """One run: when it took its slot and when it released it (unix seconds)."""

    begin: float
    end: float
    run: RunRecord

    @property
    def length(self) -> float:
        """Seconds during which another run would overlap."""
        return self.end - self.begin


class Overlap(NamedTuple):
    """How a run met others: how many were in progress as it began, and for how long it had earlier and later ones beside it,
    in usual run times summed over these. Neither depends on how long it took itself: an earlier run counts until it ends, at
    most for a usual run time."""

    met: int
    earlier: float
    later: float


@dataclass(frozen=True, slots=True)
class Starts:
    """``spans`` in order of begin. ``due``: times (unix seconds) of scheduled starts that took place or were skipped;
    ``skipped``: of those that never took place because a run was in progress; ``behind``: by run name, seconds it
    waited for a run in progress. ``company``: names of runs during which another was in progress. ``scheduled``: indices in
    ``spans`` of those that the schedule started, since one started by hand obeys no ``concurrencyPolicy``; ``overlaps``: of
    each of them with the others of them. ``replaced``: indices of runs that ended without success as the next one began;
    ``interval``: median seconds between scheduled starts."""

    spans: tuple[RunSpan, ...]
    due: tuple[float, ...]
    skipped: tuple[float, ...]
    behind: Mapping[str, float]
    company: frozenset[str]
    scheduled: tuple[int, ...]
    overlaps: tuple[Overlap, ...]
    replaced: tuple[int, ...]
    interval: float


def spans_of(runs: Sequence[RunRecord]) -> tuple[RunSpan, ...]:
    """The runs with known begin and end. A run that was suspended takes its slot before its first pod."""
    return tuple([s for s in spans_begun(runs) if s.run.start is not None and s.run.start < s.end < math.inf])


def spans_begun(runs: Sequence[RunRecord]) -> list[RunSpan]:
    """All runs with known begin, in order of it. One without an end has not released its slot, as far as is known."""
    spans = [
        RunSpan(
            r.start - (r.suspension.seconds if r.suspension is not None else 0.0),
            r.end if r.end is not None else math.inf,
            r,
        )
        for r in runs
        if r.start is not None
    ]
    return sorted(spans, key=lambda s: (s.begin, s.end))


def may_meet(definition: WorkflowDefinition, runs: Sequence[RunRecord], figures: RunFigures) -> bool:
    """Whether any run took long enough to overlap the next; a cheap check before ``starts_of``."""
    schedule = definition.schedule, definition.schedule_time_zone
    return figures.of_all(("may meet", *schedule), runs, lambda: _may_meet(definition, runs))


def _may_meet(definition: WorkflowDefinition, runs: Sequence[RunRecord]) -> bool:
    spans = spans_of(runs)
    if len(spans) < 2:
        return False
    longest = max(s.length for s in spans)
    if longest <= _room(least_interval(definition)):
        return False
    near = due(definition, spans[-1].begin, spans[-1].begin + YEAR, most=10)
    return longest > _room(min((b - a for a, b in pairwise(near)), default=YEAR))


def _room(gap: float) -> float:
    """Seconds a run may take to be over before the next start, ``gap`` seconds after its own."""
    return gap - _close(gap)


def _close(gap: float) -> float:
    """Seconds that may lie between the end of a run and the next start it made way for, with starts ``gap`` s apart."""
    return min(_MAX_REPLACE_GAP, gap / 2)


def lateness(definition: WorkflowDefinition, runs: Sequence[RunRecord], figures: RunFigures) -> Mapping[str, float]:
    """By run name, the seconds it began late because another run was in progress; other runs are left out."""
    starts = starts_of(definition, runs) if definition.schedule and may_meet(definition, runs, figures) else None
    return starts.behind if starts is not None else {}


def by_schedule(definition: WorkflowDefinition, runs: Sequence[RunRecord]) -> bool:
    """Whether the schedule starts the workflow, as it does most of the runs: when they are due, or as the run in progress
    then ends. Others are started by hand or by events, which a schedule that is suspended does not keep from it."""
    if definition.schedule is None:
        return False
    spans = spans_of(runs)
    moments = due_moments(definition, spans) if spans else ()
    return not moments or follow(spans, moments)


def follow(spans: Sequence[RunSpan], moments: Sequence[float]) -> bool:
    """Whether most of the ``spans`` begin when they are due, or as the run in progress then ends."""
    begun = 0
    for span in spans:
        at = bisect_right(moments, span.begin + CLOCK_TOLERANCE) - 1
        due = moments[at] if at >= 0 else -math.inf
        if span.begin - due > MAX_START_DELAY:  # all runs are looked through only where that can matter
            ended = (
                s.end for s in spans if s.begin < due - CLOCK_TOLERANCE and due < s.end <= span.begin + CLOCK_TOLERANCE
            )
            due = max(ended, default=due)
        begun += span.begin - due <= MAX_START_DELAY
    return 2 * begun > len(spans)


def stopped_runs(definition: WorkflowDefinition, runs: Sequence[RunRecord], figures: RunFigures) -> frozenset[str]:
    """Names of the runs that ``concurrencyPolicy: Replace`` stopped because the next one was due."""
    by = scheduler_of(definition)
    if by is None or by.declared.get("concurrencyPolicy") != "Replace" or not may_meet(definition, runs, figures):
        return frozenset()
    starts = starts_of(definition, runs)
    return frozenset(starts.spans[i].run.run for i in starts.replaced) if starts is not None else frozenset()


def starts_of(definition: WorkflowDefinition, runs: Sequence[RunRecord]) -> Starts | None:
    """Outcome of the scheduled starts; None without a valid schedule or with fewer than two runs."""
    spans = spans_of(runs)
    if len(spans) < 2:
        return None
    moments = due_moments(definition, spans)
    if len(moments) < 2:
        return None
    served: dict[int, RunSpan] = {}
    scheduled = []
    for place, span in enumerate(spans):
        at = bisect_right(moments, span.begin + CLOCK_TOLERANCE) - 1
        if at >= 0 and at not in served:
            served[at] = span
            scheduled.append(place)
    skipped = []
    behind = {}
    for i, moment in enumerate(moments):
        wait = served[i].begin - moment if i in served else None
        if wait is not None and wait <= MAX_START_DELAY:
            continue
        if not any(s.begin < moment - CLOCK_TOLERANCE and s.end > moment + CLOCK_TOLERANCE for s in spans):
            continue
        if wait is None:
            skipped.append(moment)
        else:
            behind[served[i].run.run] = wait
    gaps = sorted(b - a for a, b in pairwise(moments))
    return Starts(
        spans=spans,
        due=tuple(sorted([*(moments[i] for i in served), *skipped])),
        skipped=tuple(skipped),
        behind=behind,
        company=frozenset(s.run.run for s, o in zip(spans, _overlaps(spans), strict=True) if o.earlier or o.later),
        scheduled=tuple(scheduled),
        overlaps=_overlaps([spans[i] for i in scheduled]),
        replaced=_replaced(spans, moments, gaps[0]),
        interval=gaps[len(gaps) // 2],
    )


def due_moments(definition: WorkflowDefinition, spans: Sequence[RunSpan]) -> tuple[float, ...]:
    """Scheduled starts (unix seconds) from the first run to the last; the newest ``MAX_STARTS`` of them."""
    last = spans[-1].begin + CLOCK_TOLERANCE
    near = due(definition, last, last + YEAR, most=2)
    if len(near) < 2:
        return ()
    first = max(spans[0].begin - MAX_START_DELAY, last - MAX_STARTS * (near[1] - near[0]))
    return due(definition, first, last, most=MAX_STARTS)


def _overlaps(spans: Sequence[RunSpan]) -> tuple[Overlap, ...]:
    usual = median(s.length for s in spans) if spans else 0.0
    met, earlier, later = [0] * len(spans), [0.0] * len(spans), [0.0] * len(spans)
    running: list[int] = []
    for i, span in enumerate(spans):
        running = [k for k in running if spans[k].end > span.begin + _HANDOVER]
        met[i] = len(running)
        for k in running:
            beside = min(spans[k].end - span.begin, usual) / usual
            earlier[i] += beside
            later[k] += beside
        running.append(i)
    return tuple(map(Overlap, met, earlier, later))


def _replaced(spans: Sequence[RunSpan], moments: Sequence[float], gap: float) -> tuple[int, ...]:
    near = _close(gap)
    indices = []
    for i, (span, after) in enumerate(pairwise(spans)):
        if span.run.outcome in (Outcome.SUCCEEDED, Outcome.ENDED) or abs(after.begin - span.end) > near:
            continue
        at = bisect_right(moments, after.begin + CLOCK_TOLERANCE) - 1
        if at >= 0 and after.begin - moments[at] <= near:
            indices.append(i)
    return tuple(indices)
