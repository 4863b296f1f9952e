"""A level of daily medians that rose and stays, which the runs analysed are too new to show: each day is one value.

A step by least squares on logarithms beside the effect of weekends, at the day where it fits best (the mean-shift model of
Hawkins 1977), tested by Student's t for all days that it may begin on: what days differ by without a change is the noise,
not what the runs of one day do. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint.clear import SIGNIFICANCE
from concertmaster.core.model import Interval
from concertmaster.core.stats.quantiles import student_quantile, student_tail
from concertmaster.core.times import weekend
from concertmaster.core.units import DAY

MIN_BEFORE = 3  # days
MIN_AFTER = 2  # days: one may be unlike the others for a reason of its own
MAX_GAP = 3  # days from one with runs to the next: a weekend without runs
_OTHERS_BEFORE, _OTHERS_AFTER = 0.1, 0.2  # share of the days of a side that may lie nearer to the other level
_NEWEST = 2  # days that must not
_AS_DRIFT = 0.6  # of what a steady drift leaves unexplained, a step must leave less
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class DailyRise:
    """The level of the days ``after`` over that of those ``before`` (days since 1970, ascending), a factor with its 95%
    interval. ``chance``: p-value."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    factor: Interval
    chance: float


def lasting_rise(seconds: Mapping[int, float], least: float, *, after: int = MIN_AFTER) -> DailyRise | None:
    """The lasting rise by at least the share ``least`` of the daily medians ``seconds`` (positive, by day since 1970); None
    where it is not clear, where a drift, weekends or the same days of the week before explain it, or where days are
    missing. ``after``: least number of days since."""
    days = _unbroken(seconds)
    if len(days) < MIN_BEFORE + after:
        return None
    free, known = _Beside(days), np.log(np.asarray([seconds[day] for day in days]))
    logs = free.rest(known[None, :])[0]
    cuts = range(MIN_BEFORE, len(days) - after + 1)
    steps = free.rest(np.asarray([[float(i >= cut) for i in range(len(days))] for cut in cuts]))
    sums = np.vecdot(steps, steps)
    sizes = np.divide(steps @ logs, sums, out=np.zeros_like(sums), where=sums > _TINY)
    best = int(np.argmax(sizes * sizes * sums))
    size, cut, degrees = float(sizes[best]), cuts[best], len(days) - free.number - 1
    if size < math.log1p(least) or degrees < 1:
        return None
    left = logs - size * steps[best]
    unexplained = max(float(left @ left), _TINY)
    error = _error(left, unexplained / degrees / float(sums[best]))
    chance = min(1.0, 2.0 * len(cuts) * student_tail(size / error, degrees))
    drift = _left_by_drift(free.rest(np.asarray([days], float))[0], logs)
    if chance >= SIGNIFICANCE or unexplained > _AS_DRIFT * drift:
        return None
    levels = dict(zip(days, (left + size * (np.arange(len(days)) >= cut)).tolist(), strict=True))
    if not _stays(levels, days[:cut], days[cut:], size) or _as_every_week(levels, days[:cut], days[cut:], least):
        return None
    if cut > MIN_BEFORE and len(days) - cut > MIN_AFTER:
        size, error, degrees = _without_change(days, known, cut) or (size, error, degrees)
    half = student_quantile(0.975, degrees) * error
    factor = Interval(math.exp(size - half), math.exp(size), math.exp(size + half))
    return DailyRise(tuple(days[:cut]), tuple(days[cut:]), factor, chance)


def _without_change(days: list[int], logs: Floats, cut: int) -> tuple[float, float, int] | None:
    """Size of the step before position ``cut`` with its standard error and degrees of freedom, without the two days beside
    it: only some runs of one of them took longer. None where working days are left before it and weekends after it."""
    rest = [i for i in range(len(days)) if i not in (cut - 1, cut)]
    free = _Beside([days[i] for i in rest])
    step, value = free.rest(np.asarray([[float(i >= cut) for i in rest], [logs[i] for i in rest]]))
    total = float(step @ step)
    if total <= _TINY:
        return None
    size, degrees = float(step @ value) / total, len(rest) - free.number - 1
    left = value - size * step
    return size, _error(left, max(float(left @ left), _TINY) / degrees / total), degrees


def _error(left: Floats, variance: float) -> float:
    """Standard error from the ``variance`` of independent days, wider as what is ``left`` of one carries to the next."""
    carried = max(0.0, float(left[1:] @ left[:-1]) / max(float(left @ left), _TINY))
    return math.sqrt(variance * (1.0 + carried) / (1.0 - carried))


class _Beside:
    """What is removed from a series of ``days`` before steps are compared: the mean, and the effect of weekends."""

    def __init__(self, days: list[int]) -> None:
        free = np.asarray([float(weekend(day * DAY)) for day in days])
        free -= free.mean()
        self._weekend = free / math.sqrt(float(free @ free)) if float(free @ free) > _TINY else None
        self.number = 1 if self._weekend is None else 2

    def rest(self, rows: Floats) -> Floats:
        """Each of the rows (shape (rows, days)) without them."""
        rest: Floats = rows - rows.mean(axis=1, keepdims=True)
        return rest if self._weekend is None else rest - (rest @ self._weekend)[:, None] * self._weekend


def _unbroken(seconds: Mapping[int, float]) -> list[int]:
    """The newest days without a gap, oldest first."""
    found: list[int] = []
    for day in sorted(seconds, reverse=True):
        if found and found[-1] - day > MAX_GAP:
            break
        found.append(day)
    return found[::-1]


def _left_by_drift(days: Floats, logs: Floats) -> float:
    """What a straight line leaves unexplained."""
    along = float(days @ days)
    slope = float(days @ logs) / along if along > _TINY else 0.0
    left = logs - slope * days
    return float(left @ left)


def _stays(levels: Mapping[int, float], before: list[int], after: list[int], size: float) -> bool:
    """Whether hardly a day is nearer to the level of the other side, and none of the newest: the rise does not end a fall,
    and has not passed."""
    low = [day for day in after if levels[day] < size / 2]
    high = sum(levels[day] >= size / 2 for day in before)
    return (
        high <= _OTHERS_BEFORE * len(before)
        and len(low) <= _OTHERS_AFTER * len(after)
        and not {*after[-_NEWEST:]} & {*low}
    )


def _as_every_week(levels: Mapping[int, float], before: list[int], after: list[int], least: float) -> bool:
    """Whether the days do not take ``least`` longer than the same ones of a week before the rise, or these are not known."""
    known = {day % 7: day for day in before}
    more = sorted(levels[day] - levels[known[day % 7]] for day in after if day % 7 in known)
    return 2 * len(more) < len(after) or more[len(more) // 2] < math.log1p(least)
