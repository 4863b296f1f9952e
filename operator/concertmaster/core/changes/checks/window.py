"""Window: changes only at the times the policy names.

A window opens at each moment its cron line names in its own time zone and stays open for so many seconds of real time:
when clocks are set back it does not stay open an hour longer, and a moment that the clocks skip opens it when they
arrive (cronsim follows Debian's cron there).
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from concertmaster.core.changes.checks.base import Situation, Verdict, Window, closed, passed
from concertmaster.core.changes.plan import Plan

NAME = "window"


class WindowUnusable(ValueError):
    """The window can never be judged or never opens; the message says what to correct."""


def zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises WindowUnusable."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise WindowUnusable(f"time zone {name} is not known; use a name such as Europe/Berlin") from None


def opened(window: Window, now: float) -> float | None:
    """When the window that is open at ``now`` opened (unix seconds), None while it is shut. Raises WindowUnusable."""
    begun = next_opening(window, now - window.seconds)
    return begun if begun <= now else None


def next_opening(window: Window, now: float) -> float:
    """When the window opens next (unix seconds). Raises WindowUnusable when it never does."""
    moment = datetime.fromtimestamp(now, tz=UTC).astimezone(zone(window.time_zone))
    try:
        return next(CronSim(window.schedule, moment)).timestamp()
    except StopIteration:
        raise WindowUnusable(f"schedule {window.schedule!r} never comes; correct it") from None
    except CronSimError as error:
        raise WindowUnusable(f"schedule {window.schedule!r}: {error}") from None


def check(plan: Plan, situation: Situation) -> Verdict:
    """Open while any window is; a window that can never open is told, whatever the others say."""
    windows = situation.rights.windows
    if not windows:
        return passed(NAME, "changes may be made at any time", waiting=True)
    problems: list[str] = []
    coming: list[float] = []
    for window in windows:
        try:
            if opened(window, situation.now) is not None:
                return passed(NAME, f"window {window.schedule} ({window.time_zone}) is open", waiting=True)
            coming.append(next_opening(window, situation.now))
        except WindowUnusable as error:
            problems.append(str(error))
    if not coming:
        return closed(NAME, "WindowNeverOpens", f"no window ever opens: {'; '.join(problems)}")
    at = datetime.fromtimestamp(min(coming), tz=UTC).strftime("%A %Y-%m-%d %H:%M UTC")
    also = f"; {'; '.join(problems)}" if problems else ""
    return closed(NAME, "WindowClosed", f"the next window opens {at}{also}", waiting=True)
