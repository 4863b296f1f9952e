"""Hours, days, weeks and months as people in a time zone count them. Pure: the zone is handed in.

A day is what the calendar says, so it has 23 or 25 hours when the clocks change; an hour that comes twice is two periods.
Everything is worked out from local dates, never by adding 86,400 seconds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum

HOUR = 3600.0


class Period(StrEnum):
    """How long a period is."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"  # from Monday on, as ISO 8601 counts
    MONTHLY = "monthly"


def local(moment: float, zone: tzinfo) -> datetime:
    """A moment (unix seconds) as the clocks of the zone show it."""
    return datetime.fromtimestamp(moment, tz=UTC).astimezone(zone)


def period_start(moment: float, period: Period, zone: tzinfo) -> float:
    """When the period that holds ``moment`` began (unix seconds)."""
    if period is Period.HOURLY:
        here = local(moment, zone)
        offset = here.utcoffset() or timedelta()
        return moment - (moment + offset.total_seconds()) % HOUR
    return _midnight(_first_day(local(moment, zone).date(), period), zone)


def boundaries(since: float, until: float, period: Period, zone: tzinfo) -> list[float]:
    """Ascending moments: the starts of all periods that ``since`` to ``until`` (unix seconds) touches, and the end of the
    last one."""
    edges = [period_start(since, period, zone)]
    while edges[-1] < until:
        edges.append(_next(edges[-1], period, zone))
    return edges if len(edges) > 1 else [*edges, _next(edges[0], period, zone)]


def _next(start: float, period: Period, zone: tzinfo) -> float:
    if period is Period.HOURLY:
        # Half an hour further on, for zones whose clocks change by less than an hour.
        return period_start(start + 1.5 * HOUR, period, zone)
    day = _first_day(local(start, zone).date(), period)
    while True:
        day = _following(day, period)
        moment = _midnight(day, zone)
        if moment > start:  # a zone that changed sides of the date line has days without any moment
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
    """The first moment of a day; where clocks skip midnight, the moment they do so."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
