"""The Lease by which a second operator recognises that one is running.

One process keeps the history file and writes statuses; two would write against each other. The Deployment allows one,
but people scale Deployments, and two releases can look at the same cluster. Only the one right the chart grants is
needed: get and patch of one Lease by name, and create.

As in Kubernetes' own leader election, time is never compared between machines: a lease is over when *this* process has
not seen it renewed for as long as it says it lasts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from concertmaster.core.times import format_micro_time
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Conflict, Forbidden, KubeError, NotFound
from concertmaster.kube.objects import Resource

SHARDED = "concertmaster.dev/sharded"
"""Annotation of the Lease of an operator in one piece: shards of the same release may be at work."""
SHARD_OF = "concertmaster.dev/shard-of"
"""Label of a shard's Lease: the Lease of the operator in one piece."""

LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")


class LeaseState(StrEnum):
    """The outcome of an attempt to take or renew the lease."""

    HELD = "held"
    OTHER = "other"
    FORBIDDEN = "forbidden"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LeaseResult:
    """One attempt; ``holder``: who else holds it; ``message``: why that is unknown."""

    state: LeaseState
    holder: str = ""
    message: str = ""


class Lease:
    """Acquires and renews one Lease for ``identity``. ``lasts``: seconds without renewal after which it is free."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        lasts: int = 30,
        labels: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.sharded = False  # as last read: shards may be at work
        self._labels = dict(labels or {})
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._lasts = lasts
        self._wall = wall
        self._watch = LeaseWatch(lasts, clock)

    def take(self) -> LeaseResult:
        """Take the lease if it is free, renew it if it is ours. Never raises."""
        try:
            return self._take()
        except Conflict:
            return LeaseResult(LeaseState.UNKNOWN, message="somebody else wrote the lease at the same moment")
        except Forbidden as error:
            return LeaseResult(LeaseState.FORBIDDEN, message=str(error))
        except KubeError as error:
            return LeaseResult(LeaseState.UNKNOWN, message=str(error))

    def release(self) -> None:
        """Release it, so that a successor need not wait. A failure only makes it wait."""
        try:
            present = self._client.get(LEASES.path(self._namespace, self._name))
            if _spec(present).get("holderIdentity") == self._identity:
                self._write(present, {"holderIdentity": "", "leaseDurationSeconds": 1})
        except KubeError:
            pass  # gone, denied or unreachable: the lease runs out by itself

    def _take(self) -> LeaseResult:
        path = LEASES.path(self._namespace, self._name)
        try:
            present = self._client.get(path)
        except NotFound:
            meta = {"name": self._name, "namespace": self._namespace} | self._labelled()
            body = LEASES.body(metadata=meta, spec=self._claim(taking=True))
            self._client.create(LEASES.path(self._namespace), body)
            return LeaseResult(LeaseState.HELD)
        spec = _spec(present)
        holder = str(spec.get("holderIdentity") or "")
        self.sharded = SHARDED in ((present.get("metadata") or {}).get("annotations") or {})
        if holder != self._identity and self._watch.held(present):
            return LeaseResult(LeaseState.OTHER, holder)
        self._write(present, self._claim(taking=holder != self._identity))
        return LeaseResult(LeaseState.HELD)

    def _claim(self, *, taking: bool) -> dict[str, Any]:
        now = format_micro_time(self._wall())
        claim = {"holderIdentity": self._identity, "leaseDurationSeconds": self._lasts, "renewTime": now}
        return claim | ({"acquireTime": now} if taking else {})

    def unmark(self) -> bool:
        """Record that no shard is running any more; False when the lease changed in between."""
        path = LEASES.path(self._namespace, self._name)
        try:
            present = self._client.get(path)
            if str(_spec(present).get("holderIdentity") or "") != self._identity:
                return False
            version = (present.get("metadata") or {}).get("resourceVersion")
            self._client.patch(path, {"metadata": {"resourceVersion": version, "annotations": {SHARDED: None}}})
        except KubeError:
            return False
        self.sharded = False
        return True

    def _labelled(self) -> dict[str, Any]:
        return {"labels": self._labels} if self._labels else {}

    def _write(self, present: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
        """Patch exactly the version that was read; Conflict when it changed since."""
        version = (present.get("metadata") or {}).get("resourceVersion")
        body = {"metadata": {"resourceVersion": version} | self._labelled(), "spec": dict(spec)}
        self._client.patch(LEASES.path(self._namespace, self._name), body)


class LeaseWatch:
    """Whether somebody holds a lease, by when *this* process last saw it renewed."""

    def __init__(self, lasts: int, clock: Callable[[], float]) -> None:
        self._lasts = lasts
        self._clock = clock
        self._seen: tuple[str, str] = ("", "")  # holder and renewTime as last read
        self._seen_at = float("-inf")

    def held(self, present: Mapping[str, Any]) -> bool:
        """Whether the lease as just read is held."""
        spec = _spec(present)
        seen = (str(spec.get("holderIdentity") or ""), str(spec.get("renewTime") or ""))
        now = self._clock()
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        return bool(seen[0]) and now - self._seen_at < float(spec.get("leaseDurationSeconds") or self._lasts)


def _spec(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = obj.get("spec")
    return spec if isinstance(spec, Mapping) else {}
