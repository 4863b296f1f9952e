"""The starts of a workflow by its cron schedules.

Read as the controllers of Kubernetes and Argo read a schedule (github.com/robfig/cron/v3): a time that the clocks skip
brings no start, one that they repeat brings two, and a day field such as ``*/2`` is a list of days, not any day.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.amounts import digits
from concertmaster.core.units import DAY, HOUR, MINUTE

_MINUTES = (2, 3, 4, 5, 6, 10, 12, 15, 20, 30)  # divide an hour
_HOURS = (2, 3, 4, 6, 8, 12)  # divide a day
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = 5
_ZONED = re.compile(r"(?:CRON_)?TZ=(\S*)\s+(.*)")
_EVERY_OTHER = re.compile(r"\*(?=/0*(?:[2-9]|1\d))")  # as a list of days it is not the star that stands for any day
_DAYS = ((2, "1-31"), (4, "0-6"))
MAX_SCHEDULES = 50
"""Of one workflow: an object may name thousands."""
_MAX_LENGTH = 1000  # characters of a schedule: a field may list a value thousands of times


def next_run(definition: WorkflowDefinition, now: float) -> float | None:
    """The next scheduled start (unix seconds) after ``now``; None where one of its schedules is not known, or a condition
    decides."""
    return next(iter(upcoming(definition, now, math.inf, most=1)), None) if readable(definition) else None


def interval(definition: WorkflowDefinition, now: float) -> float | None:
    """Seconds between the next two scheduled starts; None without two."""
    starts = upcoming(definition, now, math.inf, most=2)
    return starts[1] - starts[0] if len(starts) == 2 else None


def span(definition: WorkflowDefinition, now: float, runs: int) -> float | None:
    """Seconds from the next scheduled start to the one that comes so many runs later; None where the schedule is not
    known."""
    starts = upcoming(definition, now, math.inf, most=runs + 1) if readable(definition) else ()
    return starts[-1] - starts[0] if len(starts) > runs else None


def least_interval(definition: WorkflowDefinition) -> float:
    """Seconds that lie between any two starts, as far as the text of the schedule tells without playing it forward. Where
    clocks are changed, by half an hour at least, the same time of day comes twice."""
    parts = [zoned(line, definition.schedule_time_zone) for line in cron_lines(definition)]
    fields = parts[0][0].split() if len(parts) == 1 else []
    if len(fields) != _FIELDS or digits(fields[0]) is None:
        return MINUTE
    if parts[0][1] not in (None, "", "UTC"):
        return HOUR / 2
    return DAY if digits(fields[1]) is not None else HOUR


def upcoming(definition: WorkflowDefinition, now: float, until: float, *, most: int) -> tuple[float, ...]:
    """The scheduled starts (unix seconds) after ``now`` and up to ``until``, at most ``most`` of them, from the first
    ``MAX_SCHEDULES`` schedules. For all starts of some days see ``timetable``."""
    return () if definition.suspended else due(definition, now, until, most=most)


def due(definition: WorkflowDefinition, since: float, until: float, *, most: int) -> tuple[float, ...]:
    """Like ``upcoming``, for any time span and even if the schedule is suspended now."""
    moments: set[float] = set()
    for line in cron_lines(definition):
        try:
            for at in islice(played(line, definition.schedule_time_zone, since), most):
                if at > until:
                    break
                moments.add(at)
        except CronSimError:
            continue
    return tuple(sorted(moments)[:most])


def played(line: str, zone: str | None, since: float) -> Iterator[float]:
    """All starts of a cron line after ``since`` (unix seconds), one after the other; ``zone``: of lines that name none. None
    for a line that is not understood. Raises CronSimError for one that never starts anything."""
    written, place = zoned(line, zone)
    known = _zone(place)
    if known is None or len(written.split()) != _FIELDS:
        return
    # With seconds, times that clocks skip or repeat are not made up for.
    for start in CronSim(f"0 {written}", datetime.fromtimestamp(since, tz=UTC).astimezone(known)):
        yield start.timestamp()


def zoned(line: str, zone: str | None) -> tuple[str, str | None]:
    """A cron line without the time zone that it names itself, and the time zone it is in. One that names its own although
    its object has one (``zone``) is returned as it is, since no controller takes it."""
    own = _ZONED.fullmatch(line) if not zone else None
    return (line, zone) if own is None else (own[2], own[1])


def readable(definition: WorkflowDefinition) -> bool:
    """Whether the starts of the workflow's schedule are known. Engines know forms of a schedule that depend on when they
    last started (``@every 1h``), and conditions that keep it from starting a run."""
    lines = [zoned(line, definition.schedule_time_zone) for line in cron_lines(definition)]
    return not _conditional(definition) and all(
        len(line.split()) == _FIELDS and _zone(zone) is not None for line, zone in lines
    )


def _conditional(definition: WorkflowDefinition) -> bool:
    """Whether a condition (``when``) decides at each scheduled start whether a run starts."""
    return bool(definition.declared.get("when"))


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return None


def cron_lines(definition: WorkflowDefinition) -> list[str]:
    """The different schedules as cron lines of five fields, as far as they can be written like that, behind the time zone
    that they name themselves (``CRON_TZ=Asia/Tokyo 0 2 * * *``)."""
    lines = dict.fromkeys(line.strip() for line in (definition.schedule or "").split(";"))
    several = islice(filter(None, lines), MAX_SCHEDULES)
    return [_plain(line) if len(line) <= _MAX_LENGTH else "too long" for line in several]


def _plain(line: str) -> str:
    head = _ZONED.fullmatch(line)
    if head is not None:
        return f"CRON_TZ={head[1]} {_plain(head[2])}"
    fields = _NAMED.get(line, line.replace("?", "*")).split()
    for place, days in _DAYS if len(fields) == _FIELDS else ():
        fields[place] = _EVERY_OTHER.sub(days, fields[place])
    return " ".join(fields)


def widened(line: str, least: float) -> str | None:
    """A plain cron schedule (every n minutes or hours, each day) with the shortest interval of at least ``least`` seconds
    that divides the hour or day; None for any other schedule, and if only a day or more is long enough."""
    parts = line.split()
    if len(parts) != 5 or parts[2:] != ["*"] * 3:
        return None
    every_hour, minute = parts[1] == "*", digits(parts[0])
    step = _stepped(parts[0]) if every_hour else None
    if step is None and (minute is None or not (every_hour or _stepped(parts[1]))):
        return None
    if step is not None:
        multiple = next((n for n in _MINUTES if n > step and n * 60 >= least), None)
        if multiple is not None:
            return f"*/{multiple} * * * *"
    at, hours = minute or 0, 1 if every_hour else _stepped(parts[1]) or 1
    if step is not None and least <= 3600:
        return f"{at} * * * *"
    multiple = next((n for n in _HOURS if n > hours and n * 3600 >= least), None)
    return f"{at} */{multiple} * * *" if multiple is not None else f"{at} 0 * * *" if least <= DAY else None


def _stepped(field: str) -> int | None:
    """5 for ``*/5``, 1 for ``*``; None for anything else."""
    return 1 if field == "*" else digits(field[2:]) or None if field.startswith("*/") else None
