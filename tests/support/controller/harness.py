"""A whole cycle with fakes: an API server in memory, a metrics source that can fail, and an analysis that counts
runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, cast

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.controller.archive.archived_runs import ArchivedRuns, ArchiveReport, Reach
from concertmaster.controller.collection.gaps import Outages
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.sources import MetricsSources
from concertmaster.controller.collector import Collector
from concertmaster.controller.cycle import Cycle
from concertmaster.controller.discovery.time_shares import TimeShares
from concertmaster.controller.health import Health, Heartbeat
from concertmaster.controller.live.live_runs import LiveRuns, LiveRunsReport
from concertmaster.controller.object_cache import ObjectCache
from concertmaster.controller.policy_statuses import PolicyStatuses
from concertmaster.controller.profiles.outputs import Outputs
from concertmaster.controller.profiles.reconciler import ProfileReconciler
from concertmaster.controller.profiles.request import AnalysisRequest, Analyzer, ProfileAnalysis
from concertmaster.controller.profiles.status_events import status_events
from concertmaster.controller.reporting.notifier import Notifier
from concertmaster.controller.reporting.publisher import Publisher
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.controller.shards.shard import Shard
from concertmaster.controller.snapshot import SnapshotBuilder
from concertmaster.controller.source_report import CollectionRequest, SourceReport
from concertmaster.controller.watches.watchdog import Watchdog
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import DailyPeaks, Outcome, RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.daily import RUN, DailyRow, LongTermFigures
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.engines import decided_at
from concertmaster.history import KeptAnalysis, RunsDigest
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.events import EventRecorder
from concertmaster.kube.objects import (
    CLUSTER_POLICIES,
    NAMESPACES,
    OWN_KINDS,
    POLICIES,
    PROFILES,
    Resource,
)
from concertmaster.kube.writer import StatusWriter
from concertmaster.notify.sender import Sender
from tests.support.builders import run_record
from tests.support.controller.fakes import MemoryClient
from tests.support.resources import CRONJOB

NOW = 1_760_000_000.0
INTERVAL = 300.0


@dataclass
class FakeSources:
    """Sources that return a prepared report; ``broken`` ones raise, which a real one never should."""

    reports: dict[str, SourceReport] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    asked: list[CollectionRequest] = field(default_factory=list)
    changed: set[WorkflowKey] = field(default_factory=set)
    answered: set[WorkflowKey] = field(default_factory=set)
    extra_problem: str = ""
    order: list[str] = field(default_factory=list)  # calls made by the cycle, in order
    begun: int = 0  # cycles of users' queries

    def names(self) -> Sequence[str]:
        return tuple(self.reports)

    def allows(self, source: str, namespace_labels: Mapping[str, str]) -> bool:
        return source not in self.denied or namespace_labels.get("trusted") == "true"

    def collect(self, request: CollectionRequest, heartbeat: Heartbeat) -> SourceReport:
        self.asked.append(request)
        self.order.append("collect")
        heartbeat("collect")
        if request.source in self.broken:
            raise RuntimeError("a fault of our own")
        report = replace(self.reports[request.source], changed=frozenset(self.changed))
        self.changed.clear()
        return report

    def store_read_ahead(self, now: float) -> None:
        """Nothing is asked for ahead."""

    def begin_queries(self) -> None:
        self.begun += 1

    def run_user_queries(self, request: CollectionRequest, report: SourceReport, heartbeat: Heartbeat) -> SourceReport:
        self.order.append("queries")
        answered = frozenset(self.answered)
        self.answered.clear()
        return replace(report, changed=report.changed | answered, answered=answered)

    def extras(
        self,
        source: str,
        definition: WorkflowDefinition,
        metrics: Sequence[ExtraMetric],
        runs: Sequence[RunRecord],
        *,
        now: float,
        window: float,
    ) -> tuple[Sequence[RunRecord], str]:
        return runs, self.extra_problem


@dataclass
class FakeHistory:
    """Runs by workflow name."""

    runs_of: dict[str, list[RunRecord]] = field(default_factory=dict)
    tidied: list[dict[WorkflowKey, tuple[int, float]]] = field(default_factory=list)
    problem: str = ""
    kept: dict[str, bytes] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    figures: dict[WorkflowKey, LongTermFigures] = field(default_factory=dict)
    peaks: DailyPeaks = field(default_factory=DailyPeaks)
    marks: dict[str, float] = field(default_factory=dict)

    @property
    def store(self) -> FakeHistory:
        """What is open at present."""
        return self

    def watermarks(self, source: str) -> Mapping[str, float]:
        return dict(self.marks)

    def set_watermark(self, source: str, shard: str, until: float) -> None:
        self.marks[shard] = until

    def drop_watermarks(self, source: str, shards: Iterable[str]) -> None:
        for shard in shards:
            del self.marks[shard]

    def recorded(self, key: WorkflowKey) -> float:
        return max((row.until for row in self.figures[key].rows), default=0.0) if key in self.figures else 0.0

    def largest(self, key: WorkflowKey, since: float) -> DailyPeaks:
        return self.peaks

    def days(self, key: WorkflowKey, since: float, *, steps: bool) -> Sequence[DailyRow]:
        return [r for r in self.figures[key].rows if steps or r.step == RUN] if key in self.figures else []

    def record(self, key: WorkflowKey, figures: LongTermFigures) -> None:
        self.figures[key] = figures

    def runs(
        self, definition: WorkflowDefinition, *, limit: int, since: float, as_of: float, until: float = inf
    ) -> Sequence[RunRecord]:
        return self.runs_of.get(definition.key.name, [])

    def runs_with_figures(
        self, definition: WorkflowDefinition, limit: int, since: float, as_of: float
    ) -> tuple[Sequence[RunRecord], RunFigures]:
        return self.runs(definition, limit=limit, since=since, as_of=as_of), RunFigures()

    def runs_digest(
        self, definition: WorkflowDefinition, *, limit: int, since: float, as_of: float, after: float | None = None
    ) -> RunsDigest:
        runs = self.runs_of.get(definition.key.name, [])
        over = [r for r in runs if r.outcome is not Outcome.RUNNING]
        due = [moment for r in runs if (moment := decided_at(r, as_of)) is not None]
        ends = [r.end or 0.0 for r in over]
        failed = max((r.end or 0.0 for r in over if r.outcome is Outcome.FAILED), default=None)
        fresh = sum(after is None or end > after for end in ends)
        return RunsDigest(repr(over), min(due, default=None), len(over), fresh, max(ends, default=None), failed)

    def keep_analysis(self, uid: str, key: WorkflowKey, content: bytes) -> None:
        self.kept[uid] = content
        self.stale.discard(uid)

    def confirm_analysis(self, uid: str) -> None:
        self.stale.discard(uid)

    def analysis(self, uid: str) -> KeptAnalysis | None:
        return KeptAnalysis(self.kept[uid], uid in self.stale) if uid in self.kept else None

    def keep_analyses_of(self, uids: Collection[str]) -> None:
        self.kept = {uid: content for uid, content in self.kept.items() if uid in uids}

    def reopen(self) -> str:
        return self.problem

    def tidy(self, keep: Mapping[WorkflowKey, tuple[int, float]], now: float) -> None:
        self.tidied.append(dict(keep))


@dataclass
class FakeLive:
    """Live runs since the last refresh. ``broken`` raises, which the real one never should."""

    seen: list[LiveRunsReport] = field(default_factory=list)
    looked: list[list[str]] = field(default_factory=list)
    broken: bool = False

    def refresh(self, definitions: Sequence[WorkflowDefinition], heartbeat: Heartbeat) -> LiveRunsReport:
        self.looked.append([d.key.name for d in definitions])
        if self.broken:
            raise RuntimeError("a fault of our own")
        return self.seen.pop(0) if self.seen else LiveRunsReport()


@dataclass
class FakeArchive:
    """Archived runs since the last reading, and how far back each workflow was asked for."""

    seen: list[ArchiveReport] = field(default_factory=list)
    asked: list[dict[str, Reach]] = field(default_factory=list)
    broken: bool = False

    def read(
        self,
        definitions: Sequence[WorkflowDefinition],
        reach: Mapping[WorkflowKey, Reach],
        now: float,
        heartbeat: Heartbeat,
    ) -> ArchiveReport:
        self.asked.append({d.key.name: reach[d.key] for d in definitions})
        if self.broken:
            raise RuntimeError("a fault of our own")
        return self.seen.pop(0) if self.seen else ArchiveReport()


@dataclass
class FakeAnalyzer:
    """Returns a recommendation that contains the number of runs. ``failing`` workflows raise; ``takes`` are the seconds
    of one analysis, counted by ``clock``; ``more``: further fields of the status."""

    requests: list[AnalysisRequest] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    takes: float = 0.0
    clock: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)

    def __call__(self, request: AnalysisRequest) -> ProfileAnalysis:
        self.requests.append(request)
        self.clock += self.takes
        if request.definition.key.name in self.failing:
            raise ZeroDivisionError("division by zero at secret=hunter22")
        count = len(request.runs)
        ready = ConditionUpdate(
            ConditionType.READY, count > 0, Reason.ANALYZED if count else Reason.NO_RUNS, f"{count} runs"
        )
        document = {"advice": [f"{count} runs"], "dataUntil": "2025-10-09T08:53:20Z", "score": 50 + count} | self.more
        return ProfileAnalysis(document, ready, ConditionUpdate(ConditionType.OBJECTIVES_MET, True, Reason.MET, "all"))


def run(name: str, number: int, outcome: Outcome = Outcome.SUCCEEDED) -> RunRecord:
    key = WorkflowKey("demo", "CronJob", name)
    return run_record(workflow=key, run=f"{name}-{number}", start=NOW - 1000.0, end=NOW - 500.0, outcome=outcome)


class Bed:
    """The operator's components; ``sync`` replaces the watches."""

    def __init__(
        self,
        *,
        namespaces: Sequence[str] = (),
        patient: bool = True,
        client: MemoryClient | None = None,
        history: FakeHistory | None = None,
        seconds_per_write: float = 0.0,
        notifier: Notifier | None = None,
    ) -> None:
        """``client`` and ``history``: those of an earlier process. ``seconds_per_write``: what a status counts as.
        ``notifier``: what it sends events to."""
        self.client = client or MemoryClient()
        self.cache = ObjectCache()
        self.sources = FakeSources({"default": report()})
        self.history = history or FakeHistory()
        self.analyzer = FakeAnalyzer()
        self.analyze: Analyzer = lambda request: self.analyzer(request)
        self.live = FakeLive()
        self.archive = FakeArchive()
        self.health = Health(stall_after=3600.0)
        self.telemetry = Telemetry()
        self.now = NOW
        self.patient = patient
        if client is None:
            self.client.put(NAMESPACES, None, "demo")
        access = AccessChecker(self.client)
        self.writer = StatusWriter(self.client, parallelism=1)
        shares = TimeShares(clock=lambda: self.analyzer.clock, seconds_per_write=seconds_per_write)
        sources, kept = cast(MetricsSources, self.sources), cast(HistoryProvider, self.history)
        self.outputs = Outputs(kept)
        self.profile_reconciler = ProfileReconciler(
            sources, kept, lambda request: self.analyze(request), self.outputs, shares
        )
        self.snapshots = SnapshotBuilder(self.client, self.cache, namespaces, {}, clock=lambda: self.now)
        notifier = notifier or Notifier((), Sender(()), lambda: self.now, last=lambda _: None, sent=lambda *_: None)
        self.collector = Collector(
            sources,
            cast(LiveRuns, self.live),
            self.health,
            Outages(lambda: kept.store, INTERVAL),
            interval=INTERVAL,
            archives=[cast(ArchivedRuns, self.archive)],
        )
        self.stages = (
            Watchdog(self.client, self.cache, OWN_KINDS, namespaces, self.health, sleep=self.pass_time),
            self.snapshots,
            self.collector,
            self.profile_reconciler,
            Publisher(
                self.writer,
                EventRecorder(self.client, instance="test", clock=lambda: self.now, on_note=notifier.note),
                self.cache,
                self.telemetry,
                self.health,
                written=self.profile_reconciler.last.published,
                transitions=status_events,
            ),
            PolicyStatuses(access, self.health, notifier),
        )
        self.assemble()

    def assemble(self, *, changes: Any = None, shard: Shard | None = None) -> None:
        """Make a cycle of the components; ``changes``: what stands for the stage of that name."""
        self.cycle = Cycle(
            *self.stages,
            self.cache,
            cast(HistoryProvider, self.history),
            self.health,
            self.telemetry,
            changes=changes,
            shard=shard,
            clock=lambda: self.now,
        )

    def pass_time(self, seconds: float) -> None:
        """Advance the clock; the watches catch up, unless they are stopped."""
        if self.patient:
            self.sync()

    def sync(self) -> None:
        """Deliver what the watches would deliver."""
        for kind in OWN_KINDS:
            present = {o["metadata"]["uid"] for o in self.objects(kind)}
            for obj in self.objects(kind):
                self.cache.observe(kind, "MODIFIED", obj)
            shot = self.cache.snapshot()
            known = {PROFILES: shot.profiles, POLICIES: shot.policies, CLUSTER_POLICIES: shot.cluster_policies}
            for entry in known.get(kind, ()):
                if entry.uid not in present:
                    self.cache.observe(kind, "DELETED", {"metadata": {"uid": entry.uid}})

    def objects(self, kind: Resource) -> list[dict[str, Any]]:
        return [o for p, o in self.client.objects.items() if p.split("/")[-2] == kind.plural]

    def run(self, *, seconds: float = 0.0, watching: bool = True) -> bool:
        """Run one cycle, ``seconds`` after the last one."""
        self.now += seconds
        if watching:
            self.sync()
        return self.cycle()

    def writes(self) -> list[tuple[str, str]]:
        """Writes since the last call."""
        found = self.client.writes()
        self.client.calls.clear()
        return found

    def profile(self, name: str = "etl", target: str = "etl", namespace: str = "demo", **parts: Any) -> dict[str, Any]:
        spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": target}}
        return self.client.put(PROFILES, namespace, name, **{"spec": spec, **parts})

    def policy(self, name: str = "team", namespace: str = "demo", **spec: Any) -> dict[str, Any]:
        return self.client.put(POLICIES, namespace, name, spec=spec)

    def cluster_policy(self, name: str, **spec: Any) -> dict[str, Any]:
        return self.client.put(CLUSTER_POLICIES, None, name, spec=spec)

    def cronjob(self, name: str = "etl", namespace: str = "demo", **labels: str) -> dict[str, Any]:
        pod = {"spec": {"containers": [{"name": "main", "image": "x"}]}}
        spec = {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": pod}}}
        return self.client.put(CRONJOB, namespace, name, metadata={"labels": labels}, spec=spec)

    def status(self, kind: Resource = PROFILES, name: str = "etl", namespace: str | None = "demo") -> dict[str, Any]:
        found = self.client.objects.get(kind.path(namespace, name), {}).get("status", {})
        assert isinstance(found, dict)
        return found

    def state(
        self, kind: Resource = PROFILES, name: str = "etl", namespace: str | None = "demo"
    ) -> dict[str, tuple[str, str]]:
        """(status, reason) by condition type."""
        return {c["type"]: (c["status"], c["reason"]) for c in self.status(kind, name, namespace).get("conditions", ())}

    def message(self, condition: str, kind: Resource = PROFILES, name: str = "etl") -> str:
        found = self.status(kind, name).get("conditions", ())
        return next((str(c["message"]) for c in found if c["type"] == condition), "")


def report(name: str = "default", ok: bool = True, **more: Any) -> SourceReport:
    """The report of a source that answered, or did not."""
    reason = Reason.COMPLETE if ok else Reason.SOURCE_UNREACHABLE
    message = "every query was answered" if ok else "connection refused. Start it."
    return SourceReport(name, ok, reason, message, **{"data_until": NOW, "queries": 5, **more})
