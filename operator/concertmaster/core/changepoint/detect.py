"""From a series of runs to change points with size and confidence, and the trend since the last one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint.grouped import as_rows, in_groups
from concertmaster.core.changepoint.inputs import explained_by
from concertmaster.core.changepoint.model import ChangePoint, Detection, Direction, Ramp
from concertmaster.core.changepoint.ramps import find_ramps, ramp_p_value, size_of_ramp, worth_of_jump
from concertmaster.core.changepoint.scores import MIN_SEGMENT
from concertmaster.core.changepoint.seasons import without_seasons
from concertmaster.core.changepoint.segment import (
    FirstTests,
    Split,
    first_tests,
    serial_dependence,
    splits,
)
from concertmaster.core.changepoint.series import Numbers, RunSeries, Series, prepare_many
from concertmaster.core.model import Interval
from concertmaster.core.stats.dependence import dependence
from concertmaster.core.stats.ranks import normal_scores
from concertmaster.core.stats.robust import array_median, median_difference, theil_sen, theil_sens
from concertmaster.core.units import WEEK

MIN_TREND = 8  # values; with fewer the interval of a slope is too wide to be useful
_MIN_RAMP_SHARE = 0.75  # of the slope of a ramp that continues
MAX_RAMP_VALUES = 500  # values; longer stretches are not searched for ramps


def detect(times: Numbers | None, values: Numbers, *, inputs: Numbers | None = None) -> Detection:
    """Change points, ramps and trend of ``values`` (one per run, any unit) in the order of ``times`` (unix seconds).

    Missing values (None, NaN, infinite, negative) are ignored; indices refer to the series as given. Without ``times`` the
    given order is used and there is no trend. With ``inputs`` (input size per run, same length) the part of each value
    explained by input size is removed first, so that only changes of the step itself remain; a few values with unknown input
    are ignored.
    """
    return detect_many([Series(times, values, inputs)])[0]


def detect_many(many: Sequence[Series]) -> list[Detection]:
    """``detect`` of each series. The steps of a workflow mostly have one value per run, at the same times: what can be is
    computed for all of them at once, and only those with a season or a change are examined one by one."""
    prepared = prepare_many(many)
    usable = [_without_inputs(each) for each in prepared if not isinstance(each, str)]
    usable = in_groups(usable, lambda series: series.time.tobytes(), _without_seasons)
    looks = in_groups([series.y for series in usable], np.size, lambda values: first_tests(as_rows(values)))
    found = [_found(series, look) for series, look in zip(usable, looks, strict=True)]
    trends = in_groups(found, _length, _trends)
    detected = (each.with_trend(trend) for each, trend in zip(found, trends, strict=True))
    return [Detection((), None, False, each) if isinstance(each, str) else next(detected) for each in prepared]


def _without_inputs(series: RunSeries) -> RunSeries:
    if series.inputs is None:
        return series
    explained = explained_by(series.inputs, series.y)
    return series if explained is None else series._replace(y=series.y - explained, adjusted=True)


def _without_seasons(group: list[RunSeries]) -> list[RunSeries]:
    """``group``: of the same times."""
    left = without_seasons(group[0].time, [series.y for series in group])
    return [series if y is series.y else series._replace(y=y) for series, y in zip(group, left, strict=True)]


class _Found(NamedTuple):
    """The changes of a series, and the ``stretch`` since the last one, whose trend continues: with an interval at least so
    many times ``wider`` than that of independent values."""

    points: tuple[ChangePoint, ...]
    ramps: tuple[Ramp, ...]
    drifting: bool
    stretch: RunSeries
    wider: float

    def with_trend(self, trend: Interval | None) -> Detection:
        return Detection(self.points, trend, True, None, self.ramps, self.stretch.adjusted, self.drifting)


def _found(series: RunSeries, look: FirstTests) -> _Found:
    y = series.y
    breaks = splits(y, look)
    if not breaks:
        return _Found((), (), False, series, _wider(look.dependence))
    drifting = breaks[0].drifting
    ramps = () if drifting or y.size > MAX_RAMP_VALUES else _ramps(series, y, [split.index for split in breaks])
    wider = _wider_between(y, [0, *(split.index for split in breaks), y.size])
    points = _points(series, y, breaks, wider)
    start = trend_start(points, ramps, series)
    stretch = series._replace(time=series.time[start:], y=y[start:])
    return _Found(points, ramps, drifting, stretch, max(wider, _wider(serial_dependence(stretch.y))))


def _length(found: _Found) -> int:
    """The number of values that tell the trend; 0 where there is none."""
    return found.stretch.y.size if _has_trend(found.stretch.time) else 0


def _trends(found: list[_Found]) -> Sequence[Interval | None]:
    """``_trend`` of stretches of one length."""
    if _length(found[0]) == 0:
        return [None] * len(found)
    times, logs = as_rows([each.stretch.time for each in found]), as_rows([each.stretch.y for each in found])
    weeks = (times - times[:, :1]) / WEEK
    slopes = theil_sens(weeks, logs)
    return [_growth(*row) for row in zip(slopes, weeks, logs, (each.wider for each in found), strict=True)]


def trend_start(points: Sequence[ChangePoint], ramps: Sequence[Ramp], series: RunSeries) -> int:
    """Start, in the usable series, of the stretch whose trend continues: the last of its change ``points``, or the start of
    a ramp that has not ended yet.
    """
    if not points:
        return 0
    indices: list[int] = series.indices.tolist()
    last = ramps[-1] if ramps else None
    change = indices.index(points[-1].index)
    if last is None or last.points[-1] != len(points) - 1:
        return change
    start, end = indices.index(last.start), indices.index(last.end)
    return start if end >= series.y.size - MIN_SEGMENT or _goes_on(series, slice(start, end + 1), change) else change


def _goes_on(series: RunSeries, ramp: slice, change: int) -> bool:
    """Whether the slope since the last change may be most of the slope of the ramp: levels cut out of steady growth look
    flatter individually than the growth is."""
    rise, tail = (_trend(series.time[part], series.y[part]) for part in (ramp, slice(change, None)))
    return (
        rise is not None and tail is not None and tail.low <= rise.likely and _MIN_RAMP_SHARE * rise.likely <= tail.high
    )


def _points(series: RunSeries, y: Floats, breaks: list[Split], wider: float) -> tuple[ChangePoint, ...]:
    edges = [0, *(split.index for split in breaks), y.size]
    out = []
    for i, split in enumerate(breaks):
        shift = median_difference(y[edges[i] : split.index], y[split.index : edges[i + 2]])
        if shift is None:
            continue
        low, high = (_exp(shift.likely + wider * (end - shift.likely)) for end in (shift.low, shift.high))
        direction = Direction.UP if shift.likely >= 0 else Direction.DOWN
        at = split.index
        place = int(series.indices[at]), float(series.time[at])
        out.append(ChangePoint(*place, _exp(shift.likely), low, high, direction, 1.0 - split.p_value))
    return tuple(out)


def _wider_between(y: Floats, edges: list[int]) -> float:
    """How many times as wide the interval between two levels is as that of independent values. By ranks, as the interval."""
    around = np.concatenate([y[start:end] - array_median(y[start:end]) for start, end in pairwise(edges)])
    return max(1.0, dependence(normal_scores(around)))


def _ramps(series: RunSeries, y: Floats, edges: list[int]) -> tuple[Ramp, ...]:
    bounds = [0, *edges, y.size]
    out = []
    for start, end, explained in find_ramps(y, edges):
        first, last = bounds[explained[0]], bounds[explained[-1] + 2]
        ratios, sure = _size(y[first:last], start - first, end - first)
        begin, until = float(series.time[start]), float(series.time[end])
        jumps = _jumps(series, y, edges, (start, end, explained))
        at = int(series.indices[start]), int(series.indices[end])
        out.append(Ramp(*at, *ratios, explained, begin, until, jumps, sure))
    return tuple(out)


def _size(logs: Floats, start: int, end: int) -> tuple[tuple[float, float, float], float]:
    """Ratio of the levels after and before a ramp with its 95% interval, and its confidence. A deviation that carries over
    widens the one and lowers the other."""
    size, error, left = size_of_ramp(logs, start, end)
    error *= _wider(serial_dependence(left))
    chance = ramp_p_value(size / error, logs.size) if error > 0.0 else 0.0
    return (_exp(size), _exp(size - 1.96 * error), _exp(size + 1.96 * error)), 1.0 - chance


def _jumps(series: RunSeries, y: Floats, edges: list[int], ramp: tuple[int, int, tuple[int, ...]]) -> tuple[float, ...]:
    """What a jump at each of the edges that the ``ramp`` explains is worth, judged on the values since the edge before it
    and until the one after it."""
    x = series.time if math.isfinite(series.time[0]) else np.arange(y.size, dtype=np.float64)
    (start, end, explained), bounds = ramp, [0, *edges, y.size]
    found = []
    for k in explained:
        first, place, last = bounds[k : k + 3]
        within = start - first, end - first
        found.append(worth_of_jump(x[first:last], y[first:last], place - first, within))
    return tuple(found)


def _trend(times: Floats, logs: Floats) -> Interval | None:
    """Growth of the level per week as a share, with its 95% interval."""
    if not _has_trend(times):
        return None
    weeks = (times - times[0]) / WEEK
    return _growth(theil_sen(weeks, logs), weeks, logs, _wider(serial_dependence(logs)))


def _has_trend(times: Floats) -> bool:
    """Whether there are enough values with known times for a trend; either all times are known or none is."""
    return times.size >= MIN_TREND and math.isfinite(times[0])


def _wider(dependence: float) -> float:
    return math.sqrt((1.0 + dependence) / (1.0 - dependence))


def _growth(slope: Interval | None, weeks: Floats, logs: Floats, wider: float) -> Interval | None:
    """The robust ``slope`` of the ``logs`` as a share per week; its interval, of independent values, widened so many times,
    or by what the values around the line have in common. By ranks, as the interval."""
    if slope is None:
        return None
    wider = max(wider, dependence(normal_scores(logs - slope.likely * weeks)))
    ends = (slope.likely + wider * (end - slope.likely) for end in (slope.low, slope.likely, slope.high))
    return Interval(*(math.expm1(min(end, 50.0)) for end in ends))


def _exp(log: float) -> float:
    return math.exp(min(log, 700.0))
