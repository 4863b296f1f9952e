"""Runs in progress: the watch reports which exist, and once per cycle some of their objects are read.

Objects of running workflows change every few seconds and may be a megabyte, so that the watch keeps their names only.
Namespaces take turns: thousands of runs in one of them delay what is known of the others by nothing.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from concertmaster.controller.health import Heartbeat
from concertmaster.controller.live.run_objects import UNREADABLE, RunObjects
from concertmaster.core.fair_share import item_to_evict, round_robin
from concertmaster.core.model import RunRecord, WorkflowKey, without_pauses
from concertmaster.engines import Claims, ended, whole_run
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import ObjectRef

MAX_KNOWN = 5000
MAX_READ = 50  # per cycle, of each namespace those not read for longest first
MAX_READ_SECONDS = 5.0  # seconds


@dataclass(slots=True)
class _Known:
    ref: ObjectRef
    key: WorkflowKey
    read_at: float = 0.0
    record: RunRecord | None = None


def _namespace(run: _Known) -> str:
    return run.key.namespace


class RunsInProgress:
    """``note`` and ``over`` are called from the watch's thread, ``refresh`` from the cycle's."""

    def __init__(self, read: Callable[[ObjectRef], RunRecord | None]) -> None:
        """``read`` gives the run as it is now, None when it is over or gone."""
        self._read = read
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._amounts: Counter[str | None] = Counter()  # of these, by namespace
        self._passed: dict[str, None] = {}  # uids that were examined
        self._paused: dict[str, set[float]] = {}  # since when (unix seconds) runs were seen to be suspended, by uid
        self._keys: Collection[WorkflowKey] = ()

    def unknown(self, refs: Iterable[ObjectRef]) -> list[ObjectRef]:
        """Those of ``refs`` nobody has examined yet, at most ``MAX_READ``."""
        with self._lock:
            new = (r for r in refs if r.uid not in self._known and r.uid not in self._passed)
            return list(itertools.islice(round_robin(new, lambda ref: ref.namespace), MAX_READ))

    def examined(self, uid: str) -> None:
        """A run was read, or is gone."""
        with self._lock:
            self._passed[uid] = None
            while len(self._passed) > MAX_KNOWN:
                del self._passed[next(iter(self._passed))]

    def note(self, ref: ObjectRef, key: WorkflowKey) -> None:
        """Record that a run of an observed workflow is in progress. Beyond ``MAX_KNOWN`` the namespace with the most runs
        loses one."""
        with self._lock:
            if ref.uid in self._known:
                return
            self._known[ref.uid] = run = _Known(ref, key)
            self._amounts[_namespace(run)] += 1
            if (
                len(self._known) > MAX_KNOWN
            ):  # as with each event of each run of a flood, so it must cost next to nothing
                self._drop(item_to_evict(reversed(self._known.values()), _namespace, self._amounts).ref.uid)

    def over(self, uid: str) -> None:
        """A run has ended."""
        with self._lock:
            self._drop(uid)

    def paused(self, uid: str, record: RunRecord) -> RunRecord:
        """The run with the times in which it was seen to be suspended as pauses: until its next pod."""
        since = self._paused.get(uid, ())
        created = sorted([e.created for e in record.steps if e.created is not None])
        seen = {(begin, end) for begin in since if (end := next((t for t in created if t > begin), None)) is not None}
        return replace(record, pauses=tuple(sorted({*record.pauses, *seen}))) if seen else record

    def _note_pauses(self, uid: str, record: RunRecord) -> None:
        if since := {begin for begin, end in record.pauses if begin == end}:
            self._paused.setdefault(uid, set()).update(since)
            while len(self._paused) > MAX_KNOWN:
                del self._paused[next(iter(self._paused))]

    def _drop(self, uid: str) -> None:
        if (run := self._known.pop(uid, None)) is not None:
            self._amounts[_namespace(run)] -= 1

    def refresh(
        self, keys: Collection[WorkflowKey], heartbeat: Heartbeat, report: Callable[[str], None]
    ) -> Mapping[WorkflowKey, tuple[RunRecord, ...]]:
        """The runs in progress of the workflows ``keys``, each as it was last read. ``report`` is called with the reason
        when one could not be read."""
        with self._lock:
            if keys != self._keys:  # a run without an observed workflow may have one now
                self._passed.clear()
                self._keys = keys
            self._known = {uid: run for uid, run in self._known.items() if run.key in keys}
            self._amounts = Counter[str | None](map(_namespace, self._known.values()))
            longest_ago = sorted(self._known.values(), key=lambda run: run.read_at)
            due = list(itertools.islice(round_robin(longest_ago, _namespace), MAX_READ))
        begun = time.monotonic()
        for run in due:
            if time.monotonic() - begun >= MAX_READ_SECONDS:
                break
            heartbeat("live")
            run.read_at = time.monotonic()  # also where that fails: the others come first in the next cycle
            try:
                record = self._read(run.ref)
            except KubeError as error:
                report(f"runs in progress are not read: {error}")
                if error.retryable:
                    break
                continue
            if record is None:
                run.record = None
                self.over(run.ref.uid)
                continue
            self._note_pauses(run.ref.uid, record)
            run.record = without_pauses(self.paused(run.ref.uid, record))
        runs: dict[WorkflowKey, tuple[RunRecord, ...]] = {}
        with self._lock:
            for run in self._known.values():
                if run.record is not None:
                    runs[run.key] = (*runs.get(run.key, ()), run.record)
        return runs


def as_it_is(ref: ObjectRef, objects: RunObjects, claims: Claims) -> RunRecord | None:
    """A run in progress as it is now; None when it is over, gone or cannot be read. Raises KubeError."""
    raw = objects.listed(ref)
    definition = claims.of(raw) if raw is not None else None
    if raw is None or definition is None or ended(raw):
        return None
    try:
        run = whole_run(raw, definition, objects.children(ref, raw)[0])
    except UNREADABLE:
        return None  # reported when it has ended
    if run is None:
        return None
    record = run.record
    return replace(record, start=record.start if record.start is not None else run.started)
