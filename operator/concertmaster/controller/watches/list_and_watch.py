"""How one kind is listed and watched, in place of kopf's function: a watch that ends is begun again after a pause."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
from kopf._cogs.clients import errors, fetching, watching

_MAX_BACKOFF = 15.0  # seconds
_LOG_EVERY = 60.0  # seconds
_LASTING = 60.0  # seconds; an attempt that takes longer does not end for the reason of the one before it

log = logging.getLogger(watching.__name__)  # shares the limit of a line a minute


class Backoffs:
    """Endless pauses in seconds between attempts of a watch: an API server that is away for an hour comes back."""

    def __iter__(self) -> Iterator[float]:
        pause = 0.5
        while True:
            yield pause
            pause = min(_MAX_BACKOFF, pause * 2)


class Retries:
    """Pauses of ``Backoffs`` between attempts, from the first one again after an attempt that lasted."""

    def __init__(self) -> None:
        self._pauses = iter(Backoffs())
        self._begun = time.monotonic()

    async def pause(self, why: str) -> None:
        """Wait after an attempt that ended because of ``why``."""
        if time.monotonic() - self._begun > _LASTING:
            self._pauses = iter(Backoffs())
        else:
            log.warning("%s; will retry", why)
        await asyncio.sleep(next(self._pauses))
        self._begun = time.monotonic()


async def list_and_watch(**place: Any) -> AsyncIterator[Any]:
    """What kopf's function of this place does, with a pause after each end of a watch, whatever ended it. By itself kopf
    ends the process at any error within a watch but 410 and at most answers in place of a list or a watch; it lists
    everything ten times a second where each watch ends with 410, and opens a thousand a second where each ends at once.
    Raises 404, of a kind that is gone."""
    waiter, retries = place.pop("operator_pause_waiter"), Retries()
    since: str | None = None
    while not waiter.done():
        why = "its connection was closed"
        try:
            if since is None:
                async for chunk, version in fetching.fetch_objs(logger=log, **place):
                    since = version
                    for obj in chunk:
                        yield {"type": None, "object": obj}
                    del chunk  # not in memory beside the next one
                yield watching.Bookmark.LISTED
            async for event in watching.watch_objs(since=since, operator_pause_waiter=waiter, **place):
                if event["type"] == "ERROR":
                    since, why = None, str(event["object"].get("message"))
                    break
                since = event["object"].get("metadata", {}).get("resourceVersion", since)
                yield event
        except (errors.APIError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            if getattr(error, "status", None) == 404:
                raise
            since, why = None, str(error.args[0] if error.args else error)
        await retries.pause(f"the watch of {place['resource']} ended: {why}")


watching.continuous_watch = list_and_watch


class WatchLogFilter(logging.Filter):
    """kopf logs every attempt of every watch as an error that contains the whole answer. Passes one short line a minute,
    as a warning while the watch is retried."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line may pass, shortened."""
        now = self._clock()
        if now - self._last < _LOG_EVERY:
            return False
        self._last = now
        message = record.getMessage()[:300]
        record.msg, record.args = f"watching: {message}", ()
        if "will retry" in message and record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return True


log.addFilter(WatchLogFilter())
