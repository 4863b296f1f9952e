"""When runs begin: cron lines as the controllers read them, starts by events, and backfills.

The controllers of Argo and Kubernetes walk through local time: a start in an hour that is left out as clocks are changed
does not take place, and one in an hour that comes twice does so twice. Time zones whose offset is no whole hour are
not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from benchmarks.clusters.law import DAY, HOUR, MINUTE, Flow, stream

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@dataclass(frozen=True, slots=True)
class Start:
    """A start that is due: its time (unix seconds), its number, and whether the schedule makes it."""

    due: float
    number: int
    scheduled: bool


def starts(flow: Flow, seed: int, begin: float, end: float) -> list[Start]:
    """All starts of the workflow from ``begin`` to ``end``, in order. Starts of equal number do equal work."""
    scheduled = _by_schedule(flow, begin, end if flow.suspended is None else min(end, flow.suspended))
    others = sorted([*_by_events(flow, seed, begin, end), *(t for t in flow.backfill if begin <= t < end)])
    found = [Start(due, number, True) for number, due in enumerate(scheduled)]
    found += [Start(due, 1_000_000 + number, False) for number, due in enumerate(others)]
    return sorted(found, key=lambda s: (s.due, s.number))


def _by_schedule(flow: Flow, begin: float, end: float) -> list[float]:
    if flow.schedule is None:
        return []
    if flow.before is None or flow.before.until <= begin:
        return cron(flow.schedule, flow.zone, begin, end)
    until = flow.before.until
    return [*cron(flow.before.schedule, flow.zone, begin, until), *cron(flow.schedule, flow.zone, until, end)]


def _by_events(flow: Flow, seed: int, begin: float, end: float) -> Iterator[float]:
    if flow.events is None:
        return
    for day in range(int(begin // DAY), int(end // DAY) + 1):
        for number in range(flow.events.times):
            random = stream(seed, flow.name, "event", day, number)
            time = day * DAY + flow.events.hour * HOUR + random.uniform(0.0, flow.events.jitter)
            if begin <= time < end:
                yield time


def cron(line: str, zone: str, begin: float, end: float) -> list[float]:
    """The starts of a cron line of five fields in a time zone, in unix seconds from ``begin`` to ``end``."""
    fields = line.split()
    minutes, hours, days, months, weekdays = (_values(f, *r) for f, r in zip(fields, _RANGES, strict=True))
    either = fields[2] != "*" and fields[4] != "*"
    where = ZoneInfo(zone)
    found = []
    hour = begin // HOUR * HOUR
    while hour < end:
        local = datetime.fromtimestamp(hour, tz=where)
        on = (local.day in days, local.isoweekday() % 7 in weekdays)
        if local.hour in hours and local.month in months and (any(on) if either else all(on)):
            found += [time for minute in minutes if begin <= (time := hour + minute * MINUTE) < end]
        hour += HOUR
    return found


def _values(field: str, least: int, most: int) -> list[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        first, last = (least, most) if span == "*" else (int(low), int(high or low))
        found.update(range(first, last + 1, int(step or 1)))
    return sorted(found)
