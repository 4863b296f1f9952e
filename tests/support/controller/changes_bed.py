"""The change stage over an in-memory API server with JSON Patch, dry runs and the validation of approvals.

``die_at`` ends the process (with an exception that nothing catches) at the n-th write or journal entry, before or after
it is applied; another ``Bed.start`` on the same memory and journal is the next process.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.changes.apply import Apply
from concertmaster.controller.changes.cycle import Candidate, ClusterReach, CycleInput
from concertmaster.controller.changes.reconciler import Changes
from concertmaster.controller.changes.telemetry import ChangesTelemetry
from concertmaster.controller.changes.writing.journal import Journal
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.object_cache import ObjectCache
from concertmaster.controller.profiles.reconciler import ProfileReconciler
from concertmaster.controller.snapshot import SnapshotBuilder
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.model import (
    Category,
    Edit,
    Interval,
    Outcome,
    Recommendation,
    RunRecord,
    WorkflowDefinition,
    WorkflowKey,
)
from concertmaster.core.model.policy import PolicyRef
from concertmaster.history import HistoryError, HistoryFull, HistoryReadOnly
from concertmaster.kube import errors
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.events import EventRecorder
from concertmaster.kube.objects import CHANGES, CLUSTER_POLICIES, NAMESPACES, POLICIES, PROFILES, ObjectRef, Resource
from tests.support.controller.fakes import MemoryClient
from tests.support.controller.harness import FakeHistory, FakeSources, report
from tests.support.core.change_samples import recommended
from tests.support.core.verification_runs import noisy
from tests.support.core.verification_runs import run as one_run
from tests.support.resources import CRONJOB

NOW = 1_760_000_000.0
DAY = 86400.0
CPU = "/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/cpu"
MEMORY = "/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/memory"


class Died(BaseException):
    """The process was killed."""


class Mortal:
    """Counts points at which a process may be killed."""

    def __init__(self) -> None:
        self.points = 0
        self.die_at: tuple[int, str] | None = None

    def point(self, work: Callable[[], Any]) -> Any:
        self.points += 1
        if self.die_at == (self.points, "before"):
            raise Died
        found = work()
        if self.die_at == (self.points, "after"):
            raise Died
        return found


class Memory(MemoryClient):
    """An in-memory API server with generations, JSON Patch (RFC 6902), and dry runs."""

    def __init__(self, mortal: Mortal) -> None:
        super().__init__()
        self.mortal = mortal
        self.target_writes: list[list[dict[str, Any]]] = []
        self.mutates: list[dict[str, Any]] = []  # what admission adds to each patch of a workflow
        self.before_write: Callable[[str], None] = lambda _: None
        self.trial: Callable[[str, str], None] = lambda *_: None  # raises the server's response to a pod

    def request(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        if method == "GET" or "selfsubjectaccess" in path:
            return super().request(method, path, **kwargs)
        work = super().request
        dry = (kwargs.get("query") or {}).get("dryRun") == "All"
        if dry and path.endswith("/pods"):
            self.calls.append((method, path, kwargs["body"]))
            self.trial(method, path)
            return dict(kwargs["body"])
        if dry:
            self.on_request("DRY", path)
            return self._dry(path, kwargs["body"])
        self.before_write(path)
        return dict(self.mortal.point(lambda: work(method, path, **kwargs)))

    def _dry(self, path: str, body: Any) -> dict[str, Any]:
        planned = self.faults.get(("DRY", path)) or []
        if planned:
            raise planned.pop(0)
        if path not in self.objects:
            raise errors.NotFound(path, status=404)
        return self._applied(self.objects[path], body)

    def _applied(self, obj: dict[str, Any], body: Any) -> dict[str, Any]:
        added = self.mutates if obj["kind"] in ("CronJob", "Task") else []
        try:
            return dict(jsonpatch.apply(obj, [*body, *added]))
        except jsonpatch.PatchFailed as error:
            raise errors.Rejected(f"testing value failed: {error}", status=422, reason="Invalid") from None

    def _patch(self, obj: dict[str, Any], body: Any) -> dict[str, Any]:
        if not isinstance(body, list):
            return super()._patch(obj, body)
        changed = self._applied(obj, body)
        if obj["kind"] in ("CronJob", "Task"):
            self.target_writes.append([o for o in body if o["op"] != "test"])
        self._uid += 1
        changed["metadata"]["resourceVersion"] = str(self._uid)
        if changed.get("spec") != obj.get("spec"):
            changed["metadata"]["generation"] += 1
        obj.clear()
        obj.update(changed)
        return copy.deepcopy(obj)


class Pages:
    """A journal's pages in memory, which survive the process."""

    def __init__(self, mortal: Mortal) -> None:
        self.rows: dict[str, str] = {}
        self._at: dict[str, float] = {}
        self.mortal = mortal
        self.full = self.lost = self.readonly = False

    def write_journal(self, key: str, body: str, at: float) -> None:
        if self.full:
            raise HistoryFull("no space left on device")
        self._writable()
        self.mortal.point(lambda: self.rows.__setitem__(key, body))
        self._at[key] = at

    def _writable(self) -> None:
        if self.readonly:
            raise HistoryReadOnly("attempt to write a readonly database")

    def drop_journal(self, key: str) -> None:
        self._writable()
        self.mortal.point(lambda: self.rows.pop(key, None))

    def prune_journal(self, prefix: str, before: float) -> None:
        self._writable()
        self.rows = {
            k: v for k, v in self.rows.items() if not (k.startswith(prefix) and self._at.get(k, before) < before)
        }

    def journal(self, prefix: str = "") -> dict[str, str]:
        if self.lost:
            raise HistoryError("disk I/O error")
        return {k: v for k, v in self.rows.items() if k.startswith(prefix)}


