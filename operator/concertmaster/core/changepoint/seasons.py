"""The parts of a series explained by the hour of the day and by weekends, unaffected by changes of the level.

Runs that take longer at noon than at night look like values that carry over to the next: without this, a series of several
runs a day seems to drift, and a change of its level stays unseen. A weekend hides a change that begins shortly before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.changepoint.grouped import as_rows
from concertmaster.core.stats.quantiles import beta_cdf
from concertmaster.core.stats.robust import mad_sigma
from concertmaster.core.units import DAY as DAY
from concertmaster.core.units import HOUR, WEEK

SATURDAY = 2.0 * DAY  # seconds from the start of a week of unix time, a Thursday
MIN_DAYS = 4.0  # from the first run to the last, with several a day: a change of level touches the hours of one day
MIN_A_DAY = 2.0  # runs
HOUR_WIDTHS = (1, 2, 3, 4, 6)  # hours that count as one; the narrowest with enough runs is taken
MIN_AT_HOUR = 7.0  # runs; few take up the noise as well, and changes of level look clearer than they are
SIGNIFICANCE = 0.001
ROUNDS = 4  # of the median polish
MIN_WEEKENDS = 2
BRIEF = 1.75, 1  # such days (most hours are of two then), and weekends, where no change of level lies among them
CLEAR_Z = 4.0  # standard errors of the effect of weekends
MIN_WEEKENDS_FOR_SPREAD = 4  # weekends whose scatter says how precise their median is; of fewer the noise of one counts
_MEDIANS = math.pi / 2.0  # variance of a median in units of that of a mean, under normal noise
_AROUND = (-2.0 * DAY, 0.0, 2.0 * DAY, 4.0 * DAY)  # two days before a weekend, itself, two days after


class _Groups(NamedTuple):
    """Group of each value, the number of groups, and the number of values in each."""

    of: Indices
    number: int
    sizes: Indices

    @classmethod
    def made(cls, of: Indices, number: int) -> _Groups:
        return cls(of, number, np.bincount(of, minlength=number))


class Calendar:
    """The days, hours and weekends (UTC) of ``times``: ascending unix seconds, shape (n,). The steps of a workflow share
    theirs as a rule. ``level``: they have one level, so that a few days tell hours, and one weekend; and that days of one
    kind have no effects of their own, which would take up what is of their hours where a day is known in part."""

    def __init__(self, times: Floats, *, level: bool = False) -> None:
        self._times = times
        self._least_days, self._least_weekends = BRIEF if level else (MIN_DAYS, MIN_WEEKENDS)
        self._dated = times.size > 0 and bool(np.isfinite(times).all())
        self._level = level

    @cached_property
    def days(self) -> _Groups | None:
        """Values by their day; None for too few days or runs a day."""
        times, least = self._times, self._least_days
        if not self._dated or times.size < least * MIN_A_DAY or times[-1] - times[0] < least * DAY:
            return None
        day = times // DAY
        places = np.zeros(day.size, np.intp)
        np.cumsum(day[1:] != day[:-1], out=places[1:])
        days = int(places[-1]) + 1
        if times.size < MIN_A_DAY * days:
            return None
        if self._level and len(set((self._since % WEEK < 2 * DAY).tolist())) == 1:
            return _Groups.made(np.zeros_like(places), 1)
        return _Groups.made(places, days)

    @cached_property
    def hours(self) -> _Groups | None:
        """Values by their hour of the day, several hours as one where that takes enough runs; None where six are too few,
        and without ``days``."""
        if self.days is None:
            return None
        hour = (self._times % DAY // HOUR).astype(np.intp)
        present = set(hour.tolist())
        for width in HOUR_WIDTHS:
            blocks = sorted({each // width for each in present})
            if hour.size >= MIN_AT_HOUR * len(blocks):
                return _Groups.made(np.searchsorted(blocks, hour // width), len(blocks))
        return None

    @cached_property
    def weekends(self) -> list[tuple[int, int, int, int]]:
        """For each weekend with runs on it and beside it, the positions at which the two days before it, itself and the two
        days after it begin, and where they end; empty if there are too few weekends."""
        if not self._dated or self._times[-1] - self._times[0] < (self._least_weekends - 1) * WEEK + 2 * DAY:
            return []
        begins = np.asarray(sorted(set((self._since // WEEK).tolist()))) * WEEK
        bounds: list[list[int]] = np.searchsorted(self._since, begins[:, None] + np.array(_AROUND)).tolist()
        known = [(a, b, c, d) for a, b, c, d in bounds if b < c and (a < b or c < d)]
        return known if len(known) >= self._least_weekends else []

    def on_weekends(self, effect: float) -> Floats:
        """``effect`` for each value of a weekend, 0 for the others; shape (n,)."""
        return np.where(self._since % WEEK < 2 * DAY, effect, 0.0)

    @cached_property
    def _since(self) -> Floats:
        return self._times - SATURDAY


def without_seasons(times: Floats, logs: Sequence[Floats]) -> list[Floats]:
    """Each of ``logs`` (series of values at the same ``times``: ascending unix seconds, all of shape (n,)) without the parts
    explained by the hour of the day and by weekends."""
    calendar = Calendar(times)
    by_hour = _differing(calendar, as_rows(logs))
    left = [_less(values, explained_by_hour(calendar, values, differ=k in by_hour)) for k, values in enumerate(logs)]
    return [_less(values, explained_by_weekend(calendar, values)) for values in left]


def hours_by_kind(times: Floats) -> Indices | None:
    """The hour of the day (several as one where that takes enough runs) of each of ``times`` (as above), on weekends apart
    from other days, by number; None where there are too few of each hour."""
    calendar = Calendar(times)
    if calendar.hours is None:
        return None
    hours = calendar.hours.of + calendar.on_weekends(float(calendar.hours.number))
    return np.unique(hours, return_inverse=True)[1]


def _less(values: Floats, explained: Floats | None) -> Floats:
    return values if explained is None else values - explained


def explained_by_hour(calendar: Calendar, logs: Floats, *, differ: bool | None = None) -> Floats | None:
    """The part of ``logs`` (logs of the values at the times of the ``calendar``, shape (n,)) explained by the hour of the
    day in UTC; shape (n,). ``differ``: whether the hours differ significantly, if that was tested before.

    A median polish (Tukey 1977) of days and hours: the days take up levels, growth and weekends. None when there are too few
    runs a day or days, or when the hours do not differ significantly (analysis of variance within days).
    """
    if differ is None:
        differ = bool(_differing(calendar, logs[None, :]))
    days, hours = calendar.days, calendar.hours
    if not differ or days is None or hours is None:
        return None
    left, effect = logs, np.zeros(hours.number)
    for _ in range(ROUNDS):
        left = left - _medians(left, days)[days.of]
        step = _medians(left, hours)
        left = left - step[hours.of]
        effect = effect + step
    explained = effect[hours.of]
    return explained - float(np.median(explained))


def explained_by_weekend(calendar: Calendar, logs: Floats) -> Floats | None:
    """The part of ``logs`` (as in ``explained_by_hour``) explained by Saturdays and Sundays in UTC; shape (n,).

    Each weekend is compared with the two days before it, and with the two days after it: the median of these
    differences counts, so that growth cancels, and a change of level nearby, which touches one of them, hardly counts.
    All, of three and more all but one, must agree in direction; of many, more than chance makes agree. The effect must
    be clear against the noise of one weekend, or, of ``MIN_WEEKENDS_FOR_SPREAD`` and more, against the error of their
    median. None with too few weekends, or when the effect is not significant."""
    weekends = calendar.weekends
    if not weekends:
        return None
    values = logs.tolist()
    known = [(values[a:b], values[b:c], values[c:d]) for a, b, c, d in weekends]
    of_each = [[_median(inside) - _median(part) for part in (before, after) if part] for before, inside, after in known]
    apart = [each for weekend in of_each for each in weekend]
    effect = _median(apart)
    if sum((each > 0) is not (effect > 0) for each in apart) > _against(len(apart)):
        return None
    noise = [
        value - middle for around in known for part in around if part for middle in (_median(part),) for value in part
    ]
    variance = mad_sigma(np.asarray(noise)) ** 2 * sum(_error(*each) for each in known) / len(known)
    if abs(effect) >= CLEAR_Z * math.sqrt(variance):
        return calendar.on_weekends(effect)
    if len(known) < MIN_WEEKENDS_FOR_SPREAD:
        return None
    # Weekends differ by more than the noise of their runs where days have effects of their own; of a few, their scatter is
    # known as badly as Student's distribution is wide.
    scatter = mad_sigma(np.asarray([sum(each) / len(each) for each in of_each])) ** 2
    scatter *= (len(known) - 1) / (len(known) - 3)
    clear = CLEAR_Z * math.sqrt(_MEDIANS * max(variance, scatter) / len(known))
    return calendar.on_weekends(effect) if abs(effect) >= clear else None


def _against(number: int) -> int:
    """Of so many differences, how many may have the other sign: three standard deviations fewer than half of them."""
    return max(min(1, (number - 1) // 2), int((number - 3.0 * math.sqrt(number)) / 2.0))


def _median(values: list[float]) -> float:
    """The median of a few values."""
    ordered, n = sorted(values), len(values)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2.0


def _error(before: list[float], inside: list[float], after: list[float]) -> float:
    """Variance of the effect of a weekend in units of that of a value."""
    beside = [len(part) for part in (before, after) if part]
    return 1.0 / len(inside) + sum(1.0 / n for n in beside) / len(beside) ** 2


def _medians(values: Floats, groups: _Groups) -> Floats:
    """The median of each group."""
    ordered, sizes = values[np.lexsort((values, groups.of))], groups.sizes
    starts = np.cumsum(sizes) - sizes
    middle: Floats = (ordered[starts + (sizes - 1) // 2] + ordered[starts + sizes // 2]) / 2.0
    return middle


def _differing(calendar: Calendar, logs: Floats) -> set[int]:
    """The rows of ``logs`` (shape (rows, n)) whose hours differ more than runs at one hour: an F test within days."""
    days, hours = calendar.days, calendar.hours
    if days is None or hours is None:
        return set()
    between, free = hours.number - 1, logs.shape[1] - days.number - hours.number + 1
    if between < 1 or free < 1:
        return set()
    within = logs - _means(logs, days)
    means = _means(within, hours)
    explained, left = np.vecdot(means, means), np.square(within - means).sum(axis=1)
    unexplained = np.divide(left, left + explained, out=np.ones_like(left), where=explained > 0.0)
    differing = set()
    for row in np.argsort(unexplained).tolist():
        if beta_cdf(float(unexplained[row]), free / 2.0, between / 2.0) >= SIGNIFICANCE:
            break  # the rows after this one differ less
        differing.add(row)
    return differing


def _means(values: Floats, groups: _Groups) -> Floats:
    """For each value the mean of its group in its row; shape (rows, n)."""
    rows = len(values)
    places = groups.of + groups.number * np.arange(rows)[:, None]
    sums = np.bincount(places.ravel(), weights=values.ravel(), minlength=rows * groups.number)
    means: Floats = (sums.reshape(rows, -1) / groups.sizes).take(groups.of, axis=1)
    return means
