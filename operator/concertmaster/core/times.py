"""Conversion of times to text and back. Times are unix seconds, texts are UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache


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
    return int(seconds // 86400.0 + 3) % 7 >= 5  # the epoch was a Thursday


def to_minute(seconds: float, *, weekday: bool = False) -> str:
    """For sentences: ``2027-01-31 00:00 UTC``, with the weekday in front if ``weekday``."""
    return utc(seconds).strftime("%A %Y-%m-%d %H:%M UTC" if weekday else "%Y-%m-%d %H:%M UTC")


def day(seconds: float) -> str:
    """For sentences about future dates: ``2027-01-31``."""
    return utc(seconds).strftime("%Y-%m-%d")


def parse_time(text: str) -> float:
    """An RFC 3339 time as unix seconds; without zone it is UTC. Raises ValueError with the text if invalid."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time such as 2027-01-31T00:00:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
