"""Which changes are clear enough to act on: far fewer than those that are detected come about by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from concertmaster.core.changepoint.model import ChangePoint, Detection, Ramp
from concertmaster.core.units import DAY

SIGNIFICANCE = 0.0005
"""Highest p-value to report: nobody should investigate a chance finding."""
CLEAR_Z = 6.0
"""Standard errors, for few runs: ranks of a dozen values cannot reach lower p-values."""
_SMALL_INCREASE = 0.25  # of an increase, on logarithms
_MAX_CHANGES = 2  # clear changes in both directions, such as a regression and its end
_MIN_LASTING = 2 * DAY  # a level that may be of one day only
_MIN_TIMES = 2  # that a level came and went, from which on it is expected to do so again
_MAX_FALLEN = 0.5  # of an increase, on logarithms: one of which more was undone is over


def is_clear(chance: float, ratio: float, low: float) -> bool:
    """Whether a change by the factor ``ratio`` > 1, with p-value ``chance`` and lower 95% bound ``low``, is significant."""
    width = math.log(ratio / low) if 0 < low < ratio else 0.0
    return chance < SIGNIFICANCE or width <= 0 or 1.96 * math.log(ratio) / width >= CLEAR_Z


def direction_if_clear(point: ChangePoint, least: float, compared: int = 1) -> int:
    """1 for an increase that is clear and at least ``least`` (a share), -1 for such a decrease (to one over 1 + ``least``),
    else 0. ``compared``: series that are examined, any of which may change by chance."""
    size, bar, chance = math.log(point.ratio), math.log1p(least), compared * (1.0 - point.confidence)
    if size >= bar and is_clear(chance, point.ratio, point.low):
        return 1
    return -1 if size <= -bar and is_clear(chance, 1.0 / point.ratio, 1.0 / point.high) else 0


def came_and_went(points: Sequence[ChangePoint], least: float) -> bool:
    """Whether more of ``points`` than a regression and its end are clear changes of at least ``least`` (a share), in both
    directions."""
    return returns([way for point in points if (way := direction_if_clear(point, least))])


def returns(ways: Sequence[object]) -> bool:
    """Whether changes in these directions are more than a regression and its end."""
    return len(ways) > _MAX_CHANGES and len(set(ways)) > 1


def last_clear(
    points: Sequence[ChangePoint], least: float, compared: int = 1, until: float = math.inf
) -> ChangePoint | None:
    """The newest of ``points`` that is clear and changed the level by ``least`` (a share) at least; None without any, and
    where others will follow: levels came and went twice, as on weekends, or more than once and the newest, ``until``
    now (unix seconds), is of less than two days. ``compared``: as in ``direction_if_clear``."""
    clear = [(point, way) for point in points if (way := direction_if_clear(point, least, compared))]
    ways = [way for _, way in clear]
    if not clear or min(ways.count(1), ways.count(-1)) >= _MIN_TIMES:
        return None
    newest = clear[-1][0]
    return None if returns(ways) and until - newest.time < _MIN_LASTING else newest


def lasting_increase(points: Sequence[ChangePoint], least: float) -> ChangePoint | None:
    """The last significant increase of at least ``least`` (a share), if so much of it, and at least half, is left, else
    None. A change that is small beside it, and small itself, may follow, for a level rarely stays where it jumped to; so
    may one that is not significant, such as a weekend, as long as the increase stands with it."""
    bar, after, fallen, largest = math.log1p(least), 0.0, 0.0, 0.0  # of later changes: sums, the largest small one
    for point in reversed(points):
        size, direction = math.log(point.ratio), direction_if_clear(point, least)
        if direction > 0:
            stands = size + after >= bar and fallen <= _MAX_FALLEN * size and largest <= _SMALL_INCREASE * size
            return point if stands else None
        after += size
        if direction < 0:
            fallen -= size
        elif abs(size) < bar:
            largest = max(largest, abs(size))
    return None


def lasting_growth(trend: Detection, least: float) -> tuple[ChangePoint, Ramp] | None:
    """The ramp that as a whole is such an increase, and the last of its points: levels that growth is cut into may each
    differ by less, and less clearly."""
    ramps = {trend.points[ramp.points[-1]].index: ramp for ramp in trend.ramps}
    joined = {place for ramp in trend.ramps for place in ramp.points[:-1]}
    wholes = [_whole(trend, p, ramps.get(p.index)) for k, p in enumerate(trend.points) if k not in joined]
    found = lasting_increase(wholes, least)
    ramp = None if found is None else ramps.get(found.index)
    return None if ramp is None else (trend.points[ramp.points[-1]], ramp)


def _whole(trend: Detection, point: ChangePoint, ramp: Ramp | None) -> ChangePoint:
    if ramp is None:
        return point
    sure = max(ramp.confidence, *(trend.points[place].confidence for place in ramp.points))
    return replace(point, ratio=ramp.ratio, low=ramp.low, high=ramp.high, confidence=sure)


def last_fall(points: Sequence[ChangePoint], since: ChangePoint, least: float) -> ChangePoint | None:
    """The last clear decrease after the point ``since``; None without any."""
    later = (point for point in reversed(points) if point.time > since.time)
    return next((point for point in later if direction_if_clear(point, least) < 0), None)


def ends_dip(points: Sequence[ChangePoint], begin: float, at: ChangePoint, least: float) -> bool:
    """Whether the increase ``at`` only ends a clear fall, such as a holiday, that did not last as long as what was usual
    before, from the time ``begin`` on."""
    for place, point in enumerate(points):
        if point.time >= at.time:
            return False
        back = sum(math.log(later.ratio) for later in points[place:]) < math.log1p(least)
        if back and direction_if_clear(point, least) < 0 and at.time - point.time < point.time - begin:
            return True
        begin = point.time
    return False
