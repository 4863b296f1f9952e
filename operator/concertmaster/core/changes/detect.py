"""From a series of runs to change points with size and confidence, and the trend since the last one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from concertmaster.core.changes.model import ChangePoint, Changes, Direction
from concertmaster.core.changes.segment import MIN_SEGMENT, Split, splits
from concertmaster.core.model import Interval
from concertmaster.core.stats.robust import median_difference, theil_sen
from concertmaster.core.stats.summary import Floats, as_floats

WEEK = 7 * 86400.0
MIN_TREND = 8  # values below which the interval of a slope is too wide to say anything


def detect(
    times: Iterable[float | None] | Floats | None,
    values: Iterable[float | None] | Floats,
    *,
    inputs: Iterable[float | None] | Floats | None = None,
) -> Changes:
    """Change points and trend of ``values`` (one per run, any unit) in the order of ``times`` (unix seconds).

    Missing values (None, NaN, infinite) are left out, indices refer to the series as given. Without ``times`` the
    order given counts and there is no trend. With ``inputs`` (input size per run, same length) the part of each value
    that the input size explains is taken out first, so that only changes of the step itself remain.
    """
    data = as_floats(values)
    when = np.full(data.size, np.nan) if times is None else as_floats(times)
    if when.size != data.size:
        return Changes((), None, False, f"{data.size} values but {when.size} times: one time per value is needed")
    keep = np.isfinite(data) if times is None else np.isfinite(data) & np.isfinite(when)
    index = np.flatnonzero(keep)
    if times is not None:
        index = index[np.argsort(when[index], kind="stable")]
    if index.size < 2 * MIN_SEGMENT:
        return Changes((), None, False, f"{index.size} of {2 * MIN_SEGMENT} values needed to tell a change")
    y, is_log = _scale(data[index])
    found = splits(y)
    points = _points(found, y, is_log, index, when)
    trend = None
    if times is not None and is_log:
        start = found[-1].index if found else 0
        trend = _trend(when[index][start:], y[start:])
    return Changes(points, trend, True)


def _scale(values: Floats) -> tuple[Floats, bool]:
    """Logs where a ratio makes sense (nothing negative; zeros count as the smallest positive value), else as they
    are.
    """
    low = float(values.min())
    if low > 0:
        return np.log(values), True
    positive = values[values > 0]
    if low < 0 or positive.size == 0:
        return values, False
    return np.log(np.maximum(values, positive.min())), True


def _points(
    found: list[Split], y: Floats, is_log: bool, index: NDArray[np.intp], when: Floats
) -> tuple[ChangePoint, ...]:
    edges = [0, *(split.index for split in found), y.size]
    out = []
    for i, split in enumerate(found):
        shift = median_difference(y[edges[i] : split.index], y[split.index : edges[i + 2]])
        if shift is None:
            continue
        size = (math.nan, math.nan, math.nan)
        if is_log:
            size = (_exp(shift.likely), _exp(shift.low), _exp(shift.high))
        at = int(index[split.index])
        direction = Direction.UP if shift.likely >= 0 else Direction.DOWN
        out.append(ChangePoint(at, float(when[at]), *size, direction, 1.0 - split.p_value))
    return tuple(out)


def _exp(log: float) -> float:
    return math.exp(min(log, 700.0))


def _trend(times: Floats, logs: Floats) -> Interval | None:
    """Share per week by which the level grows, from the robust slope of the logs."""
    if times.size < MIN_TREND:
        return None
    slope = theil_sen((times - times[0]) / WEEK, logs)
    if slope is None:
        return None
    low, likely, high = (math.expm1(min(s, 50.0)) for s in (slope.low, slope.likely, slope.high))
    return Interval(low, likely, high)
