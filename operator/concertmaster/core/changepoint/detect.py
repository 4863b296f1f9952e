"""From a series of runs to change points with size and confidence, and the trend since the last one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.changepoint.inputs import explained_by
from concertmaster.core.changepoint.model import ChangePoint, Detection, Direction, Ramp
from concertmaster.core.changepoint.ramps import find_ramps
from concertmaster.core.changepoint.seasons import Calendar, explained_by_hour, explained_by_weekend
from concertmaster.core.changepoint.segment import (
    MIN_SEGMENT,
    MOST_VALUES,
    FirstLook,
    Split,
    first_looks,
    serial_dependence,
    splits,
)
from concertmaster.core.model import Interval
from concertmaster.core.stats.robust import median_difference, theil_sen, theil_sens
from concertmaster.core.stats.summary import as_floats

WEEK = 7 * 86400.0
MOST_KNOWN = 0.75  # share of runs with known input from which the others are ignored
MIN_TREND = 8  # values; with fewer the interval of a slope is too wide to be useful
_MOST_OF = 0.75  # of the slope of a ramp that continues
MOST_FOR_RAMPS = 500  # values; longer stretches are not searched for ramps

Numbers = Iterable[float | None] | Floats
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunSeries:
    """Values that can be analysed: ``index`` into the series as given, ``time`` (NaN without times), ``y`` the logs of
    the values (or the values in units of the largest when ``is_log`` is False), ``inputs`` (NaN where unknown); all of
    shape (n,).
    """

    index: Indices
    time: Floats
    y: Floats
    is_log: bool
    inputs: Floats


def detect(times: Numbers | None, values: Numbers, *, inputs: Numbers | None = None) -> Detection:
    """Change points, ramps and trend of ``values`` (one per run, any unit) in the order of ``times`` (unix seconds).

    Missing values (None, NaN, infinite) are ignored; indices refer to the series as given. Without ``times`` the given
    order is used and there is no trend. With ``inputs`` (input size per run, same length) the part of each value explained
    by input size is removed first, so that only changes of the step itself remain; a few values with unknown input are
    ignored.
    """
    return detect_many([Series(times, values, inputs)])[0]


class Series(NamedTuple):
    """Arguments of ``detect`` for one of many series."""

    times: Numbers | None
    values: Numbers
    inputs: Numbers | None = None


def detect_many(many: Sequence[Series]) -> list[Detection]:
    """``detect`` of each series. The steps of a workflow mostly have one value per run, so first tests are computed for all
    series of one length at once, and only those with a change are examined one by one."""
    calendars: dict[bytes, Calendar] = {}
    adjusted = [_adjusted(*each, calendars) for each in many]
    usable = [each for each in adjusted if not isinstance(each, str)]
    looks = _in_groups(
        [each.series.y if each.series.y.size <= MOST_VALUES else None for each in usable],
        lambda members: first_looks(np.stack([usable[k].series.y for k in members])),
    )
    detected = [_detected(each, look) for each, look in zip(usable, looks, strict=True)]
    trends = iter(_trends([(stretch, dependence) for _, stretch, dependence in detected]))
    changes = iter(detected)
    return [
        Detection((), None, False, each)
        if isinstance(each, str)
        else replace(next(changes)[0], trend_per_week=next(trends))
        for each in adjusted
    ]


class _Adjusted(NamedTuple):
    """A usable series without the part explained by its inputs, and whether there was such a part."""

    series: RunSeries
    adjusted: bool


def _adjusted(
    times: Numbers | None, values: Numbers, inputs: Numbers | None, calendars: dict[bytes, Calendar]
) -> _Adjusted | str:
    """``calendars``: by their times, those of other series."""
    series = prepare(times, values, inputs)
    if isinstance(series, str):
        return series
    if not series.is_log:
        return _Adjusted(series, False)
    by_input = None if inputs is None else explained_by(series.inputs, series.y)
    y = series.y if by_input is None else series.y - by_input
    times_key = series.time.tobytes()
    if times_key not in calendars:
        calendars[times_key] = Calendar(series.time)
    for season in (explained_by_hour, explained_by_weekend):
        explained = season(calendars[times_key], y)
        y = y if explained is None else y - explained
    return _Adjusted(replace(series, y=y), by_input is not None)


def _in_groups(arrays: Sequence[Floats | None], each: Callable[[list[int]], Sequence[T]]) -> list[T | None]:
    """Results of ``each`` on the positions of all arrays of one length; None where there is no array."""
    alike: dict[int, list[int]] = {}
    for place, array in enumerate(arrays):
        if array is not None:
            alike.setdefault(array.size, []).append(place)
    results: list[T | None] = [None] * len(arrays)
    for members in alike.values():
        for place, result in zip(members, each(members), strict=True):
            results[place] = result
    return results


def _detected(of: _Adjusted, look: FirstLook | None) -> tuple[Detection, RunSeries, float]:
    """Changes without trend, the stretch for the trend, and its serial dependence."""
    series, y = of.series, of.series.y
    breaks = splits(y, seen=look)
    drifting = any(split.drifting for split in breaks)
    edges = [split.index for split in breaks]
    ramps = () if drifting or y.size > MOST_FOR_RAMPS else _ramps(series, y, edges)
    changes = Detection(_points(series, y, breaks), None, True, None, ramps, of.adjusted, drifting)
    start = trend_start(changes, series)
    dependence = serial_dependence(y[start:]) if start or look is None else look.dependence
    return changes, replace(series, time=series.time[start:], y=y[start:]), dependence


def _trends(stretches: Sequence[tuple[RunSeries, float]]) -> list[Interval | None]:
    """``_trend`` of each stretch."""
    able = [series.time if series.is_log and _dated(series.time) else None for series, _ in stretches]

    def of_one_length(members: list[int]) -> list[Interval | None]:
        times = np.stack([stretches[k][0].time for k in members])
        logs = np.stack([stretches[k][0].y for k in members])
        wider = [_wider(stretches[k][1]) for k in members]
        return [_per_week(slope) for slope in theil_sens((times - times[:, :1]) / WEEK, logs, wider)]

    return _in_groups(able, of_one_length)


def trend_start(changes: Detection, series: RunSeries) -> int:
    """Start, in the usable series, of the stretch whose trend continues: the last change, or the start of a ramp that has
    not ended yet.
    """
    if not changes.points:
        return 0
    place = {int(original): i for i, original in enumerate(series.index)}
    last = changes.ramps[-1] if changes.ramps else None
    change = place[changes.points[-1].index]
    if last is None or last.points[-1] != len(changes.points) - 1:
        return change
    start, end = place[last.start], place[last.end]
    return start if end >= series.y.size - MIN_SEGMENT or _goes_on(series, slice(start, end + 1), change) else change


def _goes_on(series: RunSeries, ramp: slice, change: int) -> bool:
    """Whether the slope since the last change may be most of the slope of the ramp: levels cut out of steady growth look
    flatter individually than the growth is."""
    if not series.is_log:
        return False
    rise, tail = (
        _trend(series.time[part], series.y[part], serial_dependence(series.y[part]))
        for part in (ramp, slice(change, None))
    )
    return rise is not None and tail is not None and tail.low <= rise.likely and _MOST_OF * rise.likely <= tail.high


def prepare(times: Numbers | None, values: Numbers, inputs: Numbers | None = None) -> RunSeries | str:
    """The usable part of a series in order of time, or a sentence that says why it cannot be used."""
    data = as_floats(values)
    when = np.full(data.size, np.nan) if times is None else as_floats(times)
    sizes = np.full(data.size, np.nan) if inputs is None else as_floats(inputs)
    if when.size != data.size or sizes.size != data.size:
        return f"{data.size} values, {when.size} times and {sizes.size} input sizes: one of each per run is needed"
    index = np.flatnonzero(np.isfinite(data) if times is None else np.isfinite(data) & np.isfinite(when))
    if times is not None:
        index = index[np.argsort(when[index], kind="stable")]
    if inputs is not None and index.size:
        known = np.isfinite(sizes[index])
        if MOST_KNOWN <= known.mean() < 1.0:
            index = index[known]  # the input of the newest runs may not have been read yet
    if index.size < 2 * MIN_SEGMENT:
        return f"{index.size} of {2 * MIN_SEGMENT} values needed to tell a change"
    y, is_log = _scale(data[index])
    return RunSeries(index, when[index], y, is_log, sizes[index])


def _scale(values: Floats) -> tuple[Floats, bool]:
    """Logs where a ratio makes sense (no negative values; zeros count as the smallest positive one), else scaled values."""
    low = float(values.min())
    if low > 0:
        return np.log(values), True
    positive = values[values > 0]
    if low < 0 or positive.size == 0:
        return values / max(float(np.max(np.abs(values))), 1e-300), False  # so that no square overflows
    return np.log(np.maximum(values, positive.min())), True


def _points(series: RunSeries, y: Floats, breaks: list[Split]) -> tuple[ChangePoint, ...]:
    edges = [0, *(split.index for split in breaks), y.size]
    out = []
    for i, split in enumerate(breaks):
        shift = median_difference(y[edges[i] : split.index], y[split.index : edges[i + 2]])
        if shift is None:
            continue
        size = (math.nan, math.nan, math.nan)
        if series.is_log:
            size = (_exp(shift.likely), _exp(shift.low), _exp(shift.high))
        direction = Direction.UP if shift.likely >= 0 else Direction.DOWN
        at = split.index
        out.append(ChangePoint(int(series.index[at]), float(series.time[at]), *size, direction, 1.0 - split.p_value))
    return tuple(out)


def _ramps(series: RunSeries, y: Floats, edges: list[int]) -> tuple[Ramp, ...]:
    out = []
    for start, end, explained in find_ramps(y, edges):
        before, after = y[: start + 1], y[end:]
        previous = [e for e in edges[: explained[0]] if e < start]
        following = [e for e in edges[explained[-1] + 1 :] if e > end]
        before = before[previous[-1] if previous else 0 :]
        after = after[: (following[0] if following else y.size) - end]
        ratio = _exp(float(np.median(after) - np.median(before))) if series.is_log else math.nan
        out.append(Ramp(int(series.index[start]), int(series.index[end]), ratio, explained))
    return tuple(out)


def _trend(times: Floats, logs: Floats, dependence: float) -> Interval | None:
    """Growth of the level per week as a share, from the robust slope of the logs, widened for serial ``dependence``."""
    if not _dated(times):
        return None
    return _per_week(theil_sen((times - times[0]) / WEEK, logs, wider=_wider(dependence)))


def _dated(times: Floats) -> bool:
    """Whether there are enough values with known times for a trend."""
    return times.size >= MIN_TREND and bool(np.isfinite(times).all())


def _wider(dependence: float) -> float:
    return math.sqrt((1.0 + dependence) / (1.0 - dependence))


def _per_week(slope: Interval | None) -> Interval | None:
    if slope is None:
        return None
    low, likely, high = (math.expm1(min(s, 50.0)) for s in (slope.low, slope.likely, slope.high))
    return Interval(low, likely, high)


def _exp(log: float) -> float:
    return math.exp(min(log, 700.0))
