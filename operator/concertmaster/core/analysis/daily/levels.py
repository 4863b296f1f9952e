"""A level of daily medians that rose and stays, which the runs analysed are too new to show: each day is one value.

A step, or growth from one day to another, by least squares on logarithms beside the effect of weekends, where it fits best
(the mean-shift model of Hawkins 1977), tested by Student's t for all days that it may begin or end on: what days differ by
without a change is the noise, not what the runs of one day do. The Bayesian information criterion decides between a step and
growth, as among runs (``changepoint.ramps``). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.changepoint.clear import SIGNIFICANCE
from concertmaster.core.changepoint.ramps import STEP_PARAMETERS, ramp_p_value, ramp_parameters, stretches
from concertmaster.core.model import Interval
from concertmaster.core.stats.quantiles import student_quantile, student_tail
from concertmaster.core.times import weekend
from concertmaster.core.units import DAY

MIN_BEFORE = 3  # days
MIN_AFTER = 2  # days: one may be unlike the others for a reason of its own
MAX_GAP = 3  # days from one with runs to the next: a weekend without runs
_NEWEST = 2  # days that must not lie nearer to the level before
_PLACES = 28  # days on which growth may begin or end
_MIN_GROWTH = 3  # days from the begin to the end of growth
_MORE = (
    1  # parameters that growth costs, since changes are mostly sudden, and some of many begins and ends fit by chance
)
_PART = 0.5  # of a step that the median of its day may show, which looks like growth over two days
_TWO_WEEKS = 14  # days: of fewer, the days of the week may be what differs
_AS_DRIFT = 0.6  # of what growth all along leaves unexplained, a step must leave less to be dated
_TINY = 1e-12
_MONTH = 28, 35  # days from one last day, last working day or first Monday of a month to the next
_MONTH_END = 5  # days at the most: what lasted longer was a level


@dataclass(frozen=True, slots=True)
class DailyRise:
    """The level of the days ``after`` over that of those ``before`` (days since 1970, ascending), a factor with its 95%
    interval. ``chance``: p-value. ``growth``: the days between which it rose; None for a step."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    factor: Interval
    chance: float
    growth: tuple[int, int] | None = None

    @property
    def begin(self) -> int:
        """The first day after the step, or of the growth."""
        return self.after[0] if self.growth is None else self.growth[0]

    @property
    def middle(self) -> float:
        """The day by which half of the rise had come."""
        return float(self.after[0]) if self.growth is None else sum(self.growth) / 2.0


def lasting_rise(
    seconds: Mapping[int, float], least: float, *, after: int = MIN_AFTER, published: bool = False
) -> DailyRise | None:
    """The lasting rise by at least the share ``least`` of the daily medians ``seconds`` (positive, by day since 1970); None
    where it is not clear, where weekends or the same days of the week before explain it, or where days are missing.
    ``after``: least number of days since. ``published``: a rise was, so that it only matters whether it is left, not
    whether a drift explains these days nearly as well as a step."""
    days = _unbroken(seconds)
    if len(days) < MIN_BEFORE + after:
        return None
    free, known, n = _Beside(days), np.log(np.asarray([seconds[day] for day in days])), len(days)
    cuts = np.arange(MIN_BEFORE, n - after + 1)
    step = _best(free, known, _steps(cuts, n), np.full(cuts.size, STEP_PARAMETERS))
    first, last = stretches(n, _MIN_GROWTH, _PLACES)
    day = np.asarray(days, dtype=np.float64)
    shapes = np.clip((day - day[first, None]) / (day[last] - day[first])[:, None], 0.0, 1.0)
    growth = _best(free, known, shapes, ramp_parameters(first, last, n) + _MORE)
    within_a_day = _best(free, known, _steps(cuts, n, _PART), np.full(cuts.size, STEP_PARAMETERS + 1))
    if growth.cost < min(step.cost, within_a_day.cost):
        return _gradual(growth, days, int(first[growth.place]), int(last[growth.place]), least)
    steady = growth.unexplained[(first == 0) & (last == n - 1)]
    if not published and step.unexplained[step.place] > _AS_DRIFT * float(steady[0]):
        return None
    return _at_once(step, days, int(cuts[step.place]), least, cuts.size)


def as_every_month(since: Mapping[int, float], before: Mapping[int, float], level: float) -> bool:
    """Whether days reach the ``level`` as they did at a month end: as many of the days a month before as of those ``since``
    a rise (medians by day since 1970), and no more of all others before it, which may vary by as much at any time."""
    high = [day for day, seconds in since.items() if seconds >= level]
    if not high:
        return False
    first, last = min(high) - _MONTH[1], min(high) - _MONTH[0] + _MONTH_END  # more of them may be to come
    then = [first <= day <= last for day, seconds in before.items() if seconds >= level]
    others = len(then) - sum(then)
    return len(high) <= sum(then) <= _MONTH_END and others <= len(high)


