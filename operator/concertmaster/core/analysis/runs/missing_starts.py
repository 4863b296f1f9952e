"""Scheduled starts that have no run although none was in progress, and lack one again and again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from concertmaster.core.analysis.runs.starts import (
    CLOCK_TOLERANCE,
    MAX_START_DELAY,
    YEAR,
    RunSpan,
    due_moments,
    follow,
    spans_begun,
)
from concertmaster.core.model import RunRecord, WorkflowDefinition
from concertmaster.core.schedules.starts import due, readable

_PARTS = 3  # of the time, each of which lacks runs where that lasts
_MIN_LACKING, _MIN_LACKING_SHARE = 5, 0.2  # scheduled starts without a run, and their share in each part
_NEWEST = 200  # runs that are examined for that


def starts_without_run(
    definition: WorkflowDefinition, runs: Sequence[RunRecord], blind: Sequence[tuple[float, float]] = ()
) -> tuple[int, int]:
    """How many scheduled starts until the newest run have none although no run was in progress then, and of how many; (0, 0)
    unless that is a lasting state. Only those since the definition was last written count, as it may have been suspended, or
    have had another schedule; where that is not known, such a schedule mostly lacks runs in a part of the time only.
    ``blind``: spans (unix seconds) in which nothing was seen; starts of that time do not count."""
    if definition.schedule is None or definition.suspended or not readable(definition):
        return 0, 0
    spans = spans_begun(runs)[-_NEWEST:]
    if not _are_few(definition, spans):
        return 0, 0
    moments = [m for m in due_moments(definition, spans) if m > (definition.written or 0.0)]
    spans = [s for s in spans if moments and s.begin >= moments[0] - CLOCK_TOLERANCE]
    # Where as many runs began as were due, they are late, or go by the clock of another time zone.
    if len(spans) > (1.0 - _MIN_LACKING_SHARE) * len(moments) or not follow(spans, moments):
        return 0, 0
    lacking = [_lacks(m, until, spans) for m, until in pairwise(moments) if not any(a <= m <= b for a, b in blind)]
    part = len(lacking) // _PARTS
    shares = [sum(lacking[at * part : (at + 1) * part]) for at in range(_PARTS)]
    if sum(lacking) < _MIN_LACKING or min(shares) < _MIN_LACKING_SHARE * part:
        return 0, 0
    return sum(lacking), len(lacking)


def _lacks(moment: float, following: float, spans: Sequence[RunSpan]) -> bool:
    """Whether no run began between two scheduled starts, nor held its slot at the first: until some seconds after its last
    pod ended."""
    begun = bisect_left(spans, moment - CLOCK_TOLERANCE, key=lambda s: s.begin)
    had = begun < len(spans) and spans[begun].begin < following - CLOCK_TOLERANCE
    return not had and not any(s.end + MAX_START_DELAY > moment for s in spans[:begun])


def _are_few(definition: WorkflowDefinition, spans: Sequence[RunSpan]) -> bool:
    """Whether there are fewer runs than starts at the interval of the next two: a cheap check."""
    if len(spans) < 2:
        return False
    last = spans[-1].begin
    near = due(definition, last, last + YEAR, most=2)
    seconds = last - spans[0].begin
    return len(near) == 2 and len(spans) * (near[1] - near[0]) < (1.0 - _MIN_LACKING_SHARE) * seconds
