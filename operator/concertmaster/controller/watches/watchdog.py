"""Compares the objects from the watches with a list, once per cycle.

A watch stream can die without an error, and a deletion during a reconnect is never reported. A list of metadata
finds both, and shows when the cache is complete for the first time: before that nothing may be created or withdrawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from concertmaster.controller.health import Health
from concertmaster.controller.object_cache import CachedObject, ObjectCache
from concertmaster.kube.client import KubeClient
from concertmaster.kube.discover import ProblemKind, scan
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import PROFILES, Resource

_SETTLE_TRIES = 40
_SETTLE_PAUSE = 0.25  # seconds between checks of a cache that is still being filled
_LOST_AFTER = 300.0  # seconds
_SLOW_WATCH = 10.0  # seconds; the operator's own status writes come back within one
_WHOLE_EVERY = 300.0  # seconds between two lists of all profiles while nothing but recommendations depends on them


class KindsLost(Exception):
    """The CustomResourceDefinitions have been missing for too long; the process should exit and be restarted."""


@dataclass(frozen=True, slots=True)
class WatchState:
    """Whether the cache is known to be complete, and the problems in checking it. ``behind``: the watches have not
    delivered a spec that is listed, or nothing at all for some seconds."""

    complete: bool
    problems: tuple[str, ...] = ()
    behind: bool = False


@dataclass(slots=True)
class Watchdog:
    """Checks all watched kinds. ``mute_after``: seconds the watches may stay behind after the kinds were gone and have come
    back: kopf usually, but not always, resumes watching them."""

    client: KubeClient
    cache: ObjectCache
    kinds: Sequence[Resource]
    namespaces: Sequence[str]
    health: Health
    mute_after: float = 30.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    _lost_since: float | None = None
    _compared: float | None = None  # when all profiles agreed with a list
    _unconfirmed: set[Resource] = field(
        default_factory=set
    )  # kinds that came back and whose watch has brought nothing yet

    def wait(self) -> WatchState:
        """Check until the cache is complete: right after the start it needs time to fill. Raises KindsLost."""
        for _ in range(_SETTLE_TRIES):
            self.health.heartbeat("watch")
            watched = self.check()
            if watched.complete or watched.problems:
                break
            self.sleep(_SETTLE_PAUSE)
        return watched

    def check(self) -> WatchState:
        """List every kind and compare. Raises KindsLost."""
        problems: list[str] = []
        complete = True
        behind = False
        for resource in self.kinds:
            if resource == PROFILES and self._as_many():
                continue
            listed: list[dict[str, Any]] = []
            begun = self.clock()
            scanned = scan(self.client, resource, self.namespaces, listed.append, metadata_only=True)
            if resource == PROFILES:
                self._compared = None
                if any(p.kind is ProblemKind.KIND_MISSING for p in scanned.problems):
                    self._note_lost()
                else:
                    self._note_served()
            if not scanned.complete:
                problems += [p.message for p in scanned.problems]
                complete = False
                continue
            agreement = self.cache.compare(resource, listed, begun)
            self.health.watch_lag(resource.plural, agreement.oldest_lag)
            complete = complete and agreement.missing == 0
            behind = behind or agreement.outdated > 0 or agreement.oldest_lag >= _SLOW_WATCH
            self._note_return(resource, bool(listed) and agreement.missing == 0, agreement.oldest_lag)
            if resource == PROFILES and agreement.outdated == 0 and agreement.oldest_lag < _SLOW_WATCH:
                self._compared = begun
        return WatchState(complete, tuple(problems), behind)

    def _as_many(self) -> bool:
        """Whether it is enough for now that there are as many profiles as the cache has. A full list costs the API
        server more than all writes of a cycle: it is made every few minutes, and in each cycle where a dead watch would
        mean more than a late recommendation."""
        recent = self._compared is not None and self.clock() - self._compared < _WHOLE_EVERY
        known = self.cache.whole()
        policies = (*known.policies, *known.cluster_policies)
        if not recent or self._unconfirmed or known.changes or any(map(_may_change, policies)):
            return False
        try:
            counts = [self.client.count(PROFILES.path(place)) for place in self.namespaces or (None,)]
        except KubeError:
            return False
        return None not in counts and sum(filter(None, counts)) == len(known.profiles)

    def _note_served(self) -> None:
        if self._lost_since is not None:
            self._unconfirmed = set(self.kinds)
        self._lost_since = None

    def _note_lost(self) -> None:
        now = self.clock()
        if self._lost_since is None:
            self._lost_since = now
        if now - self._lost_since >= _LOST_AFTER:
            raise KindsLost(
                f"the cluster has not served {PROFILES.plural} for {now - self._lost_since:.0f} s; "
                "install the CustomResourceDefinitions: kubectl apply --server-side -f crds/"
            )

    def _note_return(self, resource: Resource, brought: bool, lag: float) -> None:
        if brought:
            self._unconfirmed.discard(resource)
        elif resource in self._unconfirmed and lag >= self.mute_after:
            raise KindsLost(
                f"{resource.plural} were gone and are back, but their watch is not; the process ends to be started anew"
            )


def _may_change(policy: CachedObject) -> bool:
    """Whether a policy may do more than recommend."""
    return '"Approve"' in policy.spec_text or '"Auto"' in policy.spec_text
