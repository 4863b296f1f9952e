"""Leader election: of several operators of one release one works and the others stand by.

Standby is a healthy state: the process answers its liveness probe, is not ready, and reports the present leader. An
operator that loses the lease exits, so that no partial work continues; its successor in the same pod stands by.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from concertmaster.kube.client import ClientLimits, KubeClient
from concertmaster.kube.lease import Lease, LeaseResult, LeaseState

log = logging.getLogger("concertmaster.leader")

# A renewal must fail well before the lease expires, and the release must fit into the time a pod has to stop.
LIMITS = ClientLimits(connect=2.0, read=3.0, deadline=5.0, attempts=2)
_WRITES_UNTIL = 2 / 3  # of the lease's duration after it was renewed; Kubernetes' own components stop there, too
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class LeadershipLost(Exception):
    """Another operator took over; this one must not continue."""


@dataclass(frozen=True, slots=True)
class LeaseIdentity:
    """Where the lease is, and who asks for it."""

    namespace: str
    name: str
    identity: str
    shard: str = ""  # the Lease of this shard beside ``name``; empty: the operator works in one piece


def identity(
    environment: Mapping[str, str] = os.environ, namespace_file: Path = _NAMESPACE_FILE
) -> LeaseIdentity | None:
    """The lease named by the Deployment's environment; None outside a cluster, where no other operator is expected."""
    name = environment.get("CONCERTMASTER_LEASE")
    if not name:
        return None
    namespace = environment.get("POD_NAMESPACE") or _read(namespace_file)
    if not namespace:
        return None
    pod = environment.get("POD_NAME") or socket.gethostname()
    if environment.get("CONCERTMASTER_SHARDED") != "true":
        return LeaseIdentity(namespace, name, pod)
    # Of a StatefulSet two pods of one name can be alive, when one was deleted by force while its node was away.
    return LeaseIdentity(namespace, name, f"{pod}_{secrets.token_hex(4)}", shard=pod)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


class LeaderElection:
    """Holds the Lease that allows this operator to work. ``active`` is set to 1 while it is held and 0 on standby.

    As in client-go, a lease counts from before the request that renewed it. Others may take it over once it is ``lasts``
    seconds old; this operator stops writing at two thirds of that, and ends when it is over.
    """

    def __init__(
        self,
        client: KubeClient,
        where: LeaseIdentity,
        *,
        active: Callable[[float], object],
        heartbeat: Callable[[str], None],
        every: float = 10.0,
        lasts: int = 30,
        labels: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._where = where
        self._active = active
        self._beat = heartbeat
        self._every = every
        self._lease = Lease(
            client, where.namespace, where.name, where.identity, lasts=lasts, labels=labels, clock=clock
        )
        self._lasts = lasts
        self._clock = clock
        self._renewed = -math.inf
        self.joined = math.inf  # since when the lease is held without a gap in which others may not have seen it
        self._alone = False  # without the right to use leases nobody else is expected
        self._used = False  # whether the lease was read: without the right later on, others may be at work

    def holds(self) -> bool:
        """Whether no other operator can have taken over. Checked before every write, from any thread."""
        return self._alone or self._clock() - self._renewed < self.settling

    def may_delete(self, namespace: str) -> bool:
        """Whether what the history has of ``namespace`` is still this operator's to delete: another one may have stored runs
        of profiles that a cycle before it does not know of."""
        return self.holds()

    async def acquire(self) -> None:
        """Return when this operator may work. Where it never had the right to use Leases it returns at once, with a log
        line."""
        reported, refused = "", -math.inf
        while True:
            result = await self._take()
            if self._alone:
                log.warning("a second operator would not be noticed: %s", result.message)
            if result.state is LeaseState.HELD and self._lease.sharded:
                await self._outwait()
                continue
            if result.state is LeaseState.HELD and self._clock() - refused < 2 * self._lasts:
                # One that began meanwhile works without the lease, until it sees that this one holds it.
                self._beat("waiting for operators that were refused the lease to see it")
                await asyncio.sleep(self.settling)
                refused = -math.inf
                continue
            if result.state is LeaseState.FORBIDDEN:
                refused = self._clock()
            if result.state is LeaseState.HELD or self._alone:
                self._active(1)
                return
            self._active(0)
            waiting = self._waiting(result)
            if waiting != reported:
                log.warning("%s", waiting)
                reported = waiting
            self._beat(waiting)
            await asyncio.sleep(self._every / 2)

    async def _outwait(self) -> None:
        """Shards of the same release may be at work: they stop once they see this lease, or cannot see anything."""
        self._beat("waiting for the shards of this release to stop")
        log.warning("shards of this release may be at work; waiting %.0f s for them to stop", self.settling)
        await asyncio.sleep(self.settling)
        await asyncio.to_thread(self._lease.unmark)

    @property
    def settling(self) -> float:
        """Seconds after which every other shard has seen this lease, or has stopped writing."""
        return _WRITES_UNTIL * self._lasts

    async def renew(self) -> None:
        """Renew until cancelled. Raises LeadershipLost when another operator has the lease, or may have it by now."""
        pause = self._every
        while True:
            await asyncio.sleep(pause)
            result = await self._take()
            pause = self._every if result.state is LeaseState.HELD or self._alone else self._every / 5
            if result.state is LeaseState.OTHER:
                self._active(0)
                raise LeadershipLost(f"{result.holder} took over the lease {self._where.namespace}/{self._where.name}")
            if result.state is not LeaseState.HELD and not self._alone:
                log.warning("the lease could not be renewed: %s", result.message)
                if self._clock() - self._renewed >= self._lasts:
                    self._active(0)
                    raise LeadershipLost(f"the lease was not renewed for {self._lasts} s: {result.message}")

    async def _take(self) -> LeaseResult:
        begun = self._clock()
        result = await asyncio.to_thread(self._lease.take)
        if result.state is LeaseState.HELD:
            if self._clock() - self._renewed >= self.settling:
                self.joined = self._clock()
            self._renewed = begun
        self._used = self._used or result.state in (LeaseState.HELD, LeaseState.OTHER)
        denied = result.state is LeaseState.FORBIDDEN or (self._alone and result.state is LeaseState.UNKNOWN)
        self._alone = denied and not self._used
        return result

    async def release(self) -> None:
        """Release the lease."""
        await asyncio.to_thread(self._lease.release)
        self._client.close()

    def _waiting(self, result: LeaseResult) -> str:
        lease = f"{self._where.namespace}/{self._where.name}"
        if result.state is LeaseState.OTHER:
            return f"standby: {result.holder} holds the lease {lease}; one operator works at a time"
        return f"waiting for the lease {lease}: {result.message}"
