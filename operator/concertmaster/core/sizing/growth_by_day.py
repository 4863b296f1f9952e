"""Growth of the largest peaks of days: of frequent workflows the runs at hand are of some hours, which growth outlasts."""

from __future__ import annotations

import math
from collections.abc import Mapping

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.sizing.expected_peaks import HORIZON, MAX_RAISE
from concertmaster.core.sizing.trend import GROWTH_Z, off_line, weekly_growth
from concertmaster.core.times import weekend
from concertmaster.core.units import DAY

# Fewer days, all in ascending order, are more likely by chance than 1%.
MIN_DAYS = 5
# One step up explains the days better than growth where it leaves less than this share of what a line leaves unexplained.
ONE_STEP = 0.25
_BESIDE_STEP = 3  # days on either side at least: how high a rise goes is not known before


def largest_ahead(by_day: Mapping[int, float]) -> float | None:
    """The largest of the peaks (bytes, > 0) ``by_day`` (since 1970) as they will be where they grow from day to day; None
    where they do not."""
    if len(by_day) < MIN_DAYS:
        return None
    days, peaks = (np.array(column, dtype=np.float64) for column in zip(*sorted(by_day.items()), strict=True))
    logs, largest = np.log(peaks), float(peaks.max())
    per_day = daily_growth(logs, days)
    if per_day is None:
        return None
    last = float(days[-1])
    ahead = logs + per_day * (last - days + HORIZON * (last - float(days[0]) + 1.0))
    return max(largest, math.exp(min(float(ahead.max()), math.log(MAX_RAISE * largest))))


def daily_growth(values: Floats, days: Floats) -> float | None:
    """Growth per day, never negative, of the ``values`` of ``days`` (since 1970, ascending); None where they do not grow
    beyond GROWTH_Z. Where they rose once by a step, those since count.

    From week to week where they repeat. Otherwise by Kendall's test of their order, of all days and, since weekends are
    mostly light, within working days and weekends (Hirsch, Slack and Smith 1982); its variance is exact, so that five days
    can show growth.
    """
    since = _single_step(values)
    values, days = values[since:], days[since:]
    if values.size < MIN_DAYS:
        return None
    weekly = weekly_growth(values, days * DAY)
    if weekly is not None:
        return weekly * (days.size - 1.0) / float(days[-1] - days[0]) if weekly > 0.0 else None
    apart = np.array([weekend(day * DAY) for day in days.tolist()])
    rises, kinds = max(
        ((_order_within(values, kinds), kinds) for kinds in (0 * apart, apart)), key=lambda found: found[0]
    )
    return _slope_within(values, days, kinds) if rises > GROWTH_Z else None


def _single_step(values: Floats) -> int:
    """The place of a single step up that explains the ``values``, oldest first, clearly better than a line over their order
    does; 0 without one."""
    n = values.size
    if n < 2 * _BESIDE_STEP:
        return 0
    before = np.arange(_BESIDE_STEP, n - _BESIDE_STEP + 1)
    centred = values - np.add.reduce(values) / n
    below = np.maximum(-centred.cumsum()[before - 1], 0.0)  # sums of what is missing to the mean before each step
    explained = below**2 * n / (before * (n - before))
    off, best = off_line(values), int(explained.argmax())
    clear = float(centred @ centred) - float(explained[best]) < ONE_STEP * float(off @ off)
    return int(before[best]) if clear else 0


def _order_within(values: Floats, kinds: Floats) -> float:
    """One-sided normal quantile of Kendall's test of the order of ``values``, oldest first, with others of their kind."""
    first, second = np.triu_indices(values.size, 1)
    above = float(np.sign(values[second] - values[first]) @ (kinds[first] == kinds[second]))
    counts = np.unique(kinds, return_counts=True)[1].tolist()
    variance = sum(n * (n - 1) * (2 * n + 5) / 18.0 for n in counts)
    return above / math.sqrt(variance) if variance else 0.0


def _slope_within(values: Floats, days: Floats, kinds: Floats) -> float:
    """Growth per day, never negative: median slope of pairs of a kind in the recent half (see ``trend.growth_per_run``)."""
    y, day, kind = (column[values.size // 2 :] for column in (values, days, kinds))
    first, second = np.triu_indices(y.size, 1)
    alike = kind[first] == kind[second]
    slopes = (y[second] - y[first])[alike] / (day[second] - day[first])[alike]
    return max(0.0, float(np.median(slopes))) if slopes.size else 0.0
