"""``concertmaster run``: everything put together, started in order, stopped within seconds.

The order matters: the HTTP side first, so that probes see a process that waits for its CustomResourceDefinitions as alive
and not ready; then the checks that a person can act on; then watches and loop side by side. Whichever of the two ends
first ends the process, because neither is of use without the other.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from concertmaster import __version__
from concertmaster.controller.assembly import Assembly
from concertmaster.controller.cycle import Cycle
from concertmaster.controller.discovery.pod_index import PodIndex
from concertmaster.controller.health import Health
from concertmaster.controller.live.run_watch import RunWatch
from concertmaster.controller.loop import CyclePace, Loop, Worker
from concertmaster.controller.malloc import collect_seldom, leave_out_what_stays, share_one_heap
from concertmaster.controller.object_cache import ObjectCache, everything
from concertmaster.controller.prerequisites import Prerequisites, StartError, WaitPolicy
from concertmaster.controller.prerequisites import check as check_prerequisites
from concertmaster.controller.reporting.details import Details
from concertmaster.controller.reporting.json_logging import configure_logging
from concertmaster.controller.reporting.server import Server
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.controller.shards.election import ShardElection
from concertmaster.controller.shards.leader_election import LIMITS as ELECTION_LIMITS
from concertmaster.controller.shards.leader_election import LeaderElection, LeadershipLost, LeaseIdentity, identity
from concertmaster.controller.watches import kopf_operator
from concertmaster.controller.watches.watchdog import KindsLost
from concertmaster.history import HistoryError
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import NoConnection, Stopped
from concertmaster.kube.nesting import allow_deep_documents
from concertmaster.settings import Settings

log = logging.getLogger("concertmaster")

T = TypeVar("T")

_STALL_AFTER = 300.0  # seconds of silence on top of the interval before the probe fails, or longer where a query may be
_MAX_BETWEEN_HEARTBEATS = 120.0  # seconds that may pass between the end of the longest query and the next sign of life
_SHUTDOWN_SECONDS = 2.5  # that the loop's thread gets to finish what it is doing


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What is not in the configuration file. ``announce`` gets the bound port once the HTTP side listens."""

    kubeconfig: Path | None = None
    patience: WaitPolicy = field(default_factory=WaitPolicy)
    stall_after: float = _STALL_AFTER
    announce: Callable[[int], None] = lambda _: None


def longest_silence(settings: Settings, least: float) -> float:
    """Seconds without a sign of life after which the liveness probe fails: ``least`` on top of the interval, or as long as
    the slowest source may take to answer."""
    queries = max((source.longest_seconds + _MAX_BETWEEN_HEARTBEATS for source in settings.sources), default=0.0)
    return settings.interval.seconds + max(least, queries)


def run(settings: Settings, options: RunOptions | None = None) -> int:
    """Run the operator until SIGTERM or SIGINT. Returns the exit status; 1 means that the log says what to fix."""
    allow_deep_documents()
    share_one_heap()
    collect_seldom()
    leave_out_what_stays()
    configure_logging(settings.log_level)
    for note in settings.notes():
        log.warning("%s", note)
    operator = Operator(settings, options or RunOptions())
    try:
        asyncio.run(operator.run())
    except (StartError, NoConnection, KindsLost, HistoryError, LeadershipLost) as error:
        log.error("%s", error)
        return operator.leave(1)
    except Stopped:
        return operator.leave(0)
    except OSError as error:
        log.error("cannot listen on %s:%s: %s", settings.listen.address, settings.listen.port, error.strerror or error)
        return operator.leave(1)
    except Exception:
        log.exception("the operator ended by a fault of its own")
        return operator.leave(1)
    return operator.leave(0)


