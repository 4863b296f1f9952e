"""How often a workflow runs, and which time its runs cover, without the time that was not seen."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from concertmaster.core.model import RunRecord, WorkflowDefinition
from concertmaster.core.model.daily import RUN, DailyRow
from concertmaster.core.schedules.starts import due, readable
from concertmaster.core.times import seconds_outside
from concertmaster.core.units import DAY, HOUR, MONTH

UNUSUAL_FACTOR = 1.25  # times the longest pause that was seen in full: a longer one lacks runs
_MIN_UNSEEN_SHARE = 0.25  # share of the window
_RATE_DAYS = 7  # days: with its weekend
_MAX_STARTS = 3000  # scheduled starts that are counted
Span = tuple[float, float]


class _Pause(NamedTuple):
    """A pause between two starts that lacks runs, the spans in it that were not seen, and for how many seconds runs are
    missing."""

    begin: float
    end: float
    unseen: Sequence[Span]
    seconds: float


def runs_per_month(
    runs: Sequence[RunRecord], now: float, definition: WorkflowDefinition | None = None, blind: Sequence[Span] = ()
) -> float | None:
    """Runs per 30 days at ``now`` (unix seconds), from the intervals between starts; None with fewer than two dated runs.
    ``runs`` have ended: those that started as long before ``now`` as a long run takes may still be in progress.

    Runs that all started before any of them ended are one batch, which does not predict the next start: the rate is
    taken over the time since it, at least one day. Where no run has started for clearly longer than ever between two of
    them, that time counts as well: a workflow that was tried out, or runs no more, does not continue at the rate it
    had. ``blind``: spans (unix seconds) in which the metrics source was not read or saw no pods. They are left out as
    far as they explain why there are no runs."""
    starts = start_times(runs)
    if len(starts) < 2:
        return None
    span = starts[-1] - starts[0]
    if span <= 0.0 or all(r.end is not None and r.end > starts[-1] for r in runs if r.start is not None):
        return len(starts) / max(DAY, now - starts[0]) * MONTH
    hidden, idle = _merged(blind), seconds_outside(blind, starts[-1], now)
    ended = idle - long_run(runs) > UNUSUAL_FACTOR * max(later - earlier for earlier, later in pairwise(starts))
    if hidden:
        span *= 1.0 - _unseen(starts, hidden, definition)
    return len(starts) / (span + idle) * MONTH if ended else (len(starts) - 1) / span * MONTH


def daily_rate(
    days: Sequence[DailyRow], runs: Sequence[RunRecord], now: float, blind: Sequence[Span] = ()
) -> float | None:
    """Runs per 30 days by what is counted of the last seven ``days`` before that of ``now`` (unix seconds), and those of the
    ``runs`` that ended since the last one counted; None where no day is known as a whole. For workflows of which the newest
    runs are analysed: these may all be of a busy hour. Days of which an hour or more is in ``blind`` spans (unix seconds)
    are left out."""
    rows = [row for row in days if row.step == RUN]
    if not rows:
        return None
    counts, counted = Counter({row.day: row.count for row in rows}), max(row.until for row in rows)
    counts.update(int(r.end // DAY) for r in runs if r.end is not None and r.end > counted)
    today = int(now // DAY)
    days_before = range(max(min(counts) + 1, today - _RATE_DAYS), today)
    known = [day for day in days_before if seconds_outside(blind, day * DAY, (day + 1) * DAY) > DAY - HOUR]
    ended = sum([counts[day] for day in known])
    return ended / len(known) * MONTH / DAY if ended else None


def missed_seconds(runs: Sequence[RunRecord], definition: WorkflowDefinition, blind: Sequence[Span]) -> float:
    """Seconds between the first and the last start in which runs are missing since nothing was seen; none where none was
    due."""
    starts = start_times(runs)
    if not blind or len(starts) < 2:
        return 0.0
    hidden = _hidden(starts, _merged(blind))
    return 0.0 if _of_schedule(starts, hidden, definition) == 0.0 else sum(pause.seconds for pause in hidden)


def covered_seconds(runs: Sequence[RunRecord], now: float, window: float, least: int = 2) -> float:
    """Seconds before ``now`` (unix seconds) that the runs cover: the ``window``, or the time since the first of them where
    they cover clearly less, which no pause between runs explains. Fewer than ``least`` runs do not tell."""
    starts = start_times(runs)
    if len(starts) < max(2, least):
        return window
    pause = max(later - earlier for earlier, later in pairwise(starts))
    begun = now - starts[0]
    return window if begun + max(UNUSUAL_FACTOR * pause, _MIN_UNSEEN_SHARE * window) >= window else begun


def long_run(runs: Sequence[RunRecord]) -> float:
    """Seconds that a tenth of the runs take or more; a single hang among ten does not count."""
    lengths = sorted([r.end - r.start for r in runs if r.start is not None and r.end is not None])
    return lengths[int(0.9 * (len(lengths) - 1))] if lengths else 0.0


def start_times(runs: Sequence[RunRecord]) -> list[float]:
    """The known starts (unix seconds), in order."""
    return sorted([r.start for r in runs if r.start is not None])


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        elif high > low:
            merged.append((low, high))
    return merged


def _unseen(starts: Sequence[float], blind: Sequence[Span], definition: WorkflowDefinition | None) -> float:
    """Share (0 to 1) of the time between the first and the last start that was not seen."""
    hidden = _hidden(starts, blind)
    if not hidden:
        return 0.0
    share = _of_schedule(starts, hidden, definition)
    if share is None:
        share = sum(pause.seconds for pause in hidden) / (starts[-1] - starts[0])
    return min(share, 1.0 - 1.0 / len(starts))


def _hidden(starts: Sequence[float], blind: Sequence[Span]) -> list[_Pause]:
    """Pauses that lack runs because of what was not seen. What a source that was down has kept is read afterwards, and pods
    may outlive an outage: a span counts where most of it is in one pause, which is longer than those that were seen in
    full, and mostly for that reason."""
    within: dict[int, list[Span]] = {}
    touched: set[int] = set()
    for low, high in blind:
        first, last = max(0, bisect_right(starts, low) - 1), min(bisect_left(starts, high), len(starts) - 1)
        parts = [(i, max(low, starts[i]), min(high, starts[i + 1])) for i in range(first, last)]
        touched.update(i for i, *_ in parts)
        for i, begin, end in parts:
            if end - begin >= 0.5 * (high - low):
                within.setdefault(i, []).append((begin, end))
    seen = [b - a for i, (a, b) in enumerate(pairwise(starts)) if i not in touched]
    longest, usual = max(seen, default=0.0), median(seen) if seen else 0.0
    hidden: list[_Pause] = []
    for i, spans in within.items():
        length, unseen = starts[i + 1] - starts[i], sum(b - a for a, b in spans)
        if length > UNUSUAL_FACTOR * longest and unseen >= 0.5 * (length - usual):
            hidden.append(_Pause(starts[i], starts[i + 1], spans, min(unseen, length - usual)))
    return hidden


def _of_schedule(
    starts: Sequence[float], hidden: Sequence[_Pause], definition: WorkflowDefinition | None
) -> float | None:
    """Share (0 to 1) of the scheduled starts that were not seen; None where the schedule does not tell. A weekend without
    starts hides none."""
    if definition is None or not definition.schedule or definition.suspended or not readable(definition):
        return None
    moments = due(definition, starts[0], starts[-1], most=_MAX_STARTS)
    if not moments or len(moments) >= _MAX_STARTS or len(starts) - 1 > UNUSUAL_FACTOR * len(moments):
        return None  # most of its runs are started otherwise
    missed = 0
    for pause in hidden:
        # The last one due in a pause is the start that ends it.
        late = moments[bisect_right(moments, pause.begin) : max(0, bisect_right(moments, pause.end) - 1)]
        missed += sum(any(low <= moment <= high for low, high in pause.unseen) for moment in late)
    return missed / len(moments)