def cheaper(current: str = "2", proposed: str = "1500m", **more: Any) -> Recommendation:
    """A recommendation to lower the CPU request."""
    return recommended(Edit(CPU, current, proposed), id="cpu-request.job", step="job", **more)


def wider(current: str | None = None, proposed: str = "2") -> Recommendation:
    """A recommendation to raise the parallelism."""
    return recommended(
        Edit("/spec/jobTemplate/spec/parallelism", current, proposed),
        id="parallelism",
        rule="parallelism",
        step=None,
        category=Category.PERFORMANCE,
        gain_share=Interval(0.1, 0.2, 0.3),
        saving_per_month=None,
    )


class Bed:
    """One namespace ``demo`` with CronJob, profile and policy."""

    def __init__(self, **apply: Any) -> None:
        self.mortal = Mortal()
        self.client = Memory(self.mortal)
        self.pages = Pages(self.mortal)
        self.history = FakeHistory()
        self.now = NOW
        self.items: list[Recommendation] | None = [cheaper()]
        self.coverage: float | None = 1.0
        self.allowed = True
        self.behind = False
        self.namespaces: tuple[str, ...] = ()  # that the next process reads (empty: all)
        self.owns: Callable[[str], bool] = lambda _: True  # which of them are this process's
        self.per_minute = 6  # writes that the next process may make
        self.outages: tuple[tuple[float, float], ...] = ()  # of the metrics source
        self.unread: dict[WorkflowKey, float] = {}  # down to which moment workflows are read
        self.data_until: float | None = None  # of the metrics source (None: it is read until now)
        self.clock_ahead = 0.0  # seconds by which the operator's clock is ahead of the metrics source's
        self.client.allows = lambda attributes: self.allowed  # type: ignore[method-assign]
        self.cronjob()
        self.policy(**apply)
        spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}}
        self.client.put(PROFILES, "demo", "etl", spec=spec)
        self.client.put(NAMESPACES, None, "demo")
        self.problems: list[str] = []
        self.notes: list[str] = []  # of these, what fails no cycle
        self.blocked: Mapping[PolicyRef, Mapping[str, int]] = {}
        self.obstacles: Mapping[PolicyRef, Sequence[str]] = {}
        self.metrics = ChangesTelemetry(CollectorRegistry())
        self.runs(30)
        self.start()

    def cronjob(self, cpu: str = "2", **spec: Any) -> dict[str, Any]:
        requests = {"cpu": cpu, "memory": "1Gi"}
        pod = {"spec": {"containers": [{"name": "main", "image": "x", "resources": {"requests": requests}}]}}
        body = {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": pod, **spec}}}
        return self.client.put(CRONJOB, "demo", "etl", spec=body)

    def policy(self, suspend: bool = False, **apply: Any) -> None:
        spec = {"suspend": suspend, "apply": {"mode": "Auto", "cooldown": "1h", **apply}}
        path = POLICIES.path("demo", "team")
        if path in self.client.objects:
            self.client.objects[path]["spec"] = spec
        else:
            self.client.put(POLICIES, "demo", "team", spec=spec)

    def start(self) -> None:
        """Start a new process: only the memory of API server and journal is kept."""
        self.mortal.die_at, self.mortal.points = None, 0
        sources = FakeSources({"default": report()})
        self.cache = ObjectCache()
        self.stage = SnapshotBuilder(self.client, self.cache, (), {}, clock=lambda: self.now)
        self.profile_reconciler = ProfileReconciler(sources, self.history, lambda request: 1 / 0)
        self.hand = ChangeWriter(self.client, Journal(lambda: self.pages), clock=self.clock)
        self.steps = Apply(self.hand, per_minute=self.per_minute)
        events = EventRecorder(self.client, instance="test", clock=lambda: self.now, burst=1000)
        self.events = events
        reach = ClusterReach(
            self.client, AccessChecker(self.client), self.namespaces, lambda namespace: self.owns(namespace)
        )
        self._counted: dict[str, tuple[int, list[RunRecord]]] = {}
        self.changes = Changes(reach, self.hand, self.steps, self.history, events, self._candidates, self.revision)

    def revision(self, key: WorkflowKey) -> int:
        """How often the runs of a workflow have been others, as the profile_reconciler counts."""
        present = list(self.history.runs_of.get(key.name, ()))
        count, before = self._counted.get(key.name, (0, []))
        if present != before:
            self._counted[key.name] = count + 1, present
        return count + (present != before)

    def clock(self) -> float:
        """Seconds, for writes that were never answered."""
        return self.now

    def _candidates(self, uid: str) -> list[Candidate] | None:
        if self.items is None:
            return None
        return [Candidate(i, self.coverage, 100.0) for i in self.items]

    def run(
        self, seconds: float = 60.0, *, early: bool = False, unseen: Collection[str] = (), unread: bool = False
    ) -> dict[str, int]:
        """Run the stages of one cycle, ``seconds`` after the last one; returns the changes in progress by policy.
        ``early``: the cycle stops after the changes in progress. ``unseen``: uids that the watches have not brought.
        ``unread``: the process has not read the metrics source before this cycle."""
        self.now += seconds
        cache = ObjectCache()
        for kind in (PROFILES, POLICIES, CLUSTER_POLICIES, CHANGES):
            for path, obj in list(self.client.objects.items()):
                if path.split("/")[-2] == kind.plural and obj["metadata"]["uid"] not in unseen:
                    cache.observe(kind, "ADDED", obj)
        self.stage._cache = cache
        scenario = self.stage.build(lambda: None)
        profiles = self.profile_reconciler.profiles(scenario)
        until = self.now - 30.0 if self.data_until is None else self.data_until
        seen = {"unread": self.unread, "outages": self.outages, "clock_ahead": self.clock_ahead}
        reports = {"default": report(data_until=until, **seen)}
        given = CycleInput(scenario, profiles, reports, self.now, behind=self.behind)
        self.problems = self.changes.advance(replace(given, reports={}) if unread else given)
        if early:
            return {}
        outcome = self.changes(given)
        self.problems += outcome.problems
        if outcome.tally is not None:
            self.blocked, self.obstacles = outcome.tally.blocked, outcome.tally.obstacles
            self.metrics.observe(outcome.tally)
            self.notes = outcome.tally.notes
            self.problems += self.notes
        return {str(k): v for k, v in outcome.in_flight.items()}

    # --- inspection

    def all(self) -> list[WorkflowChangeView]:
        return [
            WorkflowChangeView(o) for p, o in sorted(self.client.objects.items()) if p.split("/")[-2] == CHANGES.plural
        ]

    def one(self) -> WorkflowChangeView:
        found = self.all()
        assert len(found) == 1, [c.name for c in found]
        return found[0]

    def state(self, kind: ConditionType) -> tuple[str, str]:
        found = self.one().condition(kind)
        return str(found.get("status")), str(found.get("reason"))

    def message(self, kind: ConditionType) -> str:
        return str(self.one().condition(kind).get("message"))

    @property
    def target(self) -> dict[str, Any]:
        return self.client.objects[CRONJOB.path("demo", "etl")]

    def cpu(self) -> Any:
        return jsonpatch.find(self.target, CPU)[1]

    def writes(self) -> list[tuple[str, str]]:
        """Writes since the last call, without Events and reviews."""
        found = [w for w in self.client.writes() if "/events" not in w[1]]
        self.client.calls.clear()
        return found

    def reported(self) -> list[str]:
        return [o["reason"] for p, o in self.client.objects.items() if p.split("/")[-2] == "events"]

    def counted(self, name: str, **labels: str) -> float:
        """The value of ``concertmaster_changes_<name>``."""
        found = self.metrics.registry.get_sample_value(f"concertmaster_changes_{name}", labels)
        assert found is not None, name
        return found

    # --- actions of users

    def decide(self, decision: str, name: str | None = None, by: str = "ana") -> None:
        change = self.one() if name is None else next(c for c in self.all() if c.name == name)
        raw = self.client.objects[change.ref.path]
        raw["spec"] = {**raw["spec"], "decision": decision, "decidedBy": by}

    def edit(self, pointer: str, value: Any) -> None:
        changed = jsonpatch.apply(self.target, [{"op": "add", "path": pointer, "value": value}])
        changed["metadata"]["resourceVersion"] = f"foreign-{self.now}-{pointer}"
        changed["metadata"]["generation"] = changed["metadata"].get("generation", 1) + (
            changed["spec"] != self.target["spec"]
        )
        self.target.clear()
        self.target.update(changed)

    def delete(self, resource: Resource, name: str) -> None:
        self.client.objects.pop(resource.path("demo", name))

    def runs(
        self,
        count: int,
        seconds: float = 600.0,
        *,
        seed: int = 1,
        end: float | None = None,
        spread: float = 0.05,
        step: str = "job",
        **more: Any,
    ) -> None:
        """Add ``count`` hourly runs up to ``end`` (unix seconds; default: now)."""
        last = self.now if end is None else end
        rows = self.history.runs_of.setdefault("etl", [])
        for i, length in enumerate(noisy(seed, count, seconds, spread)):
            start = last - (count - i) * 3600.0
            found = one_run(len(rows), start, length, **more)
            rows.append(replace(found, steps=tuple(replace(e, step=step) for e in found.steps)))


__all__ = [
    "CHANGES",
    "CPU",
    "CRONJOB",
    "DAY",
    "MEMORY",
    "NOW",
    "POLICIES",
    "PROFILES",
    "Bed",
    "ConditionUpdate",
    "Died",
    "Mapping",
    "ObjectRef",
    "Outcome",
    "Reason",
    "RunRecord",
    "WorkflowDefinition",
    "WorkflowProfile",
    "cheaper",
    "wider",
]
