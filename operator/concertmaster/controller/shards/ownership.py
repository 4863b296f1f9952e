"""Which namespaces this process looks after, and whether it may write there now.

Each shard holds a Lease of its own and looks at all of them every few seconds. A namespace belongs to one of the shards
that are alive, by rendezvous hashing. Two processes never write in one namespace:

- A shard counts as gone when its Lease was seen unchanged for its whole duration; it has stopped writing at two thirds of
  that. Until then the others leave its namespaces alone.
- A shard writes only while what it saw of the others is younger than two thirds of the duration, and a shard that comes
  waits that long before it writes: by then everybody has seen it, or has stopped.
- An operator in one piece, which holds the Lease without a number, owns everything while it is there, and waits in the
  same way when shards were there before it.

The set of shards is fixed for a cycle: what a cycle decides rests on one picture. Writes are checked against the latest.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from concertmaster.controller.shards.assignment import CLUSTER, owner
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Conflict, KubeError, NotFound
from concertmaster.kube.lease import LEASES, SHARD_OF, SHARDED, LeaseWatch

_NAMESPACED = re.compile(r"^/apis?/(?:[^/]+/)?[^/]+/namespaces/([^/]+)/([^/]+)")
_CLUSTER_OBJECT = re.compile(r"^/apis/argoproj\.io/[^/]+/clusterworkflowtemplates/([^/]+)")


class Members:
    """The shards of one release, by their Leases. ``release``: the Lease of an unsharded operator."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        release: str,
        *,
        lasts: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self.release = release
        self._lasts = lasts
        self._clock = clock
        self._watches: dict[str, LeaseWatch] = {}

    def alive(self) -> frozenset[str]:
        """The Leases that are held, or only that of an operator in one piece while there is one. Raises KubeError; after a
        first Conflict it is worth reading it again."""
        if self._whole():
            return frozenset({self.release})
        held: set[str] = set()
        path = LEASES.path(self._namespace)
        for lease in self._client.items(path, label_selector=f"{SHARD_OF}={self.release}"):
            name = str((lease.get("metadata") or {}).get("name", ""))
            if self._watch(name).held(lease):
                held.add(name)
        return frozenset(held)

    def _whole(self) -> bool:
        """Whether an unsharded operator works. One that starts later finds a mark, and waits until all have seen it."""
        path = LEASES.path(self._namespace, self.release)
        try:
            lease = self._client.get(path)
        except NotFound:
            meta = {"name": self.release, "namespace": self._namespace, "annotations": {SHARDED: "true"}}
            body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": meta, "spec": {}}
            lease = self._client.create(LEASES.path(self._namespace), body)
        if self._watch(self.release).held(lease):
            return True
        meta = lease.get("metadata") or {}
        if SHARDED not in (meta.get("annotations") or {}):
            version = meta.get("resourceVersion")
            self._client.patch(path, {"metadata": {"resourceVersion": version, "annotations": {SHARDED: "true"}}})
        return False

    def _watch(self, name: str) -> LeaseWatch:
        return self._watches.setdefault(name, LeaseWatch(self._lasts, self._clock))


class Ownership:
    """The namespaces that the shard ``own`` is responsible for. ``refresh`` is called from one thread, ``owns`` from the
    cycle's, ``may_write`` from any. ``holds``: whether the own Lease is held and was seen by all; ``fresh``: seconds for
    which a reading of the Leases is valid."""

    def __init__(
        self,
        own: str,
        members: Members,
        holds: Callable[[], bool],
        *,
        fresh: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.own = own
        self.problem = ""  # why the last refresh failed
        self._members = members
        self._holds = holds
        self._fresh = fresh
        self.template_owners: Mapping[str, Collection[str]] = {}  # by the name of a cluster-wide template
        self._clock = clock
        self._latest: tuple[frozenset[str], float] = frozenset(), float("-inf")
        self._cycle: frozenset[str] = frozenset()
        self._since: frozenset[frozenset[str]] = frozenset()  # all that were alive at a time since the cycle began
        self._owners: dict[str, str | None] = {}

    @property
    def alive(self) -> frozenset[str]:
        """The shards that this cycle counts with."""
        return self._cycle

    @property
    def latest(self) -> frozenset[str]:
        """The shards that were alive at the last refresh."""
        return self._latest[0]

    def refresh(self) -> bool:
        """Read the Leases; True when other shards are alive than before. A failed read changes nothing."""
        begun = self._clock()
        try:
            try:
                alive = self._members.alive()
            except Conflict:
                alive = self._members.alive()  # another shard marked the lease at the same moment
        except KubeError as error:
            self.problem = str(error)
            return False
        self.problem = ""
        if alive != {self._members.release}:
            alive |= {self.own}
        before, self._latest = self._latest, (alive, begun)
        unseen = [frozenset[str]()] if begun - before[1] >= self._fresh else []  # others may have been responsible
        self._since = self._since.union([before[0], alive], unseen)
        return before[0] != alive

    def seen(self) -> bool:
        """Whether the last refresh is recent enough to write by it."""
        return self._clock() - self._latest[1] < self._fresh

    def begin(self) -> None:
        """A cycle begins: it counts with the shards that are alive now."""
        alive = self._latest[0]
        self._since = frozenset({alive})
        if alive != self._cycle:
            self._cycle, self._owners = alive, {}

    def owns(self, namespace: str) -> bool:
        """Whether this cycle is responsible for ``namespace`` (``CLUSTER``: objects without one)."""
        if namespace not in self._owners:
            self._owners[namespace] = owner(namespace, self._cycle)
        return self._owners[namespace] == self.own

    def elsewhere(self, namespace: str) -> str | None:
        """The other shard that is responsible for ``namespace`` at present; None where it is this one, or none is known."""
        shard = owner(namespace, self._latest[0])
        return shard if shard != self.own else None

    def may_write(self, path: str, body: Any = None) -> bool:
        """Whether nobody else can be writing the object of this request."""
        return self._writes(places(path, body, self.template_owners))

    def may_delete(self, namespace: str) -> bool:
        """Whether this cycle is responsible for what the history has of ``namespace``, and no other shard has been since it
        began: that one may have stored runs of a profile of which the cycle does not know."""
        always = all(owner(namespace, alive) == self.own for alive in self._since)
        return always and self.owns(namespace) and self._writes((namespace,))

    def _writes(self, among: Collection[str]) -> bool:
        """Whether one of these namespaces is this shard's alone at present."""
        alive = self._latest[0]
        return self._holds() and self.seen() and any(owner(place, alive) == self.own for place in among)


def places(path: str, body: Any, template_owners: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The namespaces of which one must be owned for a write: that of the object, that of the object an Event is about, or
    those that own a cluster-wide template."""
    if (match := _CLUSTER_OBJECT.match(path)) is not None:
        return tuple(template_owners.get(match[1], ())) or (CLUSTER,)
    if (match := _NAMESPACED.match(path)) is None:
        return (CLUSTER,)
    if match[2] == "events" and isinstance(body, Mapping):
        return (str((body.get("regarding") or {}).get("namespace") or CLUSTER),)
    return (match[1],)
