"""How often a workflow is going to run, with an interval: a value per month is one per run times this.

Two clocks tell how well a rate is known. The pauses between starts hardly vary where runs come at regular times; the counts
of days a week apart do not where they come back each week, such as those of working days. Where neither repeats, as where
people or events start runs, both vary by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.analysis.runs.coverage import UNUSUAL_FACTOR, Span, long_run, runs_per_month, start_times
from concertmaster.core.model import Interval, RunRecord, WorkflowDefinition
from concertmaster.core.stats.quantiles import student_quantile
from concertmaster.core.units import DAY, MONTH

_WEEK = 7  # days
_MIN_DAYS = 3  # since a change of the rate and before it, or with an error of their own
_MIN_CHANGE = 1.5  # times the runs of any day before a change that each day since it has, or the other way round
_MIN_EVENT = 3.0  # times the runs of any other day that each day of an event has
_MAX_EVENT_DAYS = 3
_MIN_PAIRS = 5  # days with one a week before them, from which on these are compared
_MAX_ERROR = 3.0  # of the interval's half, on logarithms


class _Stretch(NamedTuple):
    """Starts (unix seconds) and their number on each of the whole days that they are taken from, oldest first."""

    starts: Sequence[float]
    days: Sequence[int]


def present_rate(
    runs: Sequence[RunRecord], now: float, definition: WorkflowDefinition | None = None, blind: Sequence[Span] = ()
) -> Interval | None:
    """Runs per 30 days at ``now`` (unix seconds) with a 90% interval; None where ``runs_per_month`` knows none.

    The rate is that since the last clear change of the number of runs a day. Days that had several times as many runs as any
    other, and of which the same days a week before or after had no more than others, are one event, such as a backfill:
    whether it comes again is not known, so it counts at the upper end only. Whole weeks count where starts are not regular.
    Where no run has begun for longer than ever, it is the spacing, with the error of the pauses, and where runs began
    together, or are missing since nothing was seen (``blind``), without one."""
    rate = runs_per_month(runs, now, definition, blind)
    starts, until = start_times(runs), now - long_run(runs)
    missing = blind and rate != runs_per_month(runs, now, definition)
    if rate is None or missing or len(starts) <= _MIN_DAYS or _together(runs, starts, until):
        return Interval(rate, rate, rate) if rate is not None else None
    pauses = [b - a for a, b in pairwise(starts)]
    if until - starts[-1] > UNUSUAL_FACTOR * max(pauses):
        return _by_pauses(rate, pauses)
    known = _Stretch(starts, _by_day(starts, until))
    since = _since_change(known, until)
    if since is not None:
        return _estimate(since, sum(since.days) / len(since.days) * MONTH / DAY)
    event = _without_event(known, until)
    found = _estimate(event or known, rate)
    return found if event is None else Interval(found.low, found.likely, max(found.high, rate))


def _together(runs: Sequence[RunRecord], starts: Sequence[float], until: float) -> bool:
    """Whether all had begun before any ended, or within the time of a long one."""
    return starts[0] >= until or all(r.end is not None and r.end > starts[-1] for r in runs if r.start is not None)


def _by_day(starts: Sequence[float], until: float) -> list[int]:
    """How many began on each of the whole days before ``until`` (unix seconds)."""
    days = [0] * int((until - starts[0]) / DAY)
    for start in starts:
        ago = math.floor((until - start) / DAY)
        if 0 <= ago < len(days):
            days[-1 - ago] += 1
    return days


def _since_change(known: _Stretch, until: float) -> _Stretch | None:
    days = known.days
    for count in range(_MIN_DAYS, len(days) - _MIN_DAYS):
        since, before = days[-count:], days[: -count - 1]  # it may have changed within a day
        more = min(since) > _MIN_CHANGE * max(before)
        if more or (min(since) > 0 and _MIN_CHANGE * max(since) < min(before)):
            return _Stretch([s for s in known.starts if s > until - count * DAY], since)
    return None


def _without_event(known: _Stretch, until: float) -> _Stretch | None:
    """All but the days of an event, as if these had not been; None where there is none."""
    days, most = known.days, max(known.days, default=0)
    partial = len(known.starts) - sum(days)  # of the day before the first whole one
    first = days.index(most) if most else 0
    for length in range(1, _MAX_EVENT_DAYS + 1):
        for begin in range(max(0, first - length + 1), min(first, len(days) - length) + 1):
            event, others = range(begin, begin + length), [*days[:begin], *days[begin + length :]]
            compared = all(day - _WEEK >= -1 or day + _WEEK < len(days) for day in event)
            usual = 2 * sum(count > 0 for count in others) >= len(others)
            if compared and usual and min(days[day] for day in event) > _MIN_EVENT * max(*others, partial):
                begun = until - (len(days) - begin) * DAY
                early = [s + length * DAY for s in known.starts if s <= begun]
                return _Stretch([*early, *(s for s in known.starts if s > begun + length * DAY)], others)
    return None


def _estimate(stretch: _Stretch, spaced: float) -> Interval:
    """Runs per 30 days: by the spacing of regular starts, or the mean of each day of the week; ``spaced`` within a week."""
    pauses, days = [b - a for a, b in pairwise(stretch.starts)], stretch.days
    if len(pauses) >= _MIN_DAYS and max(pauses) <= UNUSUAL_FACTOR * median(pauses):
        rate = len(pauses) / (stretch.starts[-1] - stretch.starts[0]) * MONTH
        return _by_pauses(rate, pauses)
    if len(days) < _MIN_DAYS or not any(days):
        return _by_pauses(spaced, pauses)
    rate = fmean([fmean(days[day::_WEEK]) for day in range(_WEEK)]) * MONTH / DAY if len(days) >= _WEEK else spaced
    pairs = [(a - b) ** 2 for a, b in zip(days, days[_WEEK:], strict=False)]
    variance, freedom = (
        (fmean(pairs) / 2.0, len(pairs)) if len(pairs) >= _MIN_PAIRS else (_variance(days), len(days) - 1)
    )
    return _within(rate, math.sqrt(variance / len(days)) / fmean(days), freedom)


def _by_pauses(rate: float, pauses: Sequence[float]) -> Interval:
    """The rate with the error of the mean pause between starts."""
    return _within(rate, math.sqrt(_variance(pauses) / len(pauses)) / fmean(pauses), len(pauses) - 1)


def _variance(values: Sequence[float]) -> float:
    return float(np.var(values, ddof=1))  # of two hundred, a tenth of the time of ``statistics``


def _within(rate: float, error: float, freedom: int) -> Interval:
    """The rate with the interval of a relative standard error."""
    factor = math.exp(min(_MAX_ERROR, student_quantile(0.95, float(freedom)) * error))
    return Interval(rate / factor, rate, rate * factor)
