"""Runs before and after a change, compared at comparable times: the hour, the weekend or a Monday may be why they differ."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, Protocol

from concertmaster.core import arrays as np
from concertmaster.core.analysis.daily.levels import as_every_month
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint import ChangePoint
from concertmaster.core.known import upper_median
from concertmaster.core.model.daily import RUN
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.stats.comparison import MIN_RUNS, Comparison, compare
from concertmaster.core.stats.dependence import dependence
from concertmaster.core.stats.quantiles import normal_cdf, normal_quantile
from concertmaster.core.stats.shift import residuals
from concertmaster.core.times import weekend
from concertmaster.core.units import DAY, HOUR, WEEK

NEWEST = 4  # runs that are all shorter again where an increase is over
_HOURS = 2 * HOUR  # seconds apart that still count as the same time of day
_SLACK = HOUR / 2  # by which a run may start later or earlier than a day before
_MIN_P = 1e-300  # of which a quantile can be computed
_OTHER_HOURS = 1.25  # times as long as at other hours: more than the time of day usually makes

_Same = Callable[[float | None, float | None], bool]
"""Whether two starts (unix seconds) are alike."""


class Timed(Protocol):
    """A run, or what it spent on a step: its name, start and end (unix seconds), seconds, and input (None: unknown)."""

    @property
    def run(self) -> str: ...
    @property
    def start(self) -> float | None: ...
    @property
    def end(self) -> float | None: ...
    @property
    def makespan(self) -> float | None: ...
    @property
    def input_total(self) -> float | None: ...


def like_for_like(before: Sequence[Timed], after: Sequence[Timed], levels: Sequence[float] = ()) -> Comparison | None:
    """Runs after compared with runs before that began at the same time of another day, on working days or weekends alike.
    Each run, and its input where known, is divided by the median of its peers, which removes the effect of hour and kind of
    day. With too few peers, any time of such days counts. Where a side then covers less than a day, other hours may be the
    difference: None unless it is larger than hours usually make, and came at once. None without such days, too.

    Runs that follow each other share what the day brings, and then show less than as many independent ones: interval and
    p-value are those of runs that vary around their ``levels`` (when each begins, unix seconds) by days as well."""
    for same in (_same_time, _same_days):
        now = _multiples(after, before, same)
        if len(now.of) >= max(MIN_RUNS, len(after) / 2):
            like = [r for r in before if any(same(r.start, a.start) for a in after)]
            was = _multiples(like, like, _same_hours if same is _same_time else same)
            if len(was.of) >= MIN_RUNS:
                found = compare(was.of, now.of, inputs_before=was.inputs, inputs_after=now.inputs, level=0.05)
                found = _widened(found, was, now, levels)
                apart = same is _same_time or min(_covered(like), _covered(after)) >= DAY
                return found if apart or (found.low >= _OTHER_HOURS <= _at_once(like, after)) else None
    return None


def _widened(found: Comparison, was: _Multiples, now: _Multiples, levels: Sequence[float]) -> Comparison:
    """The comparison as of runs that depend on each other by as much as they do around their levels."""
    if not (found.low > 0.0 and math.isfinite(found.high)):
        return found
    wider = max(1.0, dependence(np.concatenate([_around(side, levels, found.adjusted) for side in (was, now)])))
    low, high = (found.ratio * (end / found.ratio) ** wider for end in (found.low, found.high))
    deviations = normal_quantile(max(found.p_value, _MIN_P) / 2.0) / wider
    return replace(found, low=low, high=high, p_value=2.0 * normal_cdf(deviations) if wider > 1.0 else found.p_value)


def _around(side: _Multiples, levels: Sequence[float], adjusted: bool) -> Floats:
    """Logarithms without the median of their level, and without what inputs explain if they are ``adjusted`` for."""
    logs, sizes = np.log(np.asarray(side.of)), [s for s in side.inputs if s is not None]
    if adjusted and len(sizes) == len(logs):
        logs = residuals(logs, np.log(np.asarray(sizes)) - float(np.mean(np.log(np.asarray(sizes)))))
    bounds = [0, *np.searchsorted(side.ends, sorted(levels)).tolist(), len(logs)]
    return np.concatenate([logs[a:b] - np.median(logs[a:b]) for a, b in pairwise(bounds) if a < b])


def _at_once(before: Sequence[Timed], after: Sequence[Timed]) -> float:
    """Times as long as in the hour before runs take in the hour after the change, less what the time of day adds from hour
    to hour just before or after; of the nearest runs within a few hours where that are too few, NaN without them."""
    change = min((r.start for r in after if r.start is not None), default=math.nan)
    step = _compared(_nearest(before, change), _nearest(after, change))
    hours = [_between(runs, change + at * HOUR) for runs, at in ((before, -2), (before, -1), (after, 0), (after, 1))]
    drifts = [_compared(hours[0], hours[1]), _compared(hours[2], hours[3])]
    return step / max([1.0, *(drift for drift in drifts if drift > 0.0)])


def _between(runs: Sequence[Timed], since: float) -> list[Timed]:
    """Runs of the hour from then on."""
    return [r for r in runs if r.start is not None and since <= r.start < since + HOUR]


def _nearest(runs: Sequence[Timed], moment: float) -> list[Timed]:
    apart = sorted(((abs(r.start - moment), i) for i, r in enumerate(runs) if r.start is not None))
    return [runs[i] for n, (away, i) in enumerate(apart) if away <= HOUR or (n < MIN_RUNS and away <= 2 * _HOURS)]


def whole_days(before: Sequence[Timed], after: Sequence[Timed]) -> tuple[Sequence[Timed], Sequence[Timed]]:
    """The runs of as many whole days as there are before the first run after, and from it on: as many of each hour. A side
    that covers less than a day is empty."""
    change = after[0].start or 0.0
    old, new = (_covered([r, after[0]]) + _SLACK for r in (before[0], after[-1]))
    begin, end = change - old // DAY * DAY - _SLACK, change + new // DAY * DAY - _SLACK
    return [r for r in before if begin <= (r.start or 0.0)], [r for r in after if (r.start or 0.0) < end]


def as_every_week(before: Sequence[Timed], after: Sequence[Timed], least: float) -> bool:
    """Whether runs of the last one or two days take no longer than those of the same days of the week before."""
    if _covered(after) >= 2 * DAY:
        return False
    like = [r for r in before if any(_same_time(r.start, a.start, WEEK) for a in after)]
    return _compared(like, after) - 1 < least


def _compared(before: Sequence[Timed], after: Sequence[Timed]) -> float:
    """How many times as long the runs after take, at equal input where it is known; NaN with too few of them."""
    was, now = ([r.makespan for r in part] for part in (before, after))
    small, large = ([r.input_total for r in part] for part in (before, after))
    return compare(was, now, inputs_before=small, inputs_after=large).ratio


def _covered(runs: Sequence[Timed]) -> float:
    """Seconds from the first start to the last."""
    starts = [r.start for r in runs if r.start is not None]
    return max(starts) - min(starts) if starts else 0.0


class _Multiples(NamedTuple):
    """Makespans and inputs of runs divided by the medians of their peers (inputs None where unknown), and their ends."""

    of: list[float]
    inputs: list[float | None]
    ends: list[float]


def _multiples(runs: Sequence[Timed], others: Sequence[Timed], same: _Same) -> _Multiples:
    """Of each of the runs by its peers among ``others``; runs without peers are left out."""
    found = _Multiples([], [], [])
    size = {r.run: r.input_total for r in (*runs, *others)}
    for run in runs:
        like = [r for r in others if r is not run and r.makespan and same(r.start, run.start)]
        if run.makespan and like:
            found.of.append(run.makespan / upper_median([r.makespan for r in like if r.makespan]))
            own, sizes = size[run.run], [known for r in like if (known := size[r.run])]
            found.inputs.append(own / upper_median(sizes) if own and sizes else None)
            found.ends.append(run.end or 0.0)
    return found


def _same_days(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and weekend(one) == weekend(other)


def _same_hours(one: float | None, other: float | None, every: float = DAY) -> bool:
    """The same time of day on days of a kind, or of the week."""
    if one is None or other is None or not _same_days(one, other):
        return False
    apart = abs(one - other) % every
    return min(apart, every - apart) <= _HOURS


def _same_time(one: float | None, other: float | None, every: float = DAY) -> bool:
    """The same hours of another day, or week: those of the same day may be as long for the same reason."""
    return one is not None and other is not None and abs(one - other) > _HOURS and _same_hours(one, other, every)


def is_back(seconds: Sequence[float], was: float, now: float) -> bool:
    """Whether the newest of these runs (oldest first) are all nearer to the level before than to that now."""
    return max(seconds[-NEWEST:], default=0.0) < math.sqrt(was * now)


def usual_before(evidence: Evidence, point: ChangePoint, least: float) -> bool:
    """Whether runs since then take as long as on most days before, as after a holiday that is longer than what the window
    has of the days before it, or as they did a month before, as at the end of each; by the medians of days. Where runs as
    a whole take no longer: no."""
    before: dict[int, list[float]] = defaultdict(list)
    after: dict[int, list[float]] = defaultdict(list)
    for run in evidence.analysis.runs:
        if run.outcome.timed and run.end is not None and run.makespan:
            (before if run.end < point.time else after)[int(run.end // DAY)].append(run.makespan)
    if not before or not after:
        return False
    was, now = (upper_median([seconds for of in side.values() for seconds in of]) for side in (before, after))
    level, kinds = math.sqrt(was * now), {weekend(day * DAY) for day in after}
    days = {row.day: row.p50 for row in evidence.days if row.step == RUN and row.p50 and row.day < point.time // DAY}
    alike = [p50 for day, p50 in days.items() if weekend(day * DAY) in kinds]
    return now >= was * (1.0 + least) and (
        2 * sum(p50 >= level for p50 in alike) > len(alike)
        or as_every_month(_medians(after), days | _medians(before), level)
    )


def _medians(by_day: Mapping[int, Sequence[float]]) -> dict[int, float]:
    return {day: upper_median(seconds) for day, seconds in by_day.items()}
