"""Conversion of times and durations to text and back. Times are unix seconds, texts are UTC."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from concertmaster.core.units import DAY, HOUR, MINUTE

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY}
_PART = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h|d)")
END_OF_CALENDAR = 253_402_300_799.0
"""The end of the calendar, 9999-12-31T23:59:59Z: times beyond it have no text."""

_MAX_LENGTH = 100  # characters of a duration: the search takes time quadratic in its length


def utc(seconds: float) -> datetime:
    """The time as a UTC datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def format_time(seconds: float) -> str:
    """Kubernetes Time: whole seconds, ``2027-01-31T00:00:00Z``."""
    return _whole(int(seconds))


@lru_cache(maxsize=64)
def _whole(seconds: int) -> str:
    """A cycle says the same moment in ten thousands of conditions."""
    return utc(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(seconds: float) -> str:
    """Kubernetes MicroTime: ``2027-01-31T00:00:00.000000Z``."""
    return utc(seconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def iso(seconds: float | None) -> str | None:
    """``format_time`` of a finite time, else None."""
    return None if seconds is None or not math.isfinite(seconds) else format_time(seconds)


def weekend(seconds: float) -> bool:
    """Whether it is a Saturday or Sunday in UTC."""
    return int(seconds // DAY + 3) % 7 >= 5  # the epoch was a Thursday


def seconds_outside(spans: Iterable[tuple[float, float]], since: float, until: float) -> float:
    """How many of the seconds from ``since`` to ``until`` are in none of the spans."""
    outside, last = 0.0, since
    for begin, end in sorted(spans):
        outside += max(0.0, min(begin, until) - last)
        last = max(last, end)
    return outside + max(0.0, until - last)


def to_minute(seconds: float, *, weekday: bool = False) -> str:
    """For sentences: ``2027-01-31 00:00 UTC``, with the weekday in front if ``weekday``."""
    return utc(seconds).strftime("%A %Y-%m-%d %H:%M UTC" if weekday else "%Y-%m-%d %H:%M UTC")


def day(seconds: float) -> str:
    """The date: ``2027-01-31``."""
    return utc(seconds).strftime("%Y-%m-%d")


def month(seconds: float) -> str:
    """The calendar month: ``2027-01``."""
    return utc(seconds).strftime("%Y-%m")


def parse_time(text: str) -> float:
    """An RFC 3339 time as unix seconds; without zone it is UTC. Raises ValueError with the text if invalid."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time such as 2027-01-31T00:00:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_duration(text: str) -> float | None:
    """Seconds of a duration in Go's or Prometheus' notation (``1h30m``, ``1.5s``, ``250ms``), days included; None if it is
    none."""
    parts = _PART.findall(text) if len(text) <= _MAX_LENGTH else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """What ``parse_duration`` reads as this many seconds, rounded to whole ones: ``3d12h``."""
    parts, left = "", round(seconds)
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, round(_SECONDS[unit]))
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"


def recent(moment: float | None, now: float, seconds: float) -> bool:
    """Whether ``moment`` was less than ``seconds`` ago. False for a future moment: the clock was set back since."""
    return moment is not None and 0.0 <= now - moment < seconds
