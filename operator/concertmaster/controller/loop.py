"""When a cycle runs: every interval, and soon after somebody changed a profile or a policy.

One loop for the whole operator, not a timer per object: a timer puts a finalizer on every object and costs a task each.
The work is done in one daemon thread, so that watches and probes stay responsive, and stopping does not wait for an
answer of Prometheus.
"""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from concertmaster.controller.health import Health
from concertmaster.net.background import in_background

log = logging.getLogger("concertmaster.loop")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CyclePace:
    """Seconds between the starts of cycles, for a burst of changes to settle, and at least between two cycles."""

    interval: float
    settle: float = 1.0
    gap: float = 2.0


class Worker:
    """One daemon thread that runs calls in order; its results come back into the event loop."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._serving = in_background(self._serve, name=name)

    async def run(self, call: Callable[[], T]) -> T:
        """Run ``call`` in the thread. Cancelling the wait does not stop a call that has begun."""
        result: Future[T] = Future()
        self._calls.put((call, result))
        return await asyncio.wrap_future(result)

    def close(self, timeout: float) -> bool:
        """Let the thread end after the present call; True when it did so within ``timeout`` seconds."""
        self._calls.put(None)
        return not wait([self._serving], timeout).not_done

    def _serve(self) -> None:
        while (asked := self._calls.get()) is not None:
            call, result = asked
            if not result.set_running_or_notify_cancel():
                continue
            try:
                result.set_result(call())
            except BaseException as error:  # noqa: BLE001 - handed over to the awaiting side, whatever it is
                result.set_exception(error)


class Loop:
    """Runs ``cycle`` forever. The cycle returns True when it has more to read and wants to run again at once.

    Exceptions of the kinds in ``fatal`` end the loop; after any other ``failed`` is called.
    """

    def __init__(
        self,
        cycle: Callable[[], bool],
        worker: Worker,
        pace: CyclePace,
        health: Health,
        *,
        fatal: tuple[type[Exception], ...] = (),
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        self._cycle = cycle
        self._worker = worker
        self._pace = pace
        self._health = health
        self._fatal = fatal
        self._failed = failed
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Something changed; call from the event loop."""
        self._changed.set()

    def woken(self) -> bool:
        """Whether something changed since the present cycle began; from any thread."""
        return self._changed.is_set()

    async def run(self) -> None:
        """Until cancelled or a fatal error. A cycle that raises is logged and does not end the loop."""
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            self._changed.clear()
            self._health.heartbeat("cycle")
            again = False
            try:
                again = await self._worker.run(self._cycle)
            except self._fatal:
                raise
            except Exception as error:
                log.exception("a cycle failed as a whole; the next one starts on time")
                self._health.cycle_failed(f"the last cycle failed as a whole ({type(error).__name__})")
                self._failed()
            else:
                self._health.cycle_done()
            await self._pause(begun, clock, again=again)

    async def _pause(self, begun: float, clock: Callable[[], float], *, again: bool) -> None:
        """Wait for the interval to pass or for a change, then for the gap and for the burst to settle; only for the
        latter two where the cycle wants to run ``again``."""
        left = begun + self._pace.interval - clock()
        if left > 0 and not again:
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return
        gap = begun + self._pace.gap - clock()
        await asyncio.sleep(max(gap, self._pace.settle if self._changed.is_set() else 0.0))
