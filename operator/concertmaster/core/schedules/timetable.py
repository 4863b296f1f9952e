"""All starts of a schedule in a span of days, from the days and minutes that its cron lines name.

A frequent schedule has twenty thousand starts in two weeks, and an object may name fifty of them, so starts are not played
forward one by one, except on days on which clocks are changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Flags, Floats
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.schedules.starts import cron_lines, played, readable, zoned
from concertmaster.core.units import DAY

_MINUTES = 1440
_ANY = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Timetable:
    """Cron lines of five fields, in the time zone that they name, else in ``zone``."""

    lines: tuple[str, ...]
    zone: str = "UTC"

    def starts(self, since: float, until: float) -> Floats:
        """All starts after ``since`` and up to ``until`` (unix seconds), ascending, shape (starts,)."""
        found: list[Floats] = [np.empty(0)]
        places: dict[str, list[str]] = {}
        for written in self.lines:
            line, own = zoned(written, None)
            places.setdefault(own or self.zone, []).append(line)
        for zone, lines in places.items():
            found += _starts(lines, ZoneInfo(zone), since, until)
        starts = np.unique(np.concatenate(found))
        return starts[(starts > since) & (starts <= until)]


def _starts(lines: Sequence[str], zone: ZoneInfo, since: float, until: float) -> Iterator[Floats]:
    """The starts of cron lines in one time zone, day by day."""
    rules = [(line, CronSim(line, _ANY)) for line in lines]
    minutes = {line: _minutes(rule) for line, rule in rules}
    day, last = (datetime.fromtimestamp(time, tz=zone).date() for time in (since, until))
    while day <= last:
        on = [line for line, rule in rules if day.month in rule.months and rule.match_day(day)]
        begin, end = (_midnight(day + timedelta(days=n), zone) for n in (0, 1))
        if on and end - begin == DAY:
            named = np.logical_or.reduce([minutes[line] for line in on])
            yield np.asarray(begin + 60.0 * np.flatnonzero(named))
        else:
            for line in on:
                yield np.array(list(takewhile(end.__gt__, played(line, zone.key, begin - 1.0))))
        day += timedelta(days=1)


def timetable_of(definition: WorkflowDefinition) -> Timetable | None:
    """When the schedule of the workflow starts it; None without a schedule that is known, or while it is suspended."""
    lines = tuple(cron_lines(definition))
    if not lines or definition.suspended or not readable(definition):
        return None
    try:
        for line in lines:
            CronSim(zoned(line, definition.schedule_time_zone)[0], _ANY)
    except CronSimError:
        return None
    return Timetable(lines, definition.schedule_time_zone or "UTC")


def _minutes(rule: CronSim) -> Flags:
    """Whether a line starts the workflow at each minute of a day that it names, shape (1440,)."""
    named = np.zeros((24, 60), dtype=bool)
    named[np.ix_(sorted(rule.hours), sorted(rule.minutes))] = True
    return named.reshape(_MINUTES)


def _midnight(day: date, zone: ZoneInfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
