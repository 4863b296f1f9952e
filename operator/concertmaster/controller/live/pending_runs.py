"""Finished runs that wait to be read: packed as they were seen, within a budget of memory.

An object may be deleted seconds after its run has ended, so the last state seen is kept until it is read. Beyond the
budget only its name is kept, and it is listed again when its turn comes. Which runs were read is remembered by uid and
end, because a watch brings the same object again after every reconnect, and a retried run ends once more.

Namespaces take turns, and where there is no room the one that takes most gives way: a flood of runs costs nobody else's.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from concertmaster.core.fair_share import item_to_evict, round_robin
from concertmaster.core.units import MIB
from concertmaster.kube.objects import ObjectRef, Resource

MAX_BYTES = 32 * MIB
MAX_RUNS = 20_000
MAX_TRIES = 3  # of a run whose TaskRuns or pods are not all there yet
REMEMBERED = 20_000


@dataclass(slots=True)
class PendingRun:
    """One finished run. ``packed`` None: it must be requested again. ``mark``: which of its ends it is. ``tries``: readings
    that found parts missing."""

    ref: ObjectRef
    packed: bytes | None
    mark: str = ""
    tries: int = 0
    failed: bool = False  # the API server did not give its parts

    def unpack(self) -> dict[str, Any] | None:
        """The object as it was seen."""
        packed = self.packed  # which may be given up meanwhile
        if packed is None:
            return None
        obj = json.loads(zlib.decompress(packed))
        return obj if isinstance(obj, dict) else None


def pack(resource: Resource, obj: Mapping[str, Any]) -> bytes:
    """A live object as bytes; a node table of 10,000 entries takes about 0.3 MB."""
    meta = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "managedFields"}
    whole = {**obj, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
    return zlib.compress(json.dumps(whole, separators=(",", ":")).encode(), 1)


def _namespace(waiting: PendingRun) -> str | None:
    return waiting.ref.namespace


class PendingRuns:
    """The queue of finished runs. Namespaces take turns, each with its oldest run first. Thread-safe."""

    def __init__(self, *, most_bytes: int = MAX_BYTES, most_runs: int = MAX_RUNS) -> None:
        self._most_bytes = most_bytes
        self._most_runs = most_runs
        self._lock = threading.Lock()
        self._waiting: dict[str, PendingRun] = {}
        self._read: dict[str, str] = {}  # uid -> the end that was read
        self._runs: Counter[str | None] = Counter()  # by namespace
        self._bytes: Counter[str | None] = Counter()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def knows(self, uid: str, mark: str) -> bool:
        """Whether that end of the run waits or was read already."""
        with self._lock:
            return not uid or self._known(uid) == mark

    def _known(self, uid: str) -> str | None:
        waiting = self._waiting.get(uid)
        return waiting.mark if waiting is not None else self._read.get(uid)

    def put(self, ref: ObjectRef, packed: bytes, mark: str) -> None:
        """Queue a run, replacing an earlier end of it. When the queue is full, the newest run of the namespace with the
        most is refused and counted."""
        with self._lock:
            if self._known(ref.uid) == mark:
                return
            if (earlier := self._waiting.get(ref.uid)) is not None:
                self._drop(earlier)
            waiting = PendingRun(ref, packed, mark)
            self._waiting[ref.uid] = waiting
            self._runs[ref.namespace] += 1
            self._bytes[ref.namespace] += len(packed)
            if len(self._waiting) > self._most_runs:
                self._drop(item_to_evict(reversed(self._waiting.values()), _namespace, self._runs))
                self.refused += 1
            while self._bytes.total() > self._most_bytes:
                packed_ones = (w for w in reversed(self._waiting.values()) if w.packed is not None)
                self._drop_object(item_to_evict(packed_ones, _namespace, self._bytes))

    def _drop_object(self, waiting: PendingRun) -> None:
        """Keep its name only, and request the object again when its turn comes."""
        if waiting.packed is not None:
            self._bytes[waiting.ref.namespace] -= len(waiting.packed)
            waiting.packed = None

    def some(self, most: int, *, again: bool) -> list[PendingRun]:
        """The oldest runs of each namespace; those already tried only with ``again``."""
        with self._lock:
            due = (w for w in self._waiting.values() if again or not (w.tries or w.failed))
            return list(islice(round_robin(due, _namespace), most))

    def done(self, waiting: PendingRun) -> None:
        """It was read and stored, or nothing of it can be read."""
        with self._lock:
            self._drop(waiting)
            self._read[waiting.ref.uid] = waiting.mark
            while len(self._read) > REMEMBERED:
                del self._read[next(iter(self._read))]

    def later(self, waiting: PendingRun) -> bool:
        """It was read in part; whether it is worth another try."""
        waiting.tries += 1
        if waiting.tries < MAX_TRIES:
            return True
        self.done(waiting)
        return False

    def put_back(self, waiting: PendingRun) -> None:
        """Requeue a run that the API server could not return. Its namespace comes after all others, so that it delays
        none of them."""
        waiting.failed = True
        with self._lock:
            mine = {uid: w for uid, w in self._waiting.items() if w.ref.namespace == waiting.ref.namespace}
            if mine.get(waiting.ref.uid) is waiting:
                mine[waiting.ref.uid] = mine.pop(waiting.ref.uid)
            for uid, run in mine.items():
                del self._waiting[uid]
                self._waiting[uid] = run

    def forget(self) -> None:
        """Forget which runs were read: each one that is reported again is read again."""
        with self._lock:
            self._read.clear()

    def _drop(self, waiting: PendingRun) -> None:
        if self._waiting.get(waiting.ref.uid) is not waiting:
            return  # a later end of it took its place while it was read
        del self._waiting[waiting.ref.uid]
        self._runs[waiting.ref.namespace] -= 1
        self._drop_object(waiting)
