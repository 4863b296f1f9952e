"""How far the clock of this process is from that of a metrics source, by the ``Date`` of its answers.

Samples are dated by the source's clock and asked for by this one's, so that a difference of minutes makes runs that have
just ended invisible. Each answer has the header, at no cost. It may not be the source's own: a proxy may have set it, or a
cache kept it. So a difference counts only if every answer of two readings in a row shows it, in the same direction; answers
from a cache (``Age``) are left out. A wrong clock of one of several servers or proxies is therefore not noticed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from concertmaster.core.text import duration
from concertmaster.core.units import MINUTE

MIN_SKEW = 2 * MINUTE
"""Seconds of difference that are reported: more than an answer takes, than a source's own offset (30 s at some) and than
clocks differ that are synchronised at all."""


class ServerClock:
    """``ahead``: seconds by which this process's clock is ahead of the source's, negative if behind; 0.0 unless that is
    certain and large enough to matter. Answers may arrive in several threads."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._nearest: float | None = None  # of the answers of this reading
        self._before: float | None = None  # of the reading before
        self._lock = threading.Lock()

    def observe(self, headers: Mapping[str, str], now: float) -> None:
        """An answer has arrived at ``now`` (unix seconds, of this process)."""
        if headers.get("Age", "0").strip() != "0":
            return
        try:
            sent = parsedate_to_datetime(headers.get("Date", ""))
        except (ValueError, TypeError, OverflowError):
            return
        ahead = now - (sent if sent.tzinfo is not None else sent.replace(tzinfo=UTC)).timestamp()
        with self._lock:
            if self._nearest is None or abs(ahead) < abs(self._nearest):
                self._nearest = ahead

    @property
    def nearest(self) -> float | None:
        """The least difference of any answer since the last reading ended; None without one that tells."""
        return self._nearest

    def end_reading(self) -> float:
        """Judge the answers of a reading; returns ``ahead``. Without any, what was known stands; so does a known difference
        while it is about the same, so that its words do not change with each reading."""
        with self._lock:
            found, self._nearest = self._nearest, None
        if found is None:
            return self.ahead
        before, self._before = self._before or 0.0, found
        if min(abs(before), abs(found)) < MIN_SKEW or (before > 0) != (found > 0):
            self.ahead = 0.0
        elif not self.ahead or abs(found - self.ahead) >= max(MINUTE, abs(self.ahead) / 10):
            self.ahead = found
        return self.ahead


def in_words(ahead: float, whose: str, source: str) -> str:
    """A difference as a sentence; ``whose`` clock is ``ahead`` (seconds) of that of the metrics source."""
    way = "ahead of" if ahead > 0 else "behind"
    return f"the clock of {whose} is {duration(abs(ahead))} {way} that of metrics source {source}"


REMEDY = "synchronize the two clocks (NTP); until then the newest runs may be missing"
