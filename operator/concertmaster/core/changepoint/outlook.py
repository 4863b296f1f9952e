"""When an objective that is still met will be missed, if the current trend continues."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint.detect import MIN_TREND, detect, trend_start
from concertmaster.core.changepoint.ramps import goes_on
from concertmaster.core.changepoint.seasons import without_seasons
from concertmaster.core.changepoint.series import Numbers, prepare
from concertmaster.core.model import Interval
from concertmaster.core.stats.robust import array_median
from concertmaster.core.times import END_OF_CALENDAR
from concertmaster.core.units import WEEK


class OutlookState(StrEnum):
    """MET: no trend will reach the limit. AT_RISK: one will. MISSED: already. UNKNOWN: too little data."""

    MET = "Met"
    AT_RISK = "AtRisk"
    MISSED = "Missed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class ObjectiveForecast:
    """``level``: the percentile at the current end of the trend; ``at``: when it reaches the limit, or passed it if it is
    missed already (unix seconds)."""

    state: OutlookState
    level: float | None = None
    at: Interval | None = None


def outlook(times: Numbers, values: Numbers, limit: float, *, percentile: float = 0.5, now: float) -> ObjectiveForecast:
    """When the ``percentile`` (0 to 1) of ``values`` (positive, one per run) exceeds ``limit`` (same unit).

    Extrapolates the trend since the last change (robust slope of the logs) with the spread of the runs around it. A date is
    given only when the whole 95% interval of the slope is positive, neither a single step nor growth that has ended
    describes the runs better, and no further ahead than the trend has been observed. Runs seldom show whether growth is by
    an amount or by a share a day: the date is that of a share, and its interval covers both.
    """
    series = prepare(times, values)
    if isinstance(series, str) or not limit > 0:
        return ObjectiveForecast(OutlookState.UNKNOWN)
    changes = detect(times, values)
    start = trend_start(changes.points, changes.ramps, series)
    time, y = series.time[start:], series.y[start:]
    trend = changes.trend_per_week
    if trend is None or time.size < MIN_TREND:
        return ObjectiveForecast(OutlookState.UNKNOWN)
    slope = Interval(*(math.log1p(max(s, -0.999999)) / WEEK for s in (trend.low, trend.likely, trend.high)))
    rising = slope.low > 0 and goes_on(time, without_seasons(series.time, [series.y])[0][start:], slope.likely)
    tilt = slope.likely if rising or slope.high < 0 else 0.0
    share = min(max(percentile, 0.0), 1.0)
    level = float(np.quantile(y - tilt * (time - now), share))
    seconds = math.exp(min(level, 700.0))
    missing = math.log(limit) - level
    if not rising:
        return ObjectiveForecast(OutlookState.MISSED if missing < 0 else OutlookState.MET, seconds)
    ahead = _ahead(time - now, y, slope, share, math.log(limit))
    at = Interval(*(min(END_OF_CALENDAR, now + t) for t in (ahead.low, ahead.likely, ahead.high)))
    if missing < 0:
        return ObjectiveForecast(OutlookState.MISSED, seconds, at)
    if at.likely - now > float(time[-1] - time[0]):
        return ObjectiveForecast(OutlookState.MET, seconds)
    return ObjectiveForecast(OutlookState.AT_RISK, seconds, at)


def _ahead(since: Floats, y: Floats, slope: Interval, share: float, limit: float) -> Interval:
    """Seconds until lines of the ``slope`` (per second, positive) through the logs ``y`` reach ``limit`` (a log); a steeper
    one is higher at its end as well. Lines through the values themselves have the slope that the logs have at the median."""
    values, scale = np.exp(y), math.exp(array_median(y))
    slopes = (slope.low, slope.likely, slope.high)
    by_share = [_reached(since, y, s, share, limit) for s in slopes]
    by_amount = [_reached(since, values, scale * s, share, math.exp(limit)) for s in slopes]
    return Interval(min(*by_share, *by_amount), by_share[1], max(*by_share, *by_amount))


def _reached(since: Floats, values: Floats, slope: float, share: float, limit: float) -> float:
    return (limit - float(np.quantile(values - slope * since, share))) / slope
