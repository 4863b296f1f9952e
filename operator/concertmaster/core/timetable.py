"""All starts of a schedule in a span of days, from the days and minutes that its cron lines name.

A frequent schedule has twenty thousand starts in two weeks, and an object may name fifty of them, so starts are not played
forward one by one, except on days on which clocks are changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Flags, Floats
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.schedule import cron_lines, readable
from concertmaster.core.units import DAY

_MINUTES = 1440
_ANY = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Timetable:
    """Cron lines of five fields in one time zone."""

    lines: tuple[str, ...]
    zone: str = "UTC"

    def starts(self, since: float, until: float) -> Floats:
        """All starts after ``since`` and up to ``until`` (unix seconds), ascending, shape (starts,)."""
        zone = ZoneInfo(self.zone)
        rules = [(line, CronSim(line, _ANY)) for line in self.lines]
        minutes = {line: _minutes(rule) for line, rule in rules}
        day, last = (datetime.fromtimestamp(time, tz=zone).date() for time in (since, until))
        found: list[Floats] = [np.empty(0)]
        while day <= last:
            on = [line for line, rule in rules if day.month in rule.months and rule.match_day(day)]
            begin, end = (_midnight(day + timedelta(days=n), zone) for n in (0, 1))
            if on and end - begin == DAY:
                named = np.logical_or.reduce([minutes[line] for line in on])
                found.append(np.asarray(begin + 60.0 * np.flatnonzero(named)))
            else:
                found += [np.array(_played(line, zone, begin, end)) for line in on]
            day += timedelta(days=1)
        starts = np.unique(np.concatenate(found))
        return starts[(starts > since) & (starts <= until)]


def timetable_of(definition: WorkflowDefinition) -> Timetable | None:
    """When the schedule of the workflow starts it; None without a schedule that is known, or while it is suspended."""
    lines = tuple(cron_lines(definition))
    if not lines or definition.suspended or not readable(definition):
        return None
    try:
        for line in lines:
            CronSim(line, _ANY)
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


def _played(line: str, zone: ZoneInfo, begin: float, end: float) -> Sequence[float]:
    """The starts from ``begin`` until before ``end``, as cron has them on days on which clocks are changed."""
    found = []
    for start in CronSim(line, datetime.fromtimestamp(begin - 1.0, tz=zone)):
        if start.timestamp() >= end:
            break
        found.append(start.timestamp())
    return found
