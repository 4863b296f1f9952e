"""The change windows of a policy.

A window opens at each time given by its cron schedule in its own time zone and stays open for a fixed number of seconds: it
does not stay open an hour longer when clocks are set back, and a skipped local time opens it at the next valid one (cronsim
follows Debian's cron there).
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from concertmaster.core.model.policy import ChangeWindow


class WindowUnusable(ValueError):
    """The window can never open; the message says what to fix."""


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
