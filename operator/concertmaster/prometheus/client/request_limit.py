"""The limit of concurrent requests to one metrics source, and the pauses it asks for.

A shared store limits the queries of a tenant and answers 429 beyond. A Retry-After received by one thread holds for all
of them. Users' own queries never take the last place: the operator's cycle does not wait for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class RequestLimit:
    """``most`` gives the number of requests at a time, 1 or more."""

    def __init__(self, most: Callable[[], int], clock: Callable[[], float]) -> None:
        self.most = most
        self._clock = clock
        self._changed = threading.Condition()
        self._inside = 0
        self._of_users = 0
        self._quiet_until = float("-inf")

    def quiet(self) -> float:
        """Seconds left of a pause that the source asked for."""
        return max(0.0, self._quiet_until - self._clock())

    def silence(self, seconds: float) -> None:
        """Send no request for so many seconds, as the source asked."""
        self._quiet_until = max(self._quiet_until, self._clock() + seconds)

    @contextmanager
    def place(self, patience: float, *, of_user: bool) -> Iterator[bool]:
        """A place for one request, waited for at most ``patience`` seconds; False where none became free."""
        with self._changed:
            free = self._changed.wait_for(lambda: self._free(of_user), patience)
            if free:
                self._inside += 1
                self._of_users += of_user
        try:
            yield free
        finally:
            if free:
                with self._changed:
                    self._inside -= 1
                    self._of_users -= of_user
                    self._changed.notify_all()

    def _free(self, of_user: bool) -> bool:
        most = max(1, self.most())
        return self._inside < most and not (of_user and self._of_users >= max(1, most - 1))
