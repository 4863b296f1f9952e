"""The watch of runs: a thread with an event loop of its own, started and stopped as the cycle decides.

Runs are users' objects in numbers nobody bounds, so their watch must be able to fail, and to be restarted with other
kinds, without touching the watches of our own kinds. kopf ends every task of its event loop when it stops: a loop of its
own keeps that from being the operator's.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from concertmaster.controller.live.run_kinds import ServedRunKind
from concertmaster.kube.errors import Stopped
from concertmaster.net.background import in_background

log = logging.getLogger("concertmaster.live")

_MAX_STOP_SECONDS = 5.0  # seconds to wait for the end of a watch that is replaced
_DEBOUNCE_SECONDS = 1.0  # seconds in which a burst of finished runs gathers


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What should be watched. ``edition`` grows when all of it must be listed again."""

    kinds: tuple[ServedRunKind, ...] = ()
    edition: int = 0


Body = Callable[[tuple[ServedRunKind, ...], Callable[[], None]], Coroutine[Any, Any, None]]
"""Watches the kinds until cancelled, calling the function whenever a finished run came."""


class RunWatch:
    """``follow`` and ``stop`` are called from threads other than the watch's own. ``read`` reads some of the finished
    runs that are pending and returns True when there are more; ``lost`` receives the reason why a watch ended by itself."""

    def __init__(self, body: Body, read: Callable[[], Awaitable[bool]], lost: Callable[[BaseException], None]) -> None:
        self._body = body
        self._read = read
        self._lost = lost
        self._lock = threading.Lock()
        self._watch = WatchPlan()
        self._running: Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def follow(self, watch: WatchPlan) -> None:
        """Watch that, and nothing else. A watch that ended is started again."""
        alive = self._running is not None and not self._running.done()
        if self._closed or (watch == self._watch and (alive or not watch.kinds)):
            return
        if not self._end(_MAX_STOP_SECONDS):
            log.warning("the watch of runs does not end; it is replaced when it has")
            return
        self._watch = watch
        if watch.kinds:
            self._running = in_background(partial(self._run, watch.kinds), name="runs")

    def stop(self, timeout: float) -> bool:
        """End for good; True when the watch ended within ``timeout`` seconds."""
        self._closed = True
        return self._end(timeout)

    def _end(self, timeout: float) -> bool:
        if self._running is None or self._running.done():
            return True
        with self._lock, suppress(RuntimeError):  # of a loop that has just closed
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
        return not wait([self._running], timeout).not_done

    def _run(self, kinds: tuple[ServedRunKind, ...]) -> None:
        try:
            asyncio.run(self._serve(kinds))
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - users' objects must not end the operator
            self._lost(error)
        finally:
            with self._lock:
                self._loop = self._task = None

    async def _serve(self, kinds: tuple[ServedRunKind, ...]) -> None:
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._closed:
            return
        arrived = asyncio.Event()
        # Begun before the watch: kopf leaves alone what was there before it.
        reading = asyncio.create_task(self._reading(arrived), name="reading")
        try:
            await self._body(kinds, arrived.set)
        finally:
            reading.cancel()
            await asyncio.wait({reading})

    async def _reading(self, arrived: asyncio.Event) -> None:
        while True:
            await arrived.wait()
            await asyncio.sleep(_DEBOUNCE_SECONDS)
            arrived.clear()
            try:
                while await self._read():
                    pass
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001 - what waits is read by the next cycle
                self._lost(error)
