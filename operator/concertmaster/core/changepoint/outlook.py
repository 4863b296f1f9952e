"""When an objective that is still met will be missed, if the current trend continues."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint.detect import MIN_TREND, detect, trend_start
from concertmaster.core.changepoint.ramps import goes_on
from concertmaster.core.changepoint.seasons import without_seasons
from concertmaster.core.changepoint.series import Numbers, prepare
from concertmaster.core.model import Interval
from concertmaster.core.stats.robust import array_median, mad_sigma, theil_sen
from concertmaster.core.times import END_OF_CALENDAR
from concertmaster.core.units import WEEK

_POWER = 0.5  # of growth whose runs do not show their curvature: between a share, 0, and an amount, 1
_POWER_SPREAD = 1.5  # around it
_POWER_Z = 1.28  # standard errors of the power, beside the 95% interval of the slope


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

    Extrapolates the trend since the last change (robust slope and curvature of the logs) with the spread of the runs around
    it. A date is given only when the whole 95% interval of the slope is positive, neither a single step nor growth that has
    ended describes the runs better, and no further ahead than the trend has been observed.
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
    even = without_seasons(series.time, [series.y])[0][start:]
    rising = slope.low > 0 and goes_on(time, even, slope.likely)
    share = min(max(percentile, 0.0), 1.0)
    if not rising:
        level = float(np.quantile(y - (slope.likely if slope.high < 0 else 0.0) * (time - now), share))
        missed = level > math.log(limit)
        return ObjectiveForecast(OutlookState.MISSED if missed else OutlookState.MET, math.exp(min(level, 700.0)))
    power, error = _power(time, even, slope)
    line = partial(_line, time - now, (y, even), slope, share, math.log(limit))
    level, ahead = line(power)
    ends = [t for p in (power - error, power + error) for t in (line(p)[1].low, line(p)[1].high)]
    at = Interval(
        *(min(END_OF_CALENDAR, now + t) for t in (min(ahead.low, *ends), ahead.likely, max(ahead.high, *ends)))
    )
    seconds = math.exp(min(level, 700.0))
    if ahead.likely < 0:
        return ObjectiveForecast(OutlookState.MISSED, seconds, at)
    if ahead.likely > float(time[-1] - time[0]):
        return ObjectiveForecast(OutlookState.MET, seconds)
    return ObjectiveForecast(OutlookState.AT_RISK, seconds, at)


def _line(
    since: Floats, logs: tuple[Floats, Floats], slope: Interval, share: float, limit: float, power: float
) -> tuple[float, Interval]:
    """Where the line through that ``power`` of the values is now, as a log, and how many seconds from now it reaches the
    ``limit`` (a log). ``logs``: with and without seasons. A steeper line is higher now as well."""
    middle = array_median(logs[0])
    values, even, bound = (_raised(np.asarray(x) - middle, power) for x in (*logs, limit))
    found = theil_sen(since, even) if power else None
    likely = found.likely if found is not None and found.likely > 0.0 else slope.likely
    steep = [likely * s / slope.likely for s in (slope.low, slope.likely, slope.high)]
    now = [float(np.quantile(values - s * since, share)) for s in steep]
    ahead = Interval(*((float(bound) - n) / s for n, s in zip(now, steep, strict=True)))
    level = now[1] if 1.0 + power * now[1] > 0.0 else float(values.max())
    return middle + (math.log1p(power * level) / power if power else level), ahead


def _power(time: Floats, y: Floats, slope: Interval) -> tuple[float, float]:
    """The power of the values that grows along a line, and how far it may be off: 0 is growth by a share a day, 1 by an
    amount, more levels off, less speeds up. The curvature of the logs ``y`` is minus half the power times the square of
    their ``slope``. Few runs show it, and keep to powers between a share and an amount."""
    x = time - time.mean()
    across = float(x @ x)
    bent = x**2 - across / x.size
    bent -= float(bent @ x) / across * x
    around = y - slope.likely * x
    around -= array_median(around)
    bound = 3.0 * mad_sigma(around)
    size = float(bent @ bent)
    if not size > 0.0:
        return _POWER, _POWER_Z * _POWER_SPREAD
    unit = 2.0 / (size * slope.likely**2)
    error = unit * math.sqrt(size * across) * (slope.high - slope.low) / 3.92
    known = _POWER_SPREAD**2 / (_POWER_SPREAD**2 + error**2)
    power = -unit * float(bent @ np.clip(around, -bound, bound))
    return _POWER + known * (power - _POWER), _POWER_Z * error * math.sqrt(known)


def _raised(logs: Floats, power: float) -> Floats:
    """What a power of the values is on the scale of their ``logs``, near 0 (Box, Cox 1964)."""
    return np.expm1(np.minimum(power * logs, 700.0)) / power if power else logs
