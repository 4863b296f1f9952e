"""Seconds in units of time, and bytes in units of memory."""

from __future__ import annotations

MINUTE = 60.0
HOUR = 3600.0
DAY = 24 * HOUR
WEEK = 7 * DAY
MONTH = 30 * DAY  # to which amounts "per month" are scaled

MIB = 1024**2
GIB = 1024**3
