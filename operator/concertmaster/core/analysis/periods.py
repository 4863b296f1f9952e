"""Calendar hours, days, weeks and months in a time zone. Pure: the zone is an argument.

Days follow the calendar and have 23 or 25 hours when the clocks change; an hour that occurs twice is two periods. All
computations use local dates, never multiples of 86,400 seconds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum

from concertmaster.core.units import HOUR


class Period(StrEnum):
    """Length of a period."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"  # starts on Monday (ISO 8601)
    MONTHLY = "monthly"


def local(moment: float, zone: tzinfo) -> datetime:
    """A time (unix seconds) as local time of the zone."""
    return datetime.fromtimestamp(moment, tz=UTC).astimezone(zone)


def period_start(moment: float, period: Period, zone: tzinfo) -> float:
    """Start (unix seconds) of the period that contains ``moment``."""
    if period is Period.HOURLY:
        here = local(moment, zone)
        offset = here.utcoffset() or timedelta()
        return moment - (moment + offset.total_seconds()) % HOUR
    return _midnight(_first_day(local(moment, zone).date(), period), zone)


def boundaries(since: float, until: float, period: Period, zone: tzinfo) -> list[float]:
    """Ascending unix seconds: the start of every period that overlaps ``since`` to ``until``, and the end of the last."""
    edges = [period_start(since, period, zone)]
    while edges[-1] < until:
        edges.append(_next(edges[-1], period, zone))
    return edges if len(edges) > 1 else [*edges, _next(edges[0], period, zone)]


def _next(start: float, period: Period, zone: tzinfo) -> float:
    if period is Period.HOURLY:
        # Half an hour extra, for zones whose clocks change by less than an hour.
        return period_start(start + 1.5 * HOUR, period, zone)
    day = _first_day(local(start, zone).date(), period)
    while True:
        day = _following(day, period)
        moment = _midnight(day, zone)
        if moment > start:  # a zone that moved across the date line skipped whole days
            return moment


def _first_day(day: date, period: Period) -> date:
    if period is Period.WEEKLY:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period is Period.MONTHLY else day


def _following(day: date, period: Period) -> date:
    if period is Period.MONTHLY:
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if period is Period.WEEKLY else 1)


def _midnight(day: date, zone: tzinfo) -> float:
    """First instant of a day: where a clock change skips midnight, the instant of the change."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
