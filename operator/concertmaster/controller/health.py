"""Whether this process still does its work, as opposed to merely running.

A probe that only shows that the HTTP server answers keeps a dead operator running: the loop may hang, and a watch may
have died without an error. Every stage of the loop records a heartbeat here; the check raises when heartbeats stop or
when the watched objects stay behind what a list shows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Heartbeat = Callable[[str], None]
"""Called with what is being done, so that it counts as a sign of life."""


class Stale(Exception):
    """The operator should be restarted; the message says what stopped and since when."""


class NotReady(Exception):
    """The operator has not finished its first cycle, or is stopping."""


class Health:
    """Heartbeats of the loop and lag of the watches. Times are monotonic seconds."""

    def __init__(
        self, *, stall_after: float, watch_lag_after: float = 180.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stall_after = stall_after
        self._watch_lag_after = watch_lag_after
        self._beat = clock()
        self._stage = "starting"
        self._lag: dict[str, float] = {}
        self._not_ready = "the first cycle has not finished"

    def heartbeat(self, stage: str) -> None:
        """Record that the loop is alive and at ``stage``."""
        with self._lock:
            self._beat = self._clock()
            self._stage = stage

    def cycle_done(self) -> None:
        """A cycle reached its end."""
        with self._lock:
            self._beat = self._clock()
            self._stage = "waiting for the next cycle"
            self._not_ready = ""

    def cycle_failed(self, why: str) -> None:
        """A cycle raised: the loop is alive, and not ready until a cycle succeeds."""
        with self._lock:
            self._beat = self._clock()
            self._stage = "waiting for the next cycle"
            self._not_ready = why

    def watch_lag(self, kind: str, seconds: float) -> None:
        """How long the watched objects of ``kind`` have been behind the list (0: they are not)."""
        with self._lock:
            self._lag[kind] = seconds

    def stopping(self) -> None:
        """From now on the process is not ready."""
        with self._lock:
            self._not_ready = "the operator is stopping"

    def check_live(self) -> None:
        """Raise Stale when the loop or a watch makes no progress."""
        with self._lock:
            silent = self._clock() - self._beat
            if silent > self._stall_after:
                raise Stale(
                    f"the loop has been silent for {silent:.0f} s at '{self._stage}' (limit {self._stall_after:.0f} s)"
                )
            for kind, seconds in self._lag.items():
                if seconds > self._watch_lag_after:
                    raise Stale(f"the watch of {kind} has been behind the cluster for {seconds:.0f} s")

    def check_ready(self) -> None:
        """Raise NotReady before the first cycle has finished and while stopping; Stale as ``check_live`` does."""
        self.check_live()
        if self._not_ready:
            raise NotReady(self._not_ready)
