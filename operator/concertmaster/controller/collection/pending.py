"""Finished runs that wait to be read: packed as they were seen, within a budget of memory.

An object may be deleted seconds after its run has ended, so the last state seen is kept until it is read. Beyond the
budget only its name is kept, and it is listed again when its turn comes. Which runs were read is remembered by uid,
because a watch brings the same object again after every reconnect.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.kube.objects import ObjectRef, Resource

MOST_BYTES = 32 << 20
MOST_RUNS = 20_000
MOST_TRIES = 3  # of a run whose TaskRuns or pods are not all there yet
REMEMBERED = 20_000


@dataclass(slots=True)
class Waiting:
    """One finished run. ``packed`` None: it must be asked for again. ``tries``: readings that found parts missing."""

    ref: ObjectRef
    packed: bytes | None
    tries: int = 0

    def unpack(self) -> dict[str, Any] | None:
        """The object as it was seen."""
        if self.packed is None:
            return None
        found = json.loads(zlib.decompress(self.packed))
        return found if isinstance(found, dict) else None


def pack(resource: Resource, obj: Mapping[str, Any]) -> bytes:
    """A live object as bytes; a node table of 10,000 entries takes about 0.3 MB."""
    meta = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "managedFields"}
    whole = {**obj, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
    return zlib.compress(json.dumps(whole, separators=(",", ":")).encode(), 1)


class Pending:
    """The queue, oldest first. Safe to use from several threads."""

    def __init__(self, *, most_bytes: int = MOST_BYTES, most_runs: int = MOST_RUNS) -> None:
        self._most_bytes = most_bytes
        self._most_runs = most_runs
        self._lock = threading.Lock()
        self._waiting: dict[str, Waiting] = {}
        self._read: dict[str, None] = {}
        self._bytes = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def knows(self, uid: str) -> bool:
        """Whether that run waits or was read already."""
        with self._lock:
            return not uid or uid in self._read or uid in self._waiting

    def put(self, ref: ObjectRef, packed: bytes) -> None:
        """Let a run wait. When too many do, it is refused and counted."""
        with self._lock:
            if ref.uid in self._read or ref.uid in self._waiting:
                return
            if len(self._waiting) >= self._most_runs:
                self.refused += 1
                return
            fits = self._bytes + len(packed) <= self._most_bytes
            self._bytes += len(packed) if fits else 0
            self._waiting[ref.uid] = Waiting(ref, packed if fits else None)

    def some(self, most: int, *, again: bool) -> list[Waiting]:
        """The oldest runs; those already tried only with ``again``."""
        with self._lock:
            return [w for w in self._waiting.values() if again or not w.tries][:most]

    def done(self, waiting: Waiting) -> None:
        """It was read and stored, or there is nothing to be had of it."""
        with self._lock:
            self._drop(waiting)
            self._read[waiting.ref.uid] = None
            while len(self._read) > REMEMBERED:
                del self._read[next(iter(self._read))]

    def later(self, waiting: Waiting) -> bool:
        """It was read in part; whether it is worth another try."""
        waiting.tries += 1
        if waiting.tries < MOST_TRIES:
            return True
        self.done(waiting)
        return False

    def forget(self) -> None:
        """Take every run that comes again for a new one."""
        with self._lock:
            self._read.clear()

    def _drop(self, waiting: Waiting) -> None:
        gone = self._waiting.pop(waiting.ref.uid, None)
        if gone is not None and gone.packed is not None:
            self._bytes -= len(gone.packed)
