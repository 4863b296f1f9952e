"""The election of a shard: its own Lease, seen by all others, and a recent reading of theirs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from concertmaster.controller.shards.leader_election import LeaderElection, LeadershipLost, LeaseIdentity
from concertmaster.controller.shards.ownership import Members, Ownership
from concertmaster.controller.shards.shard import Shard
from concertmaster.controller.shards.summaries import Summaries
from concertmaster.kube.client import KubeClient
from concertmaster.kube.lease import SHARD_OF, LeaseResult, LeaseState

log = logging.getLogger("concertmaster.shards")

# A shard that is lost is noticed after LEASE_SECONDS + RENEW_EVERY seconds at the latest; its namespaces are read at
# once after that.
LEASE_SECONDS = 18
RENEW_EVERY = 3.0


class ShardElection(LeaderElection):
    """See ``LeaderElection``. ``changed`` is called, in the event loop, when other shards are alive than before."""

    def __init__(
        self,
        client: KubeClient,
        where: LeaseIdentity,
        *,
        active: Callable[[float], object],
        heartbeat: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        own = LeaseIdentity(where.namespace, where.shard, where.identity)
        labels = {SHARD_OF: where.name}
        super().__init__(
            client,
            own,
            active=active,
            heartbeat=heartbeat,
            every=RENEW_EVERY,
            lasts=LEASE_SECONDS,
            labels=labels,
            clock=clock,
        )
        members = Members(client, where.namespace, where.name, lasts=LEASE_SECONDS, clock=clock)
        self.ownership = Ownership(where.shard, members, self.settled, fresh=self.settling, clock=clock)
        self.shard = Shard(self.ownership, Summaries(client, where.namespace, where.shard))
        self.changed: Callable[[], object] = lambda: None

    def settled(self) -> bool:
        """Whether the Lease is held and all others have seen it, or have stopped writing."""
        return self.holds() and self._clock() - self.joined >= self.settling

    def may_delete(self, namespace: str) -> bool:
        """See ``LeaderElection``."""
        return self.ownership.may_delete(namespace)

    async def acquire(self) -> None:
        """Return when this shard may work."""
        await super().acquire()
        self._active(0)
        while not (self.settled() and self.ownership.seen()):
            self._beat("waiting until the other shards have seen this one")
            await asyncio.sleep(min(self._every, 1.0))
            if (await self._take()).state is LeaseState.OTHER:
                raise LeadershipLost("another process took this shard's lease while it settled")
        self.ownership.begin()
        self._active(1)

    async def _take(self) -> LeaseResult:
        result = await super()._take()
        if self._alone:
            raise LeadershipLost(
                f"a shard cannot work without its lease: {result.message}. Grant get, list, create and patch of leases in "
                "the release's namespace, as the chart does"
            )
        before = self.ownership.problem
        if await asyncio.to_thread(self.ownership.refresh):
            log.info("shards alive: %s", ", ".join(sorted(self.ownership.latest)) or "none")
            self.changed()
        elif await asyncio.to_thread(self.shard.summaries.arrived):
            self.changed()
        if self.ownership.problem and self.ownership.problem != before:
            log.warning("the leases of the other shards could not be read: %s", self.ownership.problem)
        return result
