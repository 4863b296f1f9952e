"""Compact copies of our own objects, kept up to date by watch events and checked against a list once per cycle.

Only what the loop needs is kept: ten thousand full objects with a 16 KiB status each would be 160 MB. A spec is held
as JSON text and parsed when its profile is worked on; a status as its fingerprint and conditions. A watch that died
silently, and objects deleted while it was down, show up as a difference to the list and never as wrong recommendations.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from concertmaster.controller.status_view import StatusView, as_it_stands
from concertmaster.controller.workflow_change import WorkflowChangeView, ledger_entry
from concertmaster.core.changes.ledger import LedgerEntry
from concertmaster.core.times import parse_time
from concertmaster.kube.objects import CHANGES, CLUSTER_POLICIES, POLICIES, PROFILES, ObjectRef, Resource, plain

log = logging.getLogger("concertmaster.registry")

_MAX_EVENT_DELAY = 60.0  # seconds after a write within which an event that precedes it may still come


@dataclass(frozen=True, slots=True)
class CachedObject:
    """One of our objects. ``created`` is unix seconds, ``recorded`` monotonic seconds of its last event."""

    ref: ObjectRef
    generation: int
    resource_version: str
    created: float
    labels: Mapping[str, str]
    spec_text: str
    status: StatusView = field(default_factory=StatusView)
    recorded: float = field(default=0.0, compare=False)
    line: LedgerEntry | None = None  # of the ledger, for a change with a verdict
    written: tuple[str, float] | None = field(default=None, compare=False)
    """The resource version of the object after this process wrote its status, and when (monotonic seconds)."""

    @property
    def uid(self) -> str:
        """The object's uid."""
        return self.ref.uid

    @property
    def namespace(self) -> str:
        """The object's namespace, empty for a cluster policy."""
        return self.ref.namespace or ""

    @property
    def name(self) -> str:
        """The object's name."""
        return self.ref.name

    @property
    def spec(self) -> dict[str, Any]:
        """A fresh parse of the spec."""
        parsed = json.loads(self.spec_text)
        return parsed if isinstance(parsed, dict) else {}


def everything(_namespace: str) -> bool:
    """Everything: the scope of an operator that is not sharded."""
    return True


