"""Cron schedules: the next start of a workflow, and the change windows of a policy.

A window opens at each time given by its cron schedule in its own time zone and stays open for a fixed number of seconds: it
does not stay open an hour longer when clocks are set back, and a skipped local time opens it at the next valid one (cronsim
follows Debian's cron there).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.amounts import digits
from concertmaster.core.model.policy import ChangeWindow
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
MAX_SCHEDULES = 50
"""Of one workflow: an object may name thousands."""
_MAX_LENGTH = 1000  # characters of a schedule: a field may list a value thousands of times


class WindowUnusable(ValueError):
    """The window can never open; the message says what to fix."""


def next_run(definition: WorkflowDefinition, now: float) -> float | None:
    """The next scheduled start (unix seconds) after ``now``; None without a valid schedule, or where a condition decides."""
    return None if _conditional(definition) else next(iter(upcoming(definition, now, math.inf, most=1)), None)


def interval(definition: WorkflowDefinition, now: float) -> float | None:
    """Seconds between the next two scheduled starts; None without two."""
    starts = upcoming(definition, now, math.inf, most=2)
    return starts[1] - starts[0] if len(starts) == 2 else None


def least_interval(definition: WorkflowDefinition) -> float:
    """Seconds that lie between any two starts, as far as the text of the schedule tells without playing it forward. A day
    may lack an hour where clocks are changed, and starts of the hour left out are made up for at its end."""
    parts = [line.split() for line in cron_lines(definition)]
    if len(parts) != 1 or len(parts[0]) != _FIELDS or digits(parts[0][0]) is None:
        return MINUTE
    if digits(parts[0][1]) is not None:
        return DAY - HOUR
    return HOUR if definition.schedule_time_zone in (None, "", "UTC") else MINUTE


def upcoming(definition: WorkflowDefinition, now: float, until: float, *, most: int) -> tuple[float, ...]:
    """The scheduled starts (unix seconds) after ``now`` and up to ``until``, at most ``most`` of them, from the first
    ``MAX_SCHEDULES`` schedules. For all starts of some days see ``core.timetable``."""
    return () if definition.suspended else due(definition, now, until, most=most)


def due(definition: WorkflowDefinition, since: float, until: float, *, most: int) -> tuple[float, ...]:
    """Like ``upcoming``, for any time span and even if the schedule is suspended now."""
    zone = _zone(definition)
    if zone is None:
        return ()
    moments: set[float] = set()
    for line in cron_lines(definition):
        try:
            starts = CronSim(line, datetime.fromtimestamp(since, tz=UTC).astimezone(zone))
            for _ in range(most):
                at = next(starts).timestamp()
                if at > until:
                    break
                moments.add(at)
        except (CronSimError, StopIteration):
            continue
    return tuple(sorted(moments)[:most])


def readable(definition: WorkflowDefinition) -> bool:
    """Whether the starts of the workflow's schedule are known. Engines know forms of a schedule that depend on when they
    last started (``@every 1h``) or name a time zone of their own, and conditions that keep it from starting a run."""
    if _conditional(definition) or _zone(definition) is None:
        return False
    return all(len(line.split()) == _FIELDS for line in cron_lines(definition))


def _conditional(definition: WorkflowDefinition) -> bool:
    """Whether a condition (``when``) decides at each scheduled start whether a run starts."""
    return bool(definition.declared.get("when"))


def _zone(definition: WorkflowDefinition) -> ZoneInfo | None:
    try:
        return ZoneInfo(definition.schedule_time_zone or "UTC")
    except (KeyError, ValueError, OSError):
        return None


def cron_lines(definition: WorkflowDefinition) -> list[str]:
    """The different schedules as cron lines of five fields, as far as they can be written like that."""
    lines = dict.fromkeys(line.strip() for line in (definition.schedule or "").split(";"))
    several = islice(filter(None, lines), MAX_SCHEDULES)
    return [_NAMED.get(line, line.replace("?", "*")) if len(line) <= _MAX_LENGTH else "too long" for line in several]


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


def opened(window: ChangeWindow, now: float) -> float | None:
    """When the window that is open at ``now`` opened (unix seconds); None while closed. Raises WindowUnusable."""
    begun = next_opening(window, now - window.duration_seconds)
    return begun if begun <= now else None


def next_opening(window: ChangeWindow, now: float) -> float:
    """When the window opens next (unix seconds). Raises WindowUnusable if never."""
    try:
        zone = ZoneInfo(window.time_zone)
    except (KeyError, ValueError, OSError):
        message = f"time zone {window.time_zone} is not known; use a name such as Europe/Berlin"
        raise WindowUnusable(message) from None
    try:
        return next(CronSim(window.schedule, datetime.fromtimestamp(now, tz=UTC).astimezone(zone))).timestamp()
    except StopIteration:
        raise WindowUnusable(f"schedule {window.schedule!r} never comes; correct it") from None
    except CronSimError as error:
        raise WindowUnusable(f"schedule {window.schedule!r}: {error}") from None
