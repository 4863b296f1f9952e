"""Live runs into the history: finished runs are read while their objects exist, and kept.

The watch delivers objects in its own thread, where only their end and owner are examined. Reading them, and listing the
TaskRuns or pods that belong to them, is work for the cycle's thread, a bounded part at a time: after each burst of
finished runs and once per cycle. Nothing is ever written to these objects.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.health import Heartbeat
from concertmaster.controller.live.earlier_runs import EarlierRuns
from concertmaster.controller.live.in_progress import RunsInProgress, as_it_is
from concertmaster.controller.live.pending_runs import PendingRun, PendingRuns, pack
from concertmaster.controller.live.run_kinds import RunKinds
from concertmaster.controller.live.run_objects import UNREADABLE, RunObjects
from concertmaster.controller.live.run_watch import WatchPlan
from concertmaster.core.model import InputSource, RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.config_maps import NamedConfigMaps
from concertmaster.core.stable_findings import StableFindings
from concertmaster.engines import (
    Claims,
    LiveRun,
    children,
    end_alone,
    end_mark,
    ended,
    whole_run,
)
from concertmaster.history import HistoryDamaged, HistoryError
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError
from concertmaster.kube.nesting import TooDeep, check_depth
from concertmaster.kube.objects import ObjectRef, Resource

log = logging.getLogger("concertmaster.live")

MAX_BATCH_RUNS = 50  # runs per turn in the cycle's thread
MAX_READ_SECONDS = 10.0
MAX_BATCH_STEPS = 20_000  # of the runs of one turn: they are held until they are stored
_PAGE = 20  # run objects per page of a list: one may be a megabyte
_NOTES = 20

Covered = tuple[WorkflowKey, tuple[InputSource, ...]]
"""A workflow and where its input sizes stand: runs are read again when either is new."""


@dataclass(frozen=True, slots=True)
class LiveRunsReport:
    """Live runs since the last cycle: workflows with new records, and sentences about what live objects lack and why:
    ``notes`` on all of them, ``by_workflow`` on the latest runs of single workflows. ``running``: runs in progress as
    they are now. ``config_maps``: those that workflows name; None where they could not be read yet. ``problem``: why nothing
    of it was read (empty: it was)."""

    changed: frozenset[WorkflowKey] = frozenset()
    notes: tuple[str, ...] = ()
    by_workflow: Mapping[WorkflowKey, tuple[str, ...]] = field(default_factory=dict)
    running: Mapping[WorkflowKey, tuple[RunRecord, ...]] = field(default_factory=dict)
    config_maps: Mapping[WorkflowKey, NamedConfigMaps | None] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Read:
    """The result of reading one run. ``whole``: no later reading could add anything. ``problems``: what is unusual about
    it, by a key that is the same for the same problem in another run; nothing is recorded for a workflow without ``key``."""

    waiting: PendingRun
    record: RunRecord | None = None
    whole: bool = True
    key: WorkflowKey | None = None
    problems: Mapping[str, str] = field(default_factory=dict)


def _problems(run: str, problems: Sequence[str]) -> dict[str, str]:
    """Problems of a run by what is left of them without its name."""
    return {problem.replace(run, "*"): problem for problem in problems}


class LiveRuns:
    """Reads finished runs while their objects exist. ``accepts`` and ``take`` are called from the watch's thread,
    everything else from the cycle's. ``follow`` is called in every cycle with what to watch; ``count`` with "complete",
    "end" (only how the run ended is known) or "unreadable"."""

    def __init__(
        self,
        client: KubeClient,
        kinds: RunKinds,
        history: HistoryProvider,
        *,
        count: Callable[[str], None] = lambda _: None,
        pending: PendingRuns | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._objects = RunObjects(client)
        self._kinds = kinds
        self._history = history
        self._count = count
        self._pending = PendingRuns() if pending is None else pending
        self._clock = clock
        self._claims = Claims()
        self._covered: frozenset[Covered] = frozenset()
        self._earlier: EarlierRuns[Covered] = EarlierRuns(clock)
        self._changed: set[WorkflowKey] = set()
        self._notes: dict[str, None] = {}
        self._findings: StableFindings[WorkflowKey] = StableFindings()
        self._store = history.store
        self._watch = WatchPlan()
        self._in_progress = RunsInProgress(lambda ref: as_it_is(ref, self._objects, self._claims))
        self.follow: Callable[[WatchPlan], None] = lambda _: None

    # --- the watch's thread -------------------------------------------------------------------------------------------

    def accepts(self, resource: Resource, obj: Mapping[str, Any]) -> bool:
        """Whether this is a finished run of an observed workflow that was not read yet."""
        uid = str((obj.get("metadata") or {}).get("uid", ""))
        if self._pending.knows(uid, end_mark(obj)):
            return False
        try:
            check_depth(obj)
        except TooDeep as error:
            self._note(f"{ObjectRef.of(resource, obj)} is left out: {error}")
            return False
        raw = {**obj, "apiVersion": resource.api_version, "kind": resource.kind}
        if (definition := self._claims.of(raw)) is None:
            return False
        if not ended(raw):
            self._in_progress.note(ObjectRef.of(resource, obj), definition.key)
            return False
        self._in_progress.over(uid)
        return True

    def take(self, resource: Resource, obj: Mapping[str, Any], packed: bytes) -> None:
        """Queue a run."""
        self._pending.put(ObjectRef.of(resource, obj), packed, end_mark(obj))

    # --- the cycle's thread -------------------------------------------------------------------------------------------

    def refresh(self, definitions: Sequence[WorkflowDefinition], heartbeat: Heartbeat) -> LiveRunsReport:
        """Called once per cycle with the workflows that are observed now. Returns what has been read since, and what
        could not be."""
        self._claims = Claims(definitions)
        self._findings.keep_only(self._claims.keys)
        self._kinds.refresh(self._claims.kinds)
        renewed = self._history.store is not self._store
        if renewed or self._kinds.present != self._watch.kinds:
            if renewed:  # an empty history: everything that still exists is read once more
                self._store = self._history.store
                self._pending.forget()
            self._watch = WatchPlan(self._kinds.present, self._watch.edition + renewed)
            self._covered = self._reading(definitions)
        else:
            self._catch_up(self._reading(definitions), heartbeat)
        self.follow(self._watch)
        self.read(heartbeat, again=True)
        self._find_running()
        running = self._in_progress.refresh(self._claims.keys, heartbeat, self._note)
        changed, self._changed = frozenset(self._changed), set()
        notes, self._notes = (*self._kinds.notes, *self._notes), {}
        if self._pending.refused:
            notes = (*notes, f"{self._pending.refused} finished runs at once were too many to be read live")
            self._pending.refused = 0
        return LiveRunsReport(changed, notes, self._findings.all, running)

    def read(self, heartbeat: Heartbeat = lambda _: None, *, again: bool = False) -> bool:
        """Read some of the waiting runs; True when it is worth going on at once."""
        begun = self._clock()
        read: list[_Read] = []
        steps = 0
        for waiting in self._pending.some(MAX_BATCH_RUNS, again=again):
            if read and (self._clock() - begun >= MAX_READ_SECONDS or steps >= MAX_BATCH_STEPS):
                break
            heartbeat("live")
            try:
                read.append(self._record(waiting))
                steps += len(read[-1].record.steps) if read[-1].record is not None else 0
            except KubeError as error:
                self._note(f"live runs wait to be read: {error}")
                self._pending.put_back(waiting)
                if error.retryable:  # the server is away, or too busy with this one
                    break
        return self._keep(read) and bool(self._pending.some(1, again=False))

    def _keep(self, read: Sequence[_Read]) -> bool:
        """Store what was read; only then does it stop waiting."""
        records = [one.record for one in read if one.record is not None]
        if records:
            try:
                self._changed |= self._history.store.add({}, records=records)
            except HistoryDamaged as error:
                log.error("%s", error)
                self._history.renew()
                return False
            except HistoryError as error:
                self._note(f"live runs wait to be stored: {error}")
                return False
        for one in read:
            if one.whole or not self._pending.later(one.waiting):
                record = one.record
                self._count("unreadable" if record is None else "complete" if record.steps else "end")
                self._pending.done(one.waiting)
                if one.key is not None:
                    self._findings.learn(one.key, one.problems)
        return bool(read)

    def _record(self, waiting: PendingRun) -> _Read:
        """One run, read as far as it can be now."""
        raw = waiting.unpack() or self._objects.listed(waiting.ref)
        definition = self._claims.of(raw) if raw is not None else None
        if raw is None or definition is None:
            return _Read(waiting)
        name, key = waiting.ref.name, definition.key
        try:
            parts, missing = self._objects.children(waiting.ref, raw)
            workloads = self._objects.workloads(waiting.ref, raw, self._kinds.workloads)
            run = whole_run(raw, definition, parts, workloads)
            if run is None:
                return _Read(waiting)
            if run.complete:
                record = self._in_progress.paused(waiting.ref.uid, run.record)
                return _Read(waiting, record, key=key, problems=_problems(name, run.problems))
        except UNREADABLE as error:  # costs this run, not the cycle
            log.error("reading %s failed", waiting.ref, exc_info=error)
            text = f"{waiting.ref} cannot be read ({type(error).__name__}); the operator's log has the details"
            self._note(text)
            return _Read(waiting, key=key, problems=_problems(name, (text,)))
        why = self._note_missing(waiting.ref, run, missing)
        whole = children(raw) is None
        return _Read(waiting, end_alone(run), whole, key, _problems(name, run.problems or (f"of run {name} {why}",)))

    def _find_running(self) -> None:
        """Find runs in progress of kinds whose watch delivers finished runs only. They are listed by name first, because
        whole objects are large."""
        for kind in (k for k in self._watch.kinds if k.selector is not None):
            going = str(kind.selector).replace("=", "!=", 1)
            for path in map(kind.resource.path, self._kinds.places):
                try:
                    listed = self._client.items(path, label_selector=going, metadata_only=True)
                    for ref in self._in_progress.unknown(ObjectRef.of(kind.resource, o) for o in listed):
                        if (raw := self._objects.listed(ref)) is not None:
                            self.accepts(kind.resource, raw)
                        self._in_progress.examined(ref.uid)
                except KubeError as error:
                    self._note(f"runs in progress are not known: {error}")
                    if error.retryable:
                        break

    @staticmethod
    def _reading(definitions: Sequence[WorkflowDefinition]) -> frozenset[Covered]:
        return frozenset((d.key, d.inputs) for d in definitions)

    def _catch_up(self, observed: frozenset[Covered], heartbeat: Heartbeat) -> None:
        """Read runs that had ended before their workflow got a profile, or its ``spec.inputs``: the watch reported them
        and they were skipped."""
        wanted: dict[str, frozenset[Covered]] = {}
        for new in observed - self._covered:
            wanted[new[0].namespace] = wanted.get(new[0].namespace, frozenset()) | {new}
        listed, errors = self._earlier.advance(wanted, self._list, heartbeat)
        for namespace, error in errors.items():
            self._note(f"finished runs in namespace {namespace} are not known yet: {error}")
        self._covered = observed & (self._covered | listed)

    def _list(self, namespace: str) -> Iterator[None]:
        """Queue the finished runs of a namespace, one by one."""
        self._pending.forget()  # also runs of a workflow whose history was dropped and which has a profile again
        for kind in self._watch.kinds:
            for obj in self._client.items(kind.resource.path(namespace), label_selector=kind.selector, chunk=_PAGE):
                if self.accepts(kind.resource, obj):
                    self._pending.put(ObjectRef.of(kind.resource, obj), pack(kind.resource, obj), end_mark(obj))
                yield

    # --- notes --------------------------------------------------------------------------------------------------------

    def lost(self, error: BaseException) -> None:
        """Called when the watch ended by a fault; the next cycle determines what can be watched and restarts it."""
        self._kinds.doubt()
        self._note(f"the watch of runs ended and is started again: {type(error).__name__}: {str(error)[:200]}")

    def _note_missing(self, ref: ObjectRef, run: LiveRun, missing: str) -> str:
        why = missing or "; ".join(run.problems[:2]) or run.reason or "the steps are not all there"
        why = f"only the end is known live: {why}"
        self._note(f"of {ref} {why}")
        return why

    def _note(self, text: str) -> None:
        if len(self._notes) < _NOTES:
            self._notes[text] = None
