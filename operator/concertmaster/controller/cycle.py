"""One cycle: look at everything once, find out what is new, write only that.

Each stage isolates its faults: a source that is down, a kind that cannot be listed, a profile that cannot be parsed or
an analysis that fails is told in the condition of whoever it concerns, and the others go on. The cycle is plain
synchronous code in one thread.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from time import perf_counter
from typing import Any, TypeVar

from concertmaster.api.conditions import Reason
from concertmaster.controller.changes.reconciler import Changes
from concertmaster.controller.cycle_log import CycleLog
from concertmaster.controller.discovery import write_access as rights
from concertmaster.controller.discovery.policies import PolicyFacts, policy_status
from concertmaster.controller.discovery.subject import Subject, facts_by_policy
from concertmaster.controller.health import Health
from concertmaster.controller.interfaces import CollectionRequest, History, Live, SourceReport, Sources
from concertmaster.controller.malloc import give_back
from concertmaster.controller.profiles import status_update as assess
from concertmaster.controller.profiles.assessor import Assessor, CycleCounts
from concertmaster.controller.registry import Entry, Registry, StatusView
from concertmaster.controller.snapshot import ClusterSnapshot, SnapshotBuilder
from concertmaster.controller.telemetry import Telemetry
from concertmaster.controller.watchdog import Watchdog
from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.policy import PolicyRef
from concertmaster.core.rules import RULES
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.errors import Stopped
from concertmaster.kube.events import EventRecorder
from concertmaster.kube.writer import StatusResult, StatusUpdate, StatusWriter, Written, digest

log = logging.getLogger("concertmaster.cycle")

_BATCH = 50  # documents made before they are written: bounds memory and shows first advice early
_QUIET = 0.9  # of the interval: a cycle that starts sooner than that after the last reading was woken by a change
_KEPT_UNREAD = (200, 14 * 86400.0)  # runs and seconds of a profile whose policy is not known: the defaults
_SETTLE_TRIES = 40
_SETTLE_PAUSE = 0.25  # seconds between looks at a registry that is still being filled
_T = TypeVar("_T")


class Cycle:
    """Everything one cycle needs. Calling it runs one; True means that it wants to run again at once."""

    def __init__(
        self,
        *,
        registry: Registry,
        watchdog: Watchdog,
        stage: SnapshotBuilder,
        sources: Sources,
        history: History,
        assessor: Assessor,
        writer: StatusWriter,
        events: EventRecorder,
        access: AccessChecker,
        health: Health,
        telemetry: Telemetry,
        interval: float,
        live: Live | None = None,
        changes: Changes | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._registry = registry
        self._watchdog = watchdog
        self._stage = stage
        self._sources = sources
        self._history = history
        self._assessor = assessor
        self._writer = writer
        self._events = events
        self._access = access
        self._health = health
        self._telemetry = telemetry
        self._interval = interval
        self._live = live
        self._changes = changes
        self._clock = clock
        self._sleep = sleep
        self._collected: dict[str, float] = {}
        self._reports: dict[str, SourceReport] = {}
        self._tidied: float | None = None

    def __call__(self) -> bool:
        """Run one cycle. Raises KindsLost; every other fault is told and isolated."""
        begun = perf_counter()
        record, tally = CycleLog(), CycleCounts()
        now = self._clock()
        if trouble := self._history.reopen():
            record.problem(trouble)
        with record.stage("watch", self._telemetry):
            complete = self._watch(record)
        if not complete:
            self._finish(record, tally, None, [], begun)
            return False
        with record.stage("discover", self._telemetry):
            scene = self._stage.look(discovering=True, beat=lambda: self._health.beat("discover"))
            subjects = self._assessor.subjects(scene)
        self._telemetry.learned(self._assessor.learned.ledger)
        record.problems += scene.notes
        with record.stage("collect", self._telemetry):
            self._collect(self._assessor.demands(subjects, now, due=True), now, record)
            self._runs(subjects, record)
        # Analysing and writing are one stream, a batch at a time; the time of the writes is told apart.
        with record.stage("analyze", self._telemetry):
            self._profiles(subjects, now, record, tally)
        with record.stage("changes", self._telemetry):
            flying = self._change(scene, subjects, now, record)
        with record.stage("policies", self._telemetry):
            self._policies(scene, subjects, flying, now, record)
        self._tidy(subjects, now, record)
        self._finish(record, tally, scene, subjects, begun)
        give_back()
        return self._assessor.again or any(report.more for report in self._reports.values())

    # --- stages -------------------------------------------------------------------------------------------------------

    def _watch(self, record: CycleLog) -> bool:
        """Whether the registry holds all there is. Just after the start it is given time to fill."""
        for _ in range(_SETTLE_TRIES):
            self._health.beat("watch")
            watched = self._watchdog.check()
            if watched.complete or watched.problems:
                break
            self._sleep(_SETTLE_PAUSE)
        for problem in watched.problems:
            record.problem(problem)
        if not watched.complete and not watched.problems:
            record.problem("the watches are behind the cluster; nothing is decided on half a picture")
        return watched.complete

    def _collect(self, demands: Sequence[CollectionRequest], now: float, record: CycleLog) -> None:
        """Read every source that is asked for; reports of sources nobody asks for any more are dropped."""
        found: dict[str, SourceReport] = {}
        for demand in demands:
            due = not self._recent(self._collected.get(demand.source), now, _QUIET * self._interval)
            try:
                report = self._sources.collect(
                    CollectionRequest(demand.source, demand.workflows, demand.window_seconds, now, due),
                    self._health.beat,
                )
            except Stopped:
                raise
            except Exception as error:
                log.exception("reading source %s failed in an unexpected way", demand.source)
                report = self._broken(demand.source, error)
            if due:
                self._collected[demand.source] = now
            found[demand.source] = report
            self._show(report)
            if not report.ok:
                record.problem(report.message)
        self._reports = found
        for report in found.values():
            self._assessor.take_in(report.changed)

    @staticmethod
    def _recent(moment: float | None, now: float, seconds: float) -> bool:
        """Whether ``moment`` was less than ``seconds`` ago. One to come was never: the clock was set back since."""
        return moment is not None and 0.0 <= now - moment < seconds

    def _runs(self, subjects: Sequence[Subject], record: CycleLog) -> None:
        """Finished runs from the engines' own objects, where that is wanted."""
        if self._live is None:
            return
        definitions = [s.resolved.definition for s in subjects if s.resolved.definition is not None]
        try:
            seen = self._live.look(definitions, self._health.beat)
        except Stopped:
            raise
        except Exception as error:
            log.exception("reading live runs failed in an unexpected way")
            record.problem(f"reading live runs failed ({type(error).__name__}); the operator's log has the details")
            return
        self._assessor.take_in(seen.changed)
        self._assessor.hear(seen.told)
        record.problems += seen.notes  # what live objects do not tell, the metrics do: no failure of the cycle

    def _broken(self, source: str, error: Exception) -> SourceReport:
        """A report for a fault of our own, keeping what was known."""
        before = self._reports.get(source)
        return SourceReport(
            source,
            ok=False,
            reason=Reason.SOURCE_UNREACHABLE,
            message=f"reading source {source} failed ({type(error).__name__}); the operator's log has the details",
            data_until=before.data_until if before is not None else None,
        )

    def _show(self, report: SourceReport) -> None:
        t = self._telemetry
        t.queries.labels(report.source).inc(report.queries)
        t.source_up.labels(report.source).set(1 if report.ok else 0)
        if report.data_until is not None:
            t.data_until.labels(report.source).set(report.data_until)
        for reason, count in report.unassigned.items():
            t.unassigned.labels(reason).set(count)

    def _profiles(self, subjects: Sequence[Subject], now: float, record: CycleLog, tally: CycleCounts) -> None:
        entries = {s.entry.uid: s.entry for s in subjects}
        updates = self._assessor.updates(subjects, self._reports, now, tally, self._health.beat)
        ready: Counter[str] = Counter()
        for batch in _batches(updates, _BATCH):
            self._write("profile", batch, entries, record)
        for entry in self._registry.snapshot().profiles:
            ready[_ready_state(entry)] += 1
        for state in ("True", "False", "Unknown"):
            self._telemetry.profiles.labels(state).set(ready[state])
        self._telemetry.analyzed.inc(tally.analyzed)
        self._telemetry.failures.labels("analyze").inc(tally.failed)
        record.failed = record.failed or tally.failed > 0

    def _change(
        self, scene: ClusterSnapshot, subjects: Sequence[Subject], now: float, record: CycleLog
    ) -> Mapping[PolicyRef, int]:
        """What policies allow to be changed, and the proof of what was; the number in flight by policy."""
        if self._changes is None:
            return {}
        until = {name: report.data_until for name, report in self._reports.items()}
        outcome = self._changes(scene, subjects, until, now, self._health.beat)
        for problem in outcome.problems:
            record.problem(problem)
        if outcome.tally is not None:
            self._telemetry.changes.observe(outcome.tally)
        return outcome.in_flight

    def _policies(
        self,
        scene: ClusterSnapshot,
        subjects: Sequence[Subject],
        flying: Mapping[PolicyRef, int],
        now: float,
        record: CycleLog,
    ) -> None:
        tallies = facts_by_policy(subjects)
        rules = [rule.name for rule in RULES]
        updates: list[StatusUpdate] = []
        for view in scene.book.views:
            self._health.beat("policies")
            tally = tallies.get(view.ref)
            facts = PolicyFacts(
                matched=tally.matched if tally else 0,
                losing=tally.losing if tally else 0,
                targets=frozenset(tally.targets) if tally else frozenset(),
                problems=tuple(tally.problems) if tally else (),
                discovered=scene.discovered.get(view.ref, 0),
                changes_in_flight=flying.get(view.ref, 0),
                obstacles=scene.obstacles.get(view.ref, ()),
            )
            status = policy_status(
                view,
                facts,
                sources=self._sources.names(),
                reports=self._reports,
                rules=rules,
                write_access=lambda policy, known: rights.write_access(self._access, policy, known),
                now=now,
            )
            updates.append(StatusUpdate(view.entry.ref, status, view.entry.status.digest))
        self._write("policy", updates, {v.entry.uid: v.entry for v in scene.book.views}, record)
        states = Counter(
            _ready_state(e) for s in [self._registry.snapshot()] for e in (*s.policies, *s.cluster_policies)
        )
        for state in ("True", "False", "Unknown"):
            self._telemetry.policies.labels(state).set(states[state])

    def _write(
        self, kind: str, updates: Sequence[StatusUpdate], entries: Mapping[str, Entry], record: CycleLog
    ) -> None:
        begun = perf_counter()
        self._health.beat("write")

        def done(result: StatusResult) -> None:
            self._health.beat("write")
            self._telemetry.writes.labels(kind, result.outcome.value).inc()
            record.writes[result.outcome.value] += 1
            if result.outcome is Written.WRITTEN:
                self._written(entries[result.ref.uid], result.status or {})
            elif result.outcome in (Written.FAILED, Written.REJECTED, Written.TOO_LARGE):
                record.problem(f"{result.ref}: {result.message}")

        self._writer.write(updates, done)
        seconds = perf_counter() - begun
        self._telemetry.stage_seconds.labels("write").observe(seconds)
        record.seconds["write"] = round(record.seconds.get("write", 0.0) + seconds, 3)

    def _written(self, entry: Entry, status: Mapping[str, Any]) -> None:
        self._registry.wrote(entry.uid, status)
        self._assessor.holds(entry.uid, StatusView.of(status))
        if digest(status) == entry.status.digest:
            return
        for note in assess.notes(entry, status):
            self._telemetry.events.labels(self._events.post(note).value).inc()

    def _tidy(self, subjects: Sequence[Subject], now: float, record: CycleLog) -> None:
        """Once an hour: forget workflows without a profile, and runs nobody's window reaches."""
        if self._recent(self._tidied, now, 3600.0):
            return
        keep: dict[WorkflowKey, tuple[int, float]] = {}
        for s in subjects:
            runs, window = keep.get(s.key, _KEPT_UNREAD)
            if s.policy is not None:
                analysis = s.policy.analysis
                runs, window = max(runs, analysis.max_runs), max(window, analysis.window_seconds)
            keep[s.key] = (runs, window)
        try:
            self._history.tidy(keep, now)
        except Exception as error:  # noqa: BLE001 - a full disk must not stop advice
            record.problem(f"tidying the history failed: {error}")
        self._tidied = now

    def _finish(
        self,
        record: CycleLog,
        tally: CycleCounts,
        scene: ClusterSnapshot | None,
        subjects: Sequence[Subject],
        begun: float,
    ) -> None:
        seconds = perf_counter() - begun
        t = self._telemetry
        t.cycle_seconds.observe(seconds)
        t.cycles.labels("failure" if record.failed else "success").inc()
        if not record.failed:
            t.last_success.set(self._clock())
        more = {"created": scene.created, "withdrawn": scene.withdrawn} if scene and scene.changed else {}
        record.log(
            seconds,
            profiles=len(subjects),
            policies=len(scene.book.views) if scene else 0,
            targets=len(scene.targets) if scene else 0,
            analyzed=tally.analyzed,
            held=tally.held,
            queries=sum(r.queries for r in self._reports.values()),
            **more,
        )


def _batches(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while batch := list(islice(items, size)):
        yield batch


def _ready_state(entry: Entry) -> str:
    return next((str(c.get("status")) for c in entry.status.conditions if c.get("type") == "Ready"), "Unknown")
