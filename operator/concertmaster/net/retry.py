"""The one retry loop of all network calls, and when a source that is down is asked again.

Whatever is repeated here is a read or idempotent. What must be bounded is the load on a server in difficulty and the time
a cycle can lose to it: every call has a number of attempts, pauses with jitter and a deadline.
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

RETRYABLE_STATUS = frozenset({429, 502, 503, 504})
_MAX_FAILURES = 3  # in a row
FIRST_BREAK, MAX_BREAK = 15.0, 240.0  # seconds


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most ``attempts`` tries; pauses grow from ``first_pause`` by doubling up to ``longest_pause`` seconds."""

    attempts: int = 4
    first_pause: float = 0.5
    longest_pause: float = 10.0

    def pause(self, attempt: int, chance: float, remaining: float, retry_after: float | None = None) -> float | None:
        """Seconds to wait after failed try number ``attempt`` (from 1), or None when it is time to give up.

        ``chance`` is a random number in [0, 1): half of each pause is fixed, half random, so that many clients do not
        come back at once. What the server asks for in ``retry_after`` is honoured when it fits into ``remaining``
        seconds; when it does not, asking earlier would be pointless.
        """
        if attempt >= self.attempts:
            return None
        ceiling = min(self.longest_pause, self.first_pause * 2.0 ** (attempt - 1))
        wait = ceiling * (0.5 + 0.5 * chance)
        if retry_after is not None:
            wait = max(wait, retry_after)
        return wait if wait < remaining else None


@dataclass(frozen=True, slots=True)
class Tools:
    """Clocks, pause and chance, replaceable so that tests take no time."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], object] = time.sleep
    chance: Callable[[], float] = random.random


def retrying(
    attempt: Callable[[], T],
    worth: Callable[[Exception, int], float | None],
    policy: RetryPolicy,
    *,
    deadline: float,
    tools: Tools,
) -> T:
    """The result of ``attempt``, repeated after pauses until ``deadline`` (monotonic seconds) or the policy's last
    attempt.

    ``worth`` gets the error and the number of the attempt (from 1). It returns the seconds the server asked to wait (0:
    none) when another attempt may help, None when the error is final. The last error is raised unchanged.
    """
    tries = 0
    while True:
        tries += 1
        try:
            return attempt()
        except Exception as error:
            asked = worth(error, tries)
            left = deadline - tools.monotonic()
            wait = None if asked is None else policy.pause(tries, tools.chance(), left, asked)
            if wait is None:
                raise
        tools.sleep(wait)


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Seconds a Retry-After header asks for (a number or an HTTP date; ``now`` is unix seconds), None if it is none."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


class Breaker:
    """Stops asking a source that failed a few times in a row, for a pause that doubles.

    Without it a cycle over many shards would wait out the full deadline once per shard. Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = float("-inf")

    def blocked(self, now: float) -> float:
        """Seconds until the source may be asked again; 0 when it may be asked now."""
        return max(0.0, self._open_until - now)

    def succeeded(self) -> None:
        """The source answered."""
        self._failures = 0
        self._open_until = float("-inf")

    def failed(self, now: float) -> None:
        """The source could not be reached or did not answer in time."""
        self._failures += 1
        over = self._failures - _MAX_FAILURES
        if over >= 0:
            self._open_until = now + min(MAX_BREAK, FIRST_BREAK * 2.0 ** min(over, 16))