def _steps(cuts: Indices, n: int, shown: float = 0.0) -> Floats:
    """Steps of ``n`` days before each of the ``cuts``, of which the day before shows a part: they happened within that."""
    at = np.arange(n) - cuts[:, None]
    return np.asarray((at >= 0) + shown * (at == -1), dtype=np.float64)


class _Fit(NamedTuple):
    """Of some shapes of a rise, 0 before it and 1 since, the one that explains the days best: its ``place`` among them;
    its ``size`` on logarithms with the standard ``error`` and ``degrees`` of freedom; the ``levels`` of the days, without
    what is removed beside them; ``cost``: by the Bayesian information criterion. ``sizes``, ``sums``,
    ``unexplained``: of each shape its size, its sum of squares beside what is removed, and that of what it leaves."""

    place: int
    size: float
    error: float
    degrees: int
    levels: Floats
    cost: float
    sizes: Floats
    sums: Floats
    unexplained: Floats

    @property
    def factor(self) -> Interval:
        """With the interval for this shape."""
        half = student_quantile(0.975, self.degrees) * self.error
        return Interval(math.exp(self.size - half), math.exp(self.size), math.exp(self.size + half))

    @property
    def factor_of_any(self) -> Interval:
        """With the interval over all shapes that explain the days hardly worse (the profile of the likelihood)."""
        allowed = (student_quantile(0.975, self.degrees) * self.error) ** 2 * self.sums[self.place]
        room = self.unexplained[self.place] + allowed - self.unexplained
        likely = (room >= 0.0) & (self.sums > _TINY)
        half = np.sqrt(room[likely] / self.sums[likely])
        low, high = float(np.min(self.sizes[likely] - half)), float(np.max(self.sizes[likely] + half))
        return Interval(math.exp(low), math.exp(self.size), math.exp(high))


def _best(free: _Beside, known: Floats, shapes: Floats, parameters: Floats | Indices) -> _Fit:
    """``known``: logarithms; ``shapes``: of shape (shapes, days); ``parameters`` of each."""
    logs, rests = free.rest(known[None, :])[0], free.rest(shapes)
    sums, along = np.vecdot(rests, rests), rests @ logs
    sizes = np.divide(along, sums, out=np.zeros_like(sums), where=sums > _TINY)
    unexplained = np.maximum(float(logs @ logs) - sizes * along, _TINY)
    costs = logs.size * np.log(unexplained) + parameters * math.log(logs.size)
    place = int(np.argmin(costs))
    size, degrees = float(sizes[place]), logs.size - free.number - 1
    left = logs - size * rests[place]
    error = _error(left, max(float(left @ left), _TINY) / degrees / max(float(sums[place]), _TINY))
    levels, cost = left + size * shapes[place], float(costs[place])
    return _Fit(place, size, error, degrees, levels, cost, sizes, sums, unexplained)


def _at_once(step: _Fit, days: list[int], cut: int, least: float, tried: int) -> DailyRise | None:
    """The ``step`` before position ``cut``, if it lasts. ``tried``: how many were."""
    before, after = tuple(days[:cut]), tuple(days[cut:])
    chance = min(1.0, 2.0 * tried * student_tail(step.size / step.error, step.degrees))
    if step.size < math.log1p(least) or chance >= SIGNIFICANCE:
        return None
    levels = dict(zip(days, step.levels.tolist(), strict=True))
    if not _stays(step.levels[cut:], step.size) or _as_every_week(levels, before, after, least):
        return None
    return DailyRise(before, after, step.factor, chance)


def _gradual(growth: _Fit, days: list[int], first: int, last: int, least: float) -> DailyRise | None:
    """The ``growth`` between two positions, if it lasts, and shows over two weeks of days."""
    before, after = tuple(days[: max(first + 1, MIN_BEFORE)]), tuple(days[min(last, len(days) - MIN_BEFORE) :])
    chance = ramp_p_value(growth.size / growth.error, len(days))
    lasts = (
        growth.size >= math.log1p(least)
        and chance < SIGNIFICANCE
        and days[-1] - days[0] >= _TWO_WEEKS
        and _stays(growth.levels, growth.size)
    )
    return DailyRise(before, after, growth.factor_of_any, chance, (days[first], days[last])) if lasts else None


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


def _stays(levels: Floats, size: float) -> bool:
    """Whether none of the newest of these days since a rise is nearer to the level before it: it has not passed."""
    return float(levels[-_NEWEST:].min()) >= size / 2


def _as_every_week(levels: Mapping[int, float], before: Sequence[int], after: Sequence[int], least: float) -> bool:
    """Whether the days do not take ``least`` longer than the same ones of a week before the rise, or these are not known."""
    known = {day % 7: day for day in before}
    more = sorted(levels[day] - levels[known[day % 7]] for day in after if day % 7 in known)
    return 2 * len(more) < len(after) or more[len(more) // 2] < math.log1p(least)