class Operator:
    """One operator process."""

    def __init__(self, settings: Settings, options: RunOptions) -> None:
        self._settings = settings
        self._options = options
        self._stop = threading.Event()
        self._telemetry = Telemetry()
        self._details = Details()
        self._health = Health(stall_after=longest_silence(settings, options.stall_after))
        self._worker = Worker("cycle")
        self._watches: Sequence[RunWatch | PodIndex] = ()
        self._finished = True
        self._stopped = False

    async def run(self) -> None:
        """Start, work, stop. Raises the fault that prevents it."""
        stopping = asyncio.Event()
        self._catch_signals(stopping)
        async with AsyncExitStack() as stack:
            listen = self._settings.listen
            server = Server(listen.address, listen.port, self._health, self._telemetry, self._details)
            await server.start()
            stack.push_async_callback(server.stop)
            self._options.announce(server.bound_port)
            stack.push_async_callback(self._stop_working)
            client = KubeClient.connect(
                self._options.kubeconfig, stop=self._stop, observer=self._telemetry.observe_request
            )
            access = AccessChecker(client)
            prerequisites = await self._unless(stopping, self._worker.run(lambda: self._check(client, access)))
            for note in prerequisites.notes:
                log.warning("%s", note)
            election = await self._elect(stack, stopping)
            shard = election.shard if isinstance(election, ShardElection) else None
            if shard is not None:
                client.guard_writes(shard.ownership.may_write)
                self._details.elsewhere = shard.ownership.elsewhere
            elif election is not None:
                client.guard_writes(lambda _path, _body: election.holds())
            log.info(
                "started",
                extra={
                    "fields": {
                        "version": __version__,
                        "server": client.server,
                        "namespaces": list(self._settings.namespaces) or "all",
                        "sources": [s.name for s in self._settings.sources],
                        "interval": str(self._settings.interval),
                    }
                },
            )
            cache = ObjectCache(owns=shard.ownership.owns if shard is not None else everything)
            assembly = Assembly(
                self._settings,
                client,
                access,
                prerequisites,
                cache,
                self._health,
                self._telemetry,
                self._details,
                shard,
                election.may_delete if election is not None else everything,
            )
            cycle, self._watches = await self._unless(
                stopping, self._worker.run(lambda: assembly.build(self._worker, self._stop))
            )
            await self._serve(client, prerequisites, cache, cycle, stopping, election)

    async def _elect(self, stack: AsyncExitStack, stopping: asyncio.Event) -> LeaderElection | None:
        """Wait until no other operator of this release works, and return the right to work; None where no lease is used."""
        own: LeaseIdentity | None = identity()
        if own is None:
            self._telemetry.active.set(1)
            return None
        # A client of its own: it must still answer when everything else has been asked to stop.
        client = KubeClient.connect(
            self._options.kubeconfig, limits=ELECTION_LIMITS, observer=self._telemetry.observe_request
        )
        if own.shard and self._settings.history.url is None:
            raise StartError("shards share their history: set history.url to a PostgreSQL server, or run one replica")
        kind = ShardElection if own.shard else LeaderElection
        election = kind(client, own, active=self._telemetry.active.set, heartbeat=self._health.heartbeat)
        if isinstance(election, ShardElection):
            election.ownership.template_owners = self._settings.template_owners()
        stack.push_async_callback(election.release)
        stack.push_async_callback(self._stop_working)  # before the lease goes: nobody else works until then
        await self._unless(stopping, election.acquire())
        return election

    async def _serve(
        self,
        client: KubeClient,
        prerequisites: Prerequisites,
        cache: ObjectCache,
        cycle: Cycle,
        stopping: asyncio.Event,
        election: LeaderElection | None,
    ) -> None:
        """Watches and loop until either ends or a signal comes."""
        pace = CyclePace(float(self._settings.interval.seconds))
        loop = Loop(cycle, self._worker, pace, self._health, fatal=(KindsLost,), failed=self._telemetry.cycle_failed)
        cycle.awaited = loop.woken
        if isinstance(election, ShardElection):
            election.changed = loop.wake
        watching = asyncio.create_task(
            kopf_operator.watch(
                kopf_operator.operator_registry(cache, prerequisites.kinds, client.connection, loop.wake),
                kopf_operator.settings(scanning=prerequisites.scanning),
                namespaces=self._settings.namespaces,
                ready=lambda: self._catch_signals(stopping),
            ),
            name="watches",
        )
        looping = asyncio.create_task(loop.run(), name="loop")
        waiting = asyncio.create_task(stopping.wait(), name="stop")
        tasks: list[asyncio.Task[Any]] = [watching, looping, waiting]
        if election is not None:
            tasks.append(asyncio.create_task(election.renew(), name="leader-election"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if any(task.cancelled() for task in done):
                # kopf cancels every task of the event loop when it ends, and says why a moment later.
                done |= (await asyncio.wait({watching}, timeout=_SHUTDOWN_SECONDS))[0]
        finally:
            self._stop.set()
            self._health.stopping()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_SHUTDOWN_SECONDS)
        for ended in [task for task in tasks if task in done and task is not waiting and not task.cancelled()]:
            error = ended.exception()
            if ended is watching and getattr(error, "status", None) == 404:
                # Without the right to watch CustomResourceDefinitions kopf takes this for the end; so does the process.
                raise KindsLost(
                    "the cluster no longer serves a watched kind; the process ends, and the next one waits for it. "
                    "If it was removed by mistake: kubectl apply --server-side -f crds/"
                ) from error
            ended.result()
        if not waiting.done() or waiting.cancelled():
            raise StartError("the watches ended without a reason; the process ends to be started anew")

    def _check(self, client: KubeClient, access: AccessChecker) -> Prerequisites:
        return check_prerequisites(
            client,
            access,
            self._settings.namespaces,
            self._stop,
            patience=self._options.patience,
            on_wait=lambda: self._health.heartbeat("waiting for the cluster"),
        )

    def _catch_signals(self, stopping: asyncio.Event) -> None:
        """SIGTERM and SIGINT end the operator; called again after kopf has put its own handlers there."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            self._stop.set()
            stopping.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)

    async def _unless(self, stopping: asyncio.Event, work: Awaitable[T]) -> T:
        """The result of ``work``, or Stopped as soon as a signal comes."""
        task = asyncio.ensure_future(work)
        waiting = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Stopped("the operator is stopping")
            return task.result()
        finally:
            waiting.cancel()
            task.cancel()

    async def _stop_working(self) -> None:
        """Let the thread finish within a short time. A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self._stop.set()
        for watch in self._watches:
            await asyncio.to_thread(watch.stop, _SHUTDOWN_SECONDS / 2)
        self._finished = await asyncio.to_thread(self._worker.close, _SHUTDOWN_SECONDS)

    def leave(self, status: int) -> int:
        """Return ``status``, or end the process at once when a thread still waits for an answer nobody needs."""
        log.info("stopped", extra={"fields": {"status": status}})
        if not self._finished:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        return status
