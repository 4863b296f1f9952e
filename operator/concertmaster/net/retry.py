"""When to ask a metrics store again: pure decisions about attempts, pauses, deadlines and a source that is down.

Queries are reads, so asking twice does no harm, and a POST may be repeated like a GET. What must be bounded is the load
on a store in trouble and the time a cycle can lose to it.
"""

from __future__ import annotations

import email.utils
from dataclasses import dataclass

RETRYABLE_STATUS = frozenset({429, 502, 503, 504})


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
    """Stops asking a source that failed ``threshold`` times in a row, for a pause that doubles up to ``longest``.

    Without it a cycle over many shards would wait out the full deadline once per shard. Times are monotonic seconds.
    """

    def __init__(self, threshold: int = 3, first: float = 15.0, longest: float = 240.0) -> None:
        self._threshold = threshold
        self._first = first
        self._longest = longest
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
        over = self._failures - self._threshold
        if over >= 0:
            self._open_until = now + min(self._longest, self._first * 2.0 ** min(over, 16))