@dataclass(frozen=True, slots=True)
class CachedObjects:
    """All objects at one moment, each kind in a stable order."""

    profiles: tuple[CachedObject, ...] = ()
    policies: tuple[CachedObject, ...] = ()
    cluster_policies: tuple[CachedObject, ...] = ()
    changes: tuple[CachedObject, ...] = ()

    def part(self, owns: Callable[[str], bool]) -> CachedObjects:
        """Without the objects of namespaces that ``owns`` is false of."""
        namespaced = (self.profiles, self.policies, self.changes)
        profiles, policies, changes = (tuple(e for e in kind if owns(e.namespace)) for kind in namespaced)
        return CachedObjects(profiles, policies, self.cluster_policies, changes)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the cache compares with a list: the objects it lacks, and those whose spec it does not have as listed."""

    missing: int
    outdated: int
    oldest_lag: float  # seconds since the longest-standing difference was first noticed


class ObjectCache:
    """The objects, by kind and uid. Fed from the event loop, read from the worker thread."""

    def __init__(
        self, *, owns: Callable[[str], bool] = everything, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``owns``: whether this process is responsible for a namespace; it keeps the others' objects too, to take over
        at once."""
        self._owns = owns
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[Resource, dict[str, CachedObject]] = {
            r: {} for r in (PROFILES, POLICIES, CLUSTER_POLICIES, CHANGES)
        }
        self._snapshot: CachedObjects | None = None  # of the present entries; None after a change
        self._lagging: dict[Resource, dict[str, float]] = {r: {} for r in self._entries}

    def observe(self, resource: Resource, event: str | None, obj: Mapping[str, Any]) -> bool:
        """Process one watch event (``event`` None: initial list). Objects being deleted count as gone. Returns whether the
        next cycle should come soon: an object of this process was created or deleted, or its spec or labels changed."""
        meta = obj.get("metadata") or {}
        uid = str(meta.get("uid", ""))
        if not uid:
            return False
        with self._lock:
            entries, self._snapshot = self._entries[resource], None
            self._lagging[resource].pop(uid, None)
            if event == "DELETED" or meta.get("deletionTimestamp"):
                return entries.pop(uid, None) is not None
            known = entries.get(uid)
            try:
                entry = _entry(resource, obj, self._clock(), known)
            except Exception:
                # Without an entry nothing would be decided in any namespace: the list shows what the watch did not bring.
                log.exception("the status of %s cannot be read and counts as none", ObjectRef.of(resource, obj))
                entry = _entry(resource, {part: obj[part] for part in obj if part != "status"}, self._clock(), known)
            if known is not None and _precedes(entry, known.written):
                entry = replace(entry, status=known.status, written=known.written)
            entries[uid] = entry
        if resource.namespaced and not self._owns(entry.namespace):
            return False
        return known is None or known.spec_text != entry.spec_text or dict(known.labels) != dict(entry.labels)

    def created(self, resource: Resource, obj: Mapping[str, Any]) -> None:
        """Take an object that this process has just created, unless its watch event came first."""
        entry = _entry(resource, obj, self._clock())
        with self._lock:
            if entry.uid and entry.uid not in self._entries[resource]:
                self._entries[resource][entry.uid] = entry
                self._snapshot = None

    def wrote(self, ref: ObjectRef, status: Mapping[str, Any] | None, version: str = "") -> StatusView:
        """Remember a status just written, whether its watch event comes later or came before, so that it is parsed once.
        ``version``: the resource version since then. A later event with an earlier version carries an old status."""
        with self._lock:
            kind = next((entries for entries in self._entries.values() if ref.uid in entries), {})
            known = kind.get(ref.uid)
            same = known is not None and known.status.document == as_it_stands(status or {})
            if known is not None and (same or _before(version, known.resource_version)):
                return known.status  # or somebody has written a newer one
            view = StatusView.of(status, ref)
            if known is not None:
                written = (version, self._clock()) if version else None
                kind[ref.uid], self._snapshot = replace(known, status=view, written=written), None
            return view

    def snapshot(self) -> CachedObjects:
        """All objects now that this process looks after, and the cluster's policies."""
        return self.whole() if self._owns is everything else self.whole().part(self._owns)

    def whole(self) -> CachedObjects:
        """All objects now."""
        with self._lock:
            if self._snapshot is None:
                kinds = {
                    resource: tuple(sorted(entries.values(), key=lambda e: (e.namespace, e.name, e.uid)))
                    for resource, entries in self._entries.items()
                }
                self._snapshot = CachedObjects(
                    kinds[PROFILES], kinds[POLICIES], kinds[CLUSTER_POLICIES], kinds[CHANGES]
                )
            return self._snapshot

    def compare(self, resource: Resource, listed: Iterable[Mapping[str, Any]], begun: float) -> Agreement:
        """Compare with a list (metadata suffices) that was begun at ``begun`` on this cache's clock.

        Entries that are not listed and older than the list are dropped: their deletion was missed.
        """
        present = [m for m in (item.get("metadata") or {} for item in listed) if not m.get("deletionTimestamp")]
        versions = {str(m.get("uid", "")): str(m.get("resourceVersion", "")) for m in present}
        generations = {str(m.get("uid", "")): int(m.get("generation") or 0) for m in present}
        now = self._clock()
        with self._lock:
            entries = self._entries[resource]
            dropped = [u for u, e in entries.items() if u not in versions and e.recorded < begun]
            for uid in dropped:
                del entries[uid]
                self._snapshot = None
            missing = [u for u in versions if u not in entries]
            older = [u for u, v in versions.items() if u in entries and _older(entries[u].resource_version, v)]
            outdated = sum(u in entries and entries[u].generation < g for u, g in generations.items())
            lagging = self._lagging[resource]
            for uid in [u for u in lagging if u not in missing and u not in older]:
                del lagging[uid]
            for uid in [*missing, *older]:
                lagging.setdefault(uid, now)
            oldest = min(lagging.values(), default=now)
        return Agreement(len(missing), outdated + len(missing), now - oldest)


def _older(held: str, listed: str) -> bool:
    """Whether the version held precedes the listed one; versions that are not numbers can only be compared for equality."""
    if held.isdecimal() and listed.isdecimal():
        return int(held) < int(listed)
    return held != listed


def _before(version: str, other: str) -> bool:
    """The same of versions of which nothing is assumed where they are not numbers."""
    return version.isdecimal() and other.isdecimal() and _older(version, other)


def _precedes(entry: CachedObject, written: tuple[str, float] | None) -> bool:
    """Whether the object is older than that write. Versions restart when etcd is restored: only recently written ones are
    compared."""
    if written is None or entry.recorded - written[1] > _MAX_EVENT_DELAY:
        return False
    return _before(entry.resource_version, written[0])


def _entry(resource: Resource, obj: Mapping[str, Any], now: float, known: CachedObject | None = None) -> CachedObject:
    """What is kept of an object; what has not changed is that of ``known``."""
    meta = obj.get("metadata") or {}
    ref = known.ref if known is not None else ObjectRef.of(resource, obj)
    spec_text = json.dumps(plain(obj.get("spec") or {}), separators=(",", ":"), sort_keys=True)
    status = plain(obj.get("status") or {})
    same = known is not None and known.status.document == as_it_stands(status)  # own writes come back as events
    return CachedObject(
        ref=ref,
        generation=int(meta.get("generation") or 0),
        resource_version=str(meta.get("resourceVersion", "")),
        created=_unix(meta.get("creationTimestamp")),
        labels=dict(meta.get("labels") or {}),
        spec_text=known.spec_text if known is not None and known.spec_text == spec_text else spec_text,
        status=known.status if known is not None and same else StatusView.of(status, ref),
        recorded=now,
        line=ledger_entry(WorkflowChangeView(obj)) if resource == CHANGES else None,
    )


def _unix(timestamp: Any) -> float:
    try:
        return parse_time(str(timestamp))
    except ValueError:
        return 0.0
