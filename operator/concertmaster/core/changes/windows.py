"""When the change windows of a policy open.

A window opens at each moment its cron line names in its own time zone and stays open for a fixed number of seconds:
when clocks are set back it does not stay open an hour longer, and a skipped local time opens it at the next valid one
(cronsim follows Debian's cron there).
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from concertmaster.core.changes.situation import Window


class WindowUnusable(ValueError):
    """The window can never open; the message says what to correct."""


def opened(window: Window, now: float) -> float | None:
    """When the window that is open at ``now`` opened (unix seconds), None while it is shut. Raises WindowUnusable."""
    begun = next_opening(window, now - window.seconds)
    return begun if begun <= now else None


def next_opening(window: Window, now: float) -> float:
    """When the window opens next (unix seconds). Raises WindowUnusable when it never does."""
    try:
        zone = ZoneInfo(window.time_zone)
    except (KeyError, ValueError, OSError):
        raise WindowUnusable(f"time zone {window.time_zone} is not known; use a name such as Europe/Berlin") from None
    try:
        return next(CronSim(window.schedule, datetime.fromtimestamp(now, tz=UTC).astimezone(zone))).timestamp()
    except StopIteration:
        raise WindowUnusable(f"schedule {window.schedule!r} never comes; correct it") from None
    except CronSimError as error:
        raise WindowUnusable(f"schedule {window.schedule!r}: {error}") from None
