"""Finished runs from live objects into the history: whose, when, how much at a time, and what is said when it cannot be."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.live import in_progress, run_objects
from concertmaster.controller.live import live_runs as module
from concertmaster.controller.live.live_runs import LiveRuns, LiveRunsReport
from concertmaster.controller.live.pending_runs import PendingRuns, pack
from concertmaster.controller.live.run_kinds import KINDS, RunKinds
from concertmaster.controller.live.run_watch import WatchPlan
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import InputSource, Outcome, RunRecord, Source, WorkflowDefinition
from concertmaster.core.times import format_time, parse_time
from concertmaster.engines import assign, reading
from concertmaster.kube import errors
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.objects import Resource
from tests.support.controller.fakes import MemoryClient
from tests.support.counting import all_calls
from tests.support.engines.argo_definitions import NESTED, the_definition
from tests.support.engines.argo_oracle import Controller, fnv, pods, stamp
from tests.support.engines.job_objects import job
from tests.support.engines.live_jobs import live_job
from tests.support.engines.live_jobs import pod as live_pod
from tests.support.engines.tekton_objects import RUNS, pipeline, pipeline_run, task

_KINDS = {kind.resource.kind: kind for kind in reversed(KINDS)}
WORKFLOWS, PIPELINE_RUNS, JOBS, JOB_SETS = (
    _KINDS[name].resource for name in ("Workflow", "PipelineRun", "Job", "JobSet")
)
PODS, TASK_RUNS = _KINDS["Job"].children, _KINDS["PipelineRun"].children
SERVED = {WORKFLOWS: "argoproj.io/v1alpha1", PIPELINE_RUNS: "tekton.dev/v1", JOBS: "batch/v1"}
ETL, BACKUP, BUILD = the_definition(NESTED), job(), pipeline(task("fetch"))


class Cluster(MemoryClient):
    """Serves the kinds of runs; remembers how lists were selected."""

    def __init__(self, *kinds: Resource) -> None:
        super().__init__()
        self.selected: list[tuple[str, str | None]] = []
        for kind in kinds:
            self.objects[f"/apis/{kind.api_version}"] = {"metadata": {}, "resources": [{"name": kind.plural}]}

    def items(
        self, path: str, *, label_selector: str | None = None, metadata_only: bool = False, **_: Any
    ) -> Iterator[dict[str, Any]]:
        if metadata_only:  # names of runs in progress
            key = str(label_selector).partition("!=")[0]
            found = (o for o in super().items(path) if key not in o["metadata"].get("labels", {}))
            yield from ({"metadata": o["metadata"]} for o in found)
            return
        self.selected.append((path, label_selector))
        yield from super().items(path)

    def request(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        query = kwargs.get("query") or {}
        if "fieldSelector" in query:
            name = query["fieldSelector"].partition("=")[2]
            return {"items": [o for o in self.items(path) if o["metadata"]["name"] == name]}
        return super().request(method, path, **kwargs)

    def add(self, resource: Resource | None, raw: dict[str, Any], uid: str | None = None) -> dict[str, Any]:
        """An object as it stands in the cluster."""
        assert resource is not None
        meta = raw["metadata"]
        meta.setdefault("uid", uid or f"uid-{meta['name']}")
        self.objects[resource.path(meta["namespace"], meta["name"])] = raw
        return raw


@dataclass
class Harness:
    """One operator's reading of live runs; ``restart`` keeps cluster and history."""

    directory: Path
    client: Cluster
    definitions: Sequence[WorkflowDefinition] = (ETL, BACKUP, BUILD)
    pending: PendingRuns = field(default_factory=PendingRuns)
    now: float = 0.0
    counts: list[str] = field(default_factory=list)
    followed: list[WatchPlan] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.keeper = HistoryProvider(str(self.directory / "history.db"))
        self.kinds = RunKinds(self.client, AccessChecker(self.client, clock=self.clock), (), clock=self.clock)
        self.live = LiveRuns(
            self.client, self.kinds, self.keeper, count=self.counts.append, pending=self.pending, clock=self.clock
        )
        self.live.follow = self.followed.append

    def clock(self) -> float:
        return self.now

    def look(self, *definitions: WorkflowDefinition) -> LiveRunsReport:
        """One cycle's look, a minute after the last."""
        self.now += 61.0
        return self.live.refresh(definitions or self.definitions, lambda _: None)

    def see(self, resource: Resource, raw: dict[str, Any]) -> bool:
        """A watch event; whether it was taken."""
        bare = {k: v for k, v in raw.items() if k not in ("apiVersion", "kind")}  # items of a list carry neither
        if not self.live.accepts(resource, bare):
            return False
        self.live.take(resource, bare, pack(resource, bare))
        return True

    def runs(self, definition: WorkflowDefinition) -> list[RunRecord]:
        return self.keeper.store.runs(definition.key, definition=definition)


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    found = Harness(tmp_path, Cluster(*SERVED))
    assert found.look() == LiveRunsReport()
    return found


def etl_run(name: str = "etl-x7k2z", **status: Any) -> dict[str, Any]:
    control = Controller(NESTED, name)
    control.execute()
    raw = control.workflow(**status)
    raw["metadata"] |= {"uid": f"uid-{name}", "labels": {"workflows.argoproj.io/completed": "true"}}
    return raw


def backup_run(name: str = "backup-29333333", condition: str | None = "Complete", **status: Any) -> dict[str, Any]:
    raw = live_job(condition, **status)
    raw["metadata"] |= {"name": name, "uid": f"uid-{name}"}
    raw["spec"] = {"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": f"uid-{name}"}}}
    return raw


# --- what is watched --------------------------------------------------------------------------------------------------


def test_only_kinds_of_engines_in_use_are_watched(harness: Harness) -> None:
    assert [k.resource for k in harness.followed[-1].kinds] == [WORKFLOWS, PIPELINE_RUNS, JOBS]
    harness.look(BACKUP)
    assert [k.resource for k in harness.followed[-1].kinds] == [JOBS]
    assert harness.client.writes() == []


def test_a_kind_that_is_not_installed_is_not_watched_until_it_is(tmp_path: Path) -> None:
    harness = Harness(tmp_path, Cluster(JOBS))
    assert harness.look() == LiveRunsReport()
    assert [k.resource for k in harness.followed[-1].kinds] == [JOBS]
    harness.client.objects["/apis/tekton.dev/v1beta1"] = {"metadata": {}, "resources": [{"name": "pipelineruns"}]}
    harness.look()
    assert [k.resource.api_version for k in harness.followed[-1].kinds] == ["tekton.dev/v1beta1", "batch/v1"]


def test_a_missing_right_is_a_note_with_the_remedy_and_is_followed_when_granted(harness: Harness) -> None:
    harness.client.allows = lambda a: a["resource"] != "pods"  # type: ignore[method-assign]
    harness.restart()
    seen = harness.look()
    assert [k.resource for k in harness.followed[-1].kinds] == [WORKFLOWS, PIPELINE_RUNS]
    assert "Jobs are known from the metrics only: the operator may not list pods" in seen.notes[0]
    assert "live: false" in seen.notes[0]
    harness.client.allows = lambda a: True  # type: ignore[method-assign]
    harness.now += 400.0
    assert harness.look().notes == ()
    assert JOBS in [k.resource for k in harness.followed[-1].kinds]


def test_an_api_server_that_is_away_changes_nothing_about_the_watch(harness: Harness) -> None:
    before = harness.followed[-1]
    for kind in KINDS:
        path = f"/apis/{kind.resource.api_version}"
        harness.client.faults["GET", path] = [errors.Unreachable("connection refused")]
    seen = harness.look()
    assert harness.followed[-1] == before
    assert len(seen.notes) == 3
    assert "not known now" in seen.notes[0]


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_finished_workflow_is_read_at_once_and_tells_its_workflow_in_the_next_look(harness: Harness) -> None:
    assert harness.see(WORKFLOWS, etl_run())
    assert harness.live.read() is False
    (run,) = harness.runs(ETL)
    assert (run.run, run.source, run.outcome) == ("etl-x7k2z", Source.LIVE, Outcome.SUCCEEDED)
    assert harness.look().changed == {ETL.key}
    assert harness.look() == LiveRunsReport()
    assert harness.counts == ["complete"]


@pytest.mark.parametrize(
    "raw",
    [
        etl_run(phase="Running"),
        {**etl_run(), "spec": {"workflowTemplateRef": {"name": "unobserved"}}},
        {**etl_run(), "metadata": {"name": "no-uid", "namespace": "data"}},
        {**etl_run(), "status": None},
    ],
)
def test_runs_that_go_on_or_belong_to_nobody_are_not_kept(harness: Harness, raw: dict[str, Any]) -> None:
    assert not harness.see(WORKFLOWS, raw)
    assert len(harness.pending) == 0


def test_the_same_object_again_is_not_read_again(harness: Harness) -> None:
    for _ in range(3):
        harness.see(WORKFLOWS, etl_run())
    assert len(harness.pending) == 1
    harness.live.read()
    assert not harness.see(WORKFLOWS, etl_run())
    assert harness.counts == ["complete"]


def test_a_retried_run_is_read_again_when_it_ends_once_more(harness: Harness) -> None:
    failed = etl_run(phase="Failed", finishedAt="2025-10-09T09:00:00Z")
    assert harness.see(WORKFLOWS, failed)
    harness.live.read()
    assert [r.outcome for r in harness.runs(ETL)] == [Outcome.FAILED]
    assert not harness.see(WORKFLOWS, failed)
    retried = etl_run(phase="Succeeded", finishedAt="2025-10-09T11:00:00Z")
    assert harness.see(WORKFLOWS, retried)
    harness.live.read()
    assert [r.outcome for r in harness.runs(ETL)] == [Outcome.SUCCEEDED]
    assert not harness.see(WORKFLOWS, retried)


def test_a_later_end_that_comes_while_the_first_one_waits_takes_its_place(harness: Harness) -> None:
    assert harness.see(WORKFLOWS, etl_run(phase="Failed", finishedAt="2025-10-09T09:00:00Z"))
    assert harness.see(WORKFLOWS, etl_run(phase="Succeeded", finishedAt="2025-10-09T11:00:00Z"))
    assert len(harness.pending) == 1
    harness.live.read()
    assert [r.outcome for r in harness.runs(ETL)] == [Outcome.SUCCEEDED]


def test_a_compressed_node_table_is_read(harness: Harness) -> None:
    control = Controller(NESTED, "etl-x7k2z")
    nodes = control.execute()
    raw = control.workflow()
    raw["metadata"]["uid"] = "u"
    table = json.dumps(raw["status"].pop("nodes")).encode()
    raw["status"]["compressedNodes"] = base64.b64encode(gzip.compress(table)).decode()
    harness.see(WORKFLOWS, raw)
    harness.live.read()
    (run,) = harness.runs(ETL)
    assert len([e for e in run.steps if e.pod]) == len(nodes)


def test_a_job_is_read_with_its_pods(harness: Harness) -> None:
    harness.client.add(PODS, live_pod("a", 2, 20, code=137))
    harness.client.add(PODS, live_pod("b", 30, 50))
    assert harness.see(JOBS, backup_run(succeeded=1, failed=1))
    harness.live.read()
    (run,) = harness.runs(BACKUP)
    assert [(e.attempt, e.outcome, e.exit_code) for e in run.steps] == [
        (0, Outcome.FAILED, 137),
        (1, Outcome.SUCCEEDED, 0),
    ]
    assert harness.client.selected == [
        ("/api/v1/namespaces/ops/pods", "batch.kubernetes.io/controller-uid=uid-backup-29333333")
    ]


def test_of_pods_only_what_is_read_is_held(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    bulky = {f"note-{i}": "x" * 1_000 for i in range(10)}
    for name in ("a", "b"):
        pod = live_pod(name, 2, 20)
        pod["metadata"] = {**pod["metadata"], "annotations": bulky, "managedFields": [bulky]}
        harness.client.add(PODS, {**pod, "spec": {**pod.get("spec", {}), "containers": [bulky]}})
    monkeypatch.setattr(run_objects, "MAX_CHILDREN_BYTES", 20_000)
    assert harness.see(JOBS, backup_run(succeeded=2))
    harness.live.read()
    (run,) = harness.runs(BACKUP)
    assert len(run.steps) == 2
    monkeypatch.setattr(run_objects, "MAX_CHILDREN_BYTES", 500)
    assert harness.see(JOBS, backup_run("backup-29333334", succeeded=2))
    assert "its pods are too large together" in harness.look().notes[0]


def test_a_pipeline_run_is_read_with_its_task_runs(harness: Harness) -> None:
    for raw in RUNS:
        harness.client.add(TASK_RUNS, {**raw, "metadata": {**raw["metadata"], "uid": raw["metadata"]["name"]}})
    raw = pipeline_run()
    raw["metadata"]["uid"] = "u"
    assert harness.see(PIPELINE_RUNS, raw)
    harness.live.read()
    (run,) = harness.runs(BUILD)
    assert {e.step for e in run.steps} == {"fetch", "lint", "test", "deploy", "clean"}
    assert harness.client.selected[-1][1] == "tekton.dev/pipelineRun=build-x7k2z"


def test_deleted_objects_keep_their_records_also_over_a_restart(harness: Harness) -> None:
    raw = harness.client.add(WORKFLOWS, etl_run())
    harness.see(WORKFLOWS, raw)
    harness.client.objects.clear()
    harness.live.read()
    before = harness.runs(ETL)
    harness.restart()
    harness.look()
    assert harness.runs(ETL) == before
    assert before[0].source is Source.LIVE


def test_a_restart_reads_what_still_exists_and_finds_nothing_new(harness: Harness) -> None:
    harness.see(WORKFLOWS, etl_run())
    harness.live.read()
    harness.look()
    harness.pending = PendingRuns()
    harness.restart()
    harness.look()
    assert harness.see(WORKFLOWS, etl_run())
    assert harness.look() == LiveRunsReport()


def test_a_profile_made_later_gets_the_runs_that_had_ended_before(harness: Harness) -> None:
    harness.look(BACKUP, BUILD)
    harness.client.add(WORKFLOWS, etl_run())
    assert not harness.see(WORKFLOWS, etl_run())
    harness.look(BACKUP, BUILD, ETL)  # a new kind: its watch lists everything
    assert harness.client.selected == []
    other = the_definition(NESTED, name="other")
    late = harness.client.add(WORKFLOWS, etl_run("other-1"))
    late["spec"]["workflowTemplateRef"]["name"] = "other"
    assert harness.look(BACKUP, BUILD, ETL, other).changed == {other.key, ETL.key}
    assert ("/apis/argoproj.io/v1alpha1/namespaces/data/workflows", "workflows.argoproj.io/completed=true") in (
        harness.client.selected
    )
    harness.client.selected.clear()
    harness.look(BACKUP, BUILD, ETL, other)
    assert harness.client.selected == []


def test_inputs_named_later_are_read_off_the_runs_that_still_exist(harness: Harness) -> None:
    """Their sizes get into the history, of the run and of its steps; a text that is no size is said."""
    for name, size in (("etl-1", "1.5Gi"), ("etl-2", "much")):
        raw = harness.client.add(WORKFLOWS, etl_run(name))
        raw["spec"]["arguments"] = {"parameters": [{"name": "size", "value": size}]}
        assert harness.see(WORKFLOWS, raw)
    harness.live.read()
    assert [run.input_total for run in harness.runs(ETL)] == [None, None]
    sized = replace(ETL, inputs=(InputSource(parameter="size"),))
    seen = harness.look(sized, BACKUP, BUILD)
    assert {run.run: run.input_size for run in harness.runs(ETL)} == {"etl-1": 1.5 * 2**30, "etl-2": None}
    assert {e.input_size for run in harness.runs(ETL) if run.run == "etl-1" for e in run.steps} == {1.5 * 2**30}
    assert 'parameter size of run etl-2 is "much", neither a number nor a quantity' in str(seen.by_workflow[ETL.key])
    assert harness.look(sized, BACKUP, BUILD) == replace(seen, changed=frozenset())


def test_a_list_that_fails_for_a_new_profile_is_tried_again(harness: Harness) -> None:
    other = the_definition(NESTED, name="other")
    raw = harness.client.add(WORKFLOWS, etl_run("other-1"))
    raw["spec"]["workflowTemplateRef"]["name"] = "other"
    path = WORKFLOWS.path("data")
    harness.client.lists[path] = errors.Unreachable("connection refused")
    assert "not known yet" in harness.look(*harness.definitions, other).notes[0]
    del harness.client.lists[path]
    assert harness.look(*harness.definitions, other).changed == {other.key}


# --- what cannot be read ----------------------------------------------------------------------------------------------


def test_nodes_in_the_controllers_database_are_named_and_the_end_is_kept(harness: Harness) -> None:
    control = Controller(NESTED, "etl-x7k2z", failures=lambda n: fnv(n) % 2)
    facts = pods(control.execute(), "etl-x7k2z")
    harness.keeper.store.add(assign(facts[:-1], [ETL]).executions)
    raw = etl_run(nodes={}, offloadNodeStatusVersion="fnv:1", phase="Failed")
    harness.see(WORKFLOWS, raw)
    seen = harness.look()
    assert "of Workflow data/etl-x7k2z only the end is known live" in seen.notes[0]
    assert "offloadNodeStatusVersion" in seen.notes[0]
    (run,) = harness.runs(ETL)
    assert (run.outcome, run.source, len(run.steps)) == (Outcome.FAILED, Source.HISTORY, len(facts) - 1)
    assert harness.counts == ["end"]
    reported = seen.by_workflow[ETL.key]
    assert reported == (
        "the nodes of run etl-x7k2z are kept in the controller's database (offloadNodeStatusVersion): its steps are only "
        "known from the metrics",
    )
    harness.see(WORKFLOWS, etl_run("etl-9", nodes={}, offloadNodeStatusVersion="fnv:1"))
    assert harness.look().by_workflow == {ETL.key: reported}  # every run says so; the sentence does not change
    assert harness.look(BACKUP).by_workflow == {}  # its profile is gone, and with it what was said
    assert harness.look().by_workflow == {}
    harness.see(WORKFLOWS, etl_run("etl-11", nodes={}, offloadNodeStatusVersion="fnv:1"))
    assert list(harness.look().by_workflow) == [ETL.key]
    harness.see(WORKFLOWS, etl_run("etl-10"))
    assert harness.look().by_workflow == {}  # and goes when a run can be read again
    assert harness.look() == LiveRunsReport()


def test_a_run_that_failed_before_any_step_is_reported_with_its_message(harness: Harness) -> None:
    harness.see(WORKFLOWS, etl_run(nodes=None, phase="Failed", message="invalid spec: template 'x' undefined"))
    reported = harness.look().by_workflow[ETL.key]
    assert reported == ("of run etl-x7k2z only the end is known live: invalid spec: template 'x' undefined",)


def test_a_failed_job_without_pods_is_a_failed_run_and_is_looked_at_three_times(harness: Harness) -> None:
    harness.see(JOBS, backup_run(condition="Failed", failed=1, completionTime=None))
    harness.live.read()
    assert harness.live.read() is False
    assert len(harness.client.selected) == 1  # not at once again
    assert [(r.outcome, r.steps) for r in harness.runs(BACKUP)] == [(Outcome.FAILED, ())]
    for _ in range(3):
        harness.look()
    assert len(harness.client.selected) == 3
    assert len(harness.pending) == 0


def test_pods_that_come_late_complete_the_record(harness: Harness) -> None:
    harness.see(JOBS, backup_run(succeeded=1))
    harness.live.read()
    assert harness.runs(BACKUP) == []
    harness.client.add(PODS, live_pod("a", 2, 20))
    assert harness.look().changed == {BACKUP.key}
    assert [(r.source, len(r.steps)) for r in harness.runs(BACKUP)] == [(Source.LIVE, 1)]


def test_children_that_may_not_be_listed_are_named(harness: Harness) -> None:
    harness.client.lists["/api/v1/namespaces/ops/pods"] = errors.Forbidden("no", status=403)
    harness.see(JOBS, backup_run(succeeded=1))
    assert "may not list pods in namespace ops" in harness.look().notes[0]


def test_an_api_server_that_is_away_keeps_runs_waiting(harness: Harness) -> None:
    path = "/api/v1/namespaces/ops/pods"
    harness.client.add(PODS, live_pod("a", 2, 20))
    harness.client.lists[path] = errors.Unreachable("connection refused")
    harness.see(JOBS, backup_run(succeeded=1))
    assert harness.live.read() is False
    assert "live runs wait to be read" in harness.look().notes[0]
    del harness.client.lists[path]
    assert harness.look().changed == {BACKUP.key}


def test_a_history_that_cannot_be_written_keeps_runs_waiting(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.see(WORKFLOWS, etl_run())
    with monkeypatch.context() as patch:
        patch.setattr(harness.keeper.store, "add", raising(module.HistoryError("the disk is full")))
        assert "live runs wait to be stored: the disk is full" in harness.look().notes[0]
    assert harness.look().changed == {ETL.key}


def test_a_damaged_history_is_begun_anew_and_everything_is_listed_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.see(WORKFLOWS, etl_run())
    harness.live.read()
    edition = harness.followed[-1].edition
    harness.keeper.store.close()
    (harness.directory / "history.db").write_bytes(b"not a database" * 100)
    harness.keeper.renew()
    harness.look()
    assert harness.followed[-1].edition == edition + 1
    assert harness.see(WORKFLOWS, etl_run())
    assert harness.look().changed == {ETL.key}


def test_a_fault_of_a_reader_costs_that_run_alone(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    real = reading.run_kind

    def reader(raw: Any) -> Any:
        found = real(raw)
        return replace(found, read=raising(KeyError("phase"))) if raw["metadata"]["name"] == "etl-bad" else found

    harness.see(WORKFLOWS, etl_run("etl-bad"))
    harness.see(WORKFLOWS, etl_run())
    monkeypatch.setattr(reading, "run_kind", reader)
    assert "Workflow data/etl-bad cannot be read (KeyError)" in harness.look().notes[0]
    assert [r.run for r in harness.runs(ETL)] == ["etl-x7k2z"]
    assert harness.counts == ["unreadable", "complete"]


def raising(error: Exception) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_a_turn_is_bounded_in_runs_and_in_time(harness: Harness) -> None:
    for i in range(module.MAX_BATCH_RUNS + 20):
        assert harness.see(WORKFLOWS, etl_run(f"etl-{i:03}"))
    assert harness.live.read() is True
    assert len(harness.runs(ETL)) == module.MAX_BATCH_RUNS
    assert harness.live.read() is False
    assert len(harness.runs(ETL)) == module.MAX_BATCH_RUNS + 20


def test_a_turn_ends_with_the_steps_it_may_hold(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BATCH_STEPS", 2)
    for i in range(3):
        harness.see(WORKFLOWS, etl_run(f"etl-{i}"))
    assert harness.live.read()
    assert len(harness.runs(ETL)) == 1
    harness.live.read()
    assert len(harness.runs(ETL)) == 2


def test_a_turn_ends_when_its_time_is_over(harness: Harness) -> None:
    for i in range(5):
        harness.see(WORKFLOWS, etl_run(f"etl-{i}"))

    def heartbeat(_: str) -> None:
        harness.now += module.MAX_READ_SECONDS

    assert harness.live.read(heartbeat) is True
    assert 1 <= len(harness.runs(ETL)) <= 2


def test_beyond_the_budget_only_names_are_kept_and_the_objects_listed_again(harness: Harness) -> None:
    size = len(pack(WORKFLOWS, etl_run()))
    harness.pending = PendingRuns(most_bytes=int(1.5 * size), most_runs=3)
    harness.restart()
    harness.look()
    for name in ("etl-1", "etl-2", "etl-3", "etl-4"):
        harness.see(WORKFLOWS, harness.client.add(WORKFLOWS, etl_run(name)))
    assert [w.packed is None for w in harness.pending.some(9, again=True)] == [False, True, True]
    del harness.client.objects[WORKFLOWS.path("data", "etl-3")]
    seen = harness.look()
    assert [r.run for r in harness.runs(ETL)] == ["etl-1", "etl-2"]
    assert seen.notes == ("1 finished runs at once were too many to be read live",)
    assert harness.counts == ["complete", "complete", "unreadable"]
    assert harness.look() == LiveRunsReport()


def elsewhere(raw: dict[str, Any]) -> dict[str, Any]:
    """The same in another namespace."""
    raw["metadata"] |= {"namespace": "crowd", "uid": f"crowd-{raw['metadata']['uid']}"}
    return raw


CROWD = replace(ETL, key=replace(ETL.key, namespace="crowd"))


def test_a_flood_of_runs_in_one_namespace_takes_neither_the_turns_nor_the_room_of_others(harness: Harness) -> None:
    size = len(pack(WORKFLOWS, etl_run()))
    harness.pending = PendingRuns(most_bytes=int(2.5 * size), most_runs=4)
    harness.restart()
    harness.look(ETL, CROWD)
    for n in range(6):
        harness.see(WORKFLOWS, elsewhere(etl_run(f"etl-{n}")))
    for n in range(2):
        harness.see(WORKFLOWS, etl_run(f"etl-{n}"))
    waiting = [(w.ref.namespace, w.ref.name, w.packed is not None) for w in harness.pending.some(9, again=True)]
    assert waiting == [
        ("crowd", "etl-0", True),
        ("data", "etl-0", True),
        ("crowd", "etl-1", False),
        ("data", "etl-1", False),
    ]
    assert harness.look(ETL, CROWD).notes == ("4 finished runs at once were too many to be read live",)


def test_ten_thousand_nodes_are_read_within_a_turn(harness: Harness) -> None:
    table: dict[str, Any] = {}
    for i in range(10_000):
        table[f"n{i}"] = {
            "id": f"n{i}",
            "name": f"etl-x7k2z.prepare({i}:x).deep",
            "type": "Pod",
            "phase": "Succeeded",
            "templateName": "run",
            "startedAt": stamp(1000.0 + i),
            "finishedAt": stamp(1010.0 + i),
        }
    raw = etl_run(nodes=table)
    assert harness.see(WORKFLOWS, raw)
    assert all_calls(harness.live.read) < 1_000 * len(table)
    (waiting,) = harness.runs(ETL)
    assert len(waiting.steps) == 10_000


def test_recursion_and_nonsense_in_a_status_are_survived(harness: Harness) -> None:
    deep = {
        f"n{i}": {"id": f"n{i}", "name": "etl-x7k2z" + ".again" * i, "type": "Pod", "phase": "Succeeded",
                  "children": [f"n{(i + 1) % 300}"], "startedAt": stamp(1000.0), "finishedAt": stamp(1001.0)}
        for i in range(300)
    }  # fmt: skip
    harness.see(WORKFLOWS, etl_run(nodes=deep))
    harness.see(WORKFLOWS, etl_run("etl-odd", nodes=[1, {"a": None}]))
    seen = harness.look()
    assert harness.counts[0] in ("complete", "end")
    assert any("etl-odd" in note for note in seen.notes)


def test_a_run_nested_too_deeply_is_left_out_by_its_name_and_the_next_one_is_read(harness: Harness) -> None:
    """It would end the thread of the watch, and with it the runs of everybody."""
    deep: list[Any] = []
    for _ in range(1_200):
        deep = [deep]
    assert not harness.see(WORKFLOWS, etl_run("etl-deep", nodes={"a": {"inputs": deep}}))
    assert harness.see(WORKFLOWS, etl_run())
    seen = harness.look()
    assert [r.run for r in harness.runs(ETL)] == ["etl-x7k2z"]
    (note,) = (note for note in seen.notes if "etl-deep" in note)
    assert "nested deeper than 100 levels" in note


# --- joining ----------------------------------------------------------------------------------------------------------


def played(name: str, at: float, live: bool, harness: Harness) -> None:
    """One run of the workflow, in the metrics and, with ``live``, as an object too."""
    control = Controller(NESTED, name)
    nodes = control.execute()
    shift = at - min(n.created for n in nodes)
    facts = pods(nodes, name, uid=name)
    moved = [_later(f, shift) for f in facts]
    harness.keeper.store.add(assign(moved, [ETL]).executions)
    if not live:
        return
    raw = control.workflow()
    raw["metadata"] |= {"uid": f"uid-{name}"}
    for node in raw["status"]["nodes"].values():
        # The controller notices a pod's end later than the kubelet, and creates it a little after the node.
        node["startedAt"] = stamp(_unix(node["startedAt"]) + shift - 0.9)
        if "finishedAt" in node:
            node["finishedAt"] = stamp(_unix(node["finishedAt"]) + shift + 9.0)
    raw["status"] |= {"startedAt": stamp(at - 5.0), "finishedAt": stamp(at + 600.0)}
    assert harness.see(WORKFLOWS, raw)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _later(fact: Any, shift: float) -> Any:
    moved = {k: getattr(fact, k) + shift for k in ("created", "scheduled", "started", "finished")}
    inside = tuple(
        replace(c, started=(c.started or 0.0) + shift, finished=(c.finished or 0.0) + shift) for c in fact.containers
    )
    return replace(fact, **moved, containers=inside)


def test_installing_the_operator_makes_no_workflow_slower(harness: Harness) -> None:
    """Runs known from the metrics alone and runs read live as well have the same span: no change is found at the seam."""
    hour, count = 3600.0, 40
    for i in range(count):
        played(f"etl-{i:02}abc", 1e6 + i * hour, live=i >= count // 2, harness=harness)
    while harness.live.read():
        pass
    runs = harness.runs(ETL)
    assert [r.source for r in runs] == [Source.HISTORY] * 20 + [Source.LIVE] * 20
    assert len({round(r.makespan or 0.0, 3) for r in runs}) == 1
    found = analyze(ETL, runs, now=1e6 + (count + 1) * hour)
    assert found.trend.points == ()
    assert all(s.trend.points == () for s in found.steps)


def test_what_only_live_objects_know_reaches_the_analysis(harness: Harness) -> None:
    control = Controller(NESTED, "etl-x7k2z", failures=lambda n: fnv(n) % 2)
    control.execute()
    raw = control.workflow()
    raw["metadata"]["uid"] = "u"
    nodes = [n for n in raw["status"]["nodes"].values() if n["type"] == "Pod"]
    nodes[0]["memoizationStatus"] = {"hit": True, "key": "k", "cacheName": "c"}
    failed = next(n for n in nodes if n["phase"] == "Failed")
    failed |= {"message": "Error (exit code 3)", "outputs": {"exitCode": "3"}}
    harness.see(WORKFLOWS, raw)
    harness.live.read()
    (run,) = analyze(ETL, harness.runs(ETL), now=2000.0).runs
    assert [e.outcome for e in run.steps].count(Outcome.CACHED) == 1
    assert any(e.cache_hit for e in run.steps)
    assert [(e.exit_code, e.message) for e in run.steps if e.exit_code] == [(3, "Error (exit code 3)")]
    assert max(e.attempt for e in run.steps) >= 1
    assert all(e.after is not None for e in run.steps)
    assert any(e.after for e in run.steps)


# --- runs in progress -------------------------------------------------------------------------------------------------


def under_way(name: str = "etl-now") -> dict[str, Any]:
    """A Workflow in progress: its last pod is still there."""
    raw = etl_run(name)
    del raw["metadata"]["labels"]
    raw["status"] |= {"phase": "Running", "finishedAt": None}
    nodes = [n for n in raw["status"]["nodes"].values() if n["type"] == "Pod"]
    last = max(nodes, key=lambda n: n["startedAt"])
    last |= {"phase": "Running", "finishedAt": None}
    return raw


def test_a_run_in_progress_is_read_in_every_look_until_it_has_ended(harness: Harness) -> None:
    raw = harness.client.add(WORKFLOWS, under_way())
    assert not harness.see(WORKFLOWS, raw)
    for _ in range(2):
        (run,) = harness.look().running[ETL.key]
        assert (run.run, run.outcome) == ("etl-now", Outcome.RUNNING)
        assert [e.finished for e in run.steps].count(None) == 1
    done = harness.client.add(WORKFLOWS, etl_run("etl-now"))
    assert harness.see(WORKFLOWS, done)
    assert harness.look().running == {}


@pytest.mark.parametrize("seen", [True, False])
def test_the_time_a_run_was_seen_to_be_suspended_is_no_time_of_the_run(harness: Harness, seen: bool) -> None:
    """``argo suspend`` between two steps, and an hour later ``argo resume``: the object has nothing of that in the end, and
    the hour was said to be the controller's."""
    held, done = etl_run("etl-held"), etl_run("etl-held")
    pods = [n for n in done["status"]["nodes"].values() if n["type"] == "Pod"]
    last = max(pods, key=lambda n: n["startedAt"])
    for part, name in ((last, "startedAt"), (last, "finishedAt"), (done["status"], "finishedAt")):
        part[name] = format_time(parse_time(part[name]) + 3600.0)
    del held["metadata"]["labels"], held["status"]["nodes"][last["id"]]
    held["spec"]["suspend"] = True
    held["status"] |= {"phase": "Running", "finishedAt": None}
    harness.see(WORKFLOWS, harness.client.add(WORKFLOWS, held))
    if seen:
        assert [r.outcome for r in harness.look().running[ETL.key]] == [Outcome.RUNNING]
        resumed = deepcopy(done)
        resumed["status"] |= {"phase": "Running", "finishedAt": None}
        del resumed["metadata"]["labels"]
        harness.see(WORKFLOWS, harness.client.add(WORKFLOWS, resumed))
        (run,) = harness.look().running[ETL.key]  # would be late for as long as it was suspended
        times = [e.created for e in run.steps if e.created is not None]
        assert run.start is not None and max(times) - run.start < 600.0
    for raw in (done, etl_run("etl-usual")):
        assert harness.see(WORKFLOWS, harness.client.add(WORKFLOWS, raw))
    harness.look()
    for _ in range(2):  # a restart reads what still exists
        length = {r.run.partition("@")[0]: r.makespan or 0.0 for r in harness.runs(ETL)}
        assert length["etl-held"] - length["etl-usual"] == pytest.approx(0.0 if seen else 3600.0, abs=5.0)
        harness.pending.forget()
        harness.restart()
        harness.look()
        assert harness.see(WORKFLOWS, done)
        harness.look()


def test_a_run_in_progress_is_read_with_its_input(harness: Harness) -> None:
    raw = under_way()
    raw["spec"]["arguments"] = {"parameters": [{"name": "size", "value": "1.5Gi"}]}
    harness.see(WORKFLOWS, harness.client.add(WORKFLOWS, raw))
    sized = replace(ETL, inputs=(InputSource(parameter="size"),))
    (run,) = harness.look(sized).running[ETL.key]
    assert run.input_size == 1.5 * 2**30
    assert {e.input_size for e in run.steps} == {1.5 * 2**30}


def test_a_run_in_progress_that_the_watch_does_not_bring_is_found(harness: Harness) -> None:
    """The watch of Workflows asks for finished ones only."""
    harness.client.add(WORKFLOWS, under_way())
    assert [r.run for r in harness.look().running[ETL.key]] == ["etl-now"]
    harness.client.selected.clear()
    other = under_way("other-now")
    other["spec"] = {"workflowTemplateRef": {"name": "nobody-s"}}
    harness.client.add(WORKFLOWS, other)
    for _ in range(3):
        assert len(harness.look().running[ETL.key]) == 1
    place = other["metadata"]["namespace"]
    listed = [path for path, _ in harness.client.selected if path == WORKFLOWS.path(place)]
    assert len(listed) == 4, "the stranger once, the other in every look"


def test_runs_in_progress_that_could_not_be_read_are_found_later(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.look()
    for n in range(3):
        harness.client.add(WORKFLOWS, under_way(f"etl-{n}"))

    def away(*_: Any, **__: Any) -> dict[str, Any]:
        raise errors.Unreachable("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(harness.client, "request", away)
        assert harness.look().running == {}
    assert len(harness.look().running[ETL.key]) == 3


def test_a_run_in_progress_that_is_deleted_is_forgotten(harness: Harness) -> None:
    raw = harness.client.add(WORKFLOWS, under_way())
    harness.see(WORKFLOWS, raw)
    assert harness.look().running
    harness.client.objects.pop(WORKFLOWS.path(raw["metadata"]["namespace"], raw["metadata"]["name"]))
    assert harness.look().running == {}
    harness.client.selected.clear()
    harness.look()
    assert harness.client.selected == []


def test_runs_in_progress_of_unobserved_workflows_are_not_read(harness: Harness) -> None:
    harness.see(WORKFLOWS, harness.client.add(WORKFLOWS, under_way()))
    assert harness.look(BACKUP).running == {}


def test_an_api_server_that_is_away_is_a_note_and_keeps_what_was_read(harness: Harness) -> None:
    raw = harness.client.add(WORKFLOWS, under_way())
    harness.see(WORKFLOWS, raw)
    before = harness.look().running

    def away(*_: Any, **__: Any) -> dict[str, Any]:
        raise errors.Unreachable("connection refused")

    harness.client.request = away  # type: ignore[method-assign]
    seen = harness.look()
    assert seen.running == before
    assert any("runs in progress are not read: connection refused" in note for note in seen.notes)


def test_many_runs_in_progress_are_read_in_turns(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_progress, "MAX_READ", 3)
    for n in range(8):
        harness.see(WORKFLOWS, harness.client.add(WORKFLOWS, under_way(f"etl-{n}")))
    assert [len(harness.look().running[ETL.key]) for _ in range(4)] == [3, 6, 8, 8]


def test_many_runs_in_progress_of_one_namespace_hold_up_no_other(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_progress, "MAX_READ", 2)
    monkeypatch.setattr(in_progress, "MAX_KNOWN", 6)
    harness.look(ETL, CROWD)
    for n in range(9):
        harness.see(WORKFLOWS, harness.client.add(WORKFLOWS, elsewhere(under_way(f"etl-{n}"))))
    harness.see(WORKFLOWS, harness.client.add(WORKFLOWS, under_way()))
    assert [r.run for r in harness.look(ETL, CROWD).running[ETL.key]] == ["etl-now"]


def test_many_runs_in_progress_that_the_watch_does_not_bring_hold_up_no_other(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_progress, "MAX_READ", 2)
    for n in range(9):
        harness.client.add(WORKFLOWS, elsewhere(under_way(f"etl-{n}")))
    harness.client.add(WORKFLOWS, under_way())
    assert [r.run for r in harness.look(ETL, CROWD).running[ETL.key]] == ["etl-now"]


@pytest.mark.parametrize("error", [errors.Busy("etcd timed out", status=500), errors.NotFound("no pods", status=404)])
def test_runs_whose_pods_cannot_be_listed_hold_up_no_other(harness: Harness, error: errors.KubeError) -> None:
    """One that fails for ever must not keep the runs of all other namespaces from being read."""
    harness.client.lists["/api/v1/namespaces/ops/pods"] = error
    for n in range(3):
        harness.see(JOBS, backup_run(f"backup-{n}", succeeded=1))
    harness.see(WORKFLOWS, etl_run())
    seen = [harness.look() for _ in range(2)]
    assert ETL.key in seen[0].changed | seen[1].changed
    assert any("live runs wait to be read" in note for note in seen[0].notes)
    assert {w.ref.name for w in harness.pending.some(9, again=True)} == {"backup-0", "backup-1", "backup-2"}
    harness.client.lists.clear()
    assert harness.look().changed == {BACKUP.key}


@pytest.mark.parametrize("error", [errors.Busy("etcd timed out", status=500), errors.Forbidden("no", status=403)])
def test_a_run_in_progress_that_cannot_be_read_holds_up_no_other(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, error: errors.KubeError
) -> None:
    harness.look(ETL, CROWD)
    for raw in (elsewhere(under_way("etl-bad")), under_way()):
        harness.see(WORKFLOWS, harness.client.add(WORKFLOWS, raw))
    request = harness.client.request

    def failing(method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        if "/namespaces/crowd/" in path:
            raise error
        return request(method, path, **kwargs)

    monkeypatch.setattr(harness.client, "request", failing)
    seen = [harness.look(ETL, CROWD) for _ in range(2)]
    assert [r.run for r in seen[1].running[ETL.key]] == ["etl-now"]
    assert any("runs in progress are not read" in note for note in seen[0].notes)


def test_a_namespace_that_may_not_be_listed_hides_no_run_in_progress_of_the_next(tmp_path: Path) -> None:
    harness = Harness(tmp_path, Cluster(*SERVED))
    harness.kinds = RunKinds(harness.client, AccessChecker(harness.client), ("crowd", "data"), clock=harness.clock)
    harness.live = LiveRuns(harness.client, harness.kinds, harness.keeper, pending=harness.pending, clock=harness.clock)
    harness.look(ETL, CROWD)
    harness.client.add(WORKFLOWS, under_way())
    items = harness.client.items

    def failing(path: str, **options: Any) -> Iterator[dict[str, Any]]:
        if "/namespaces/crowd/" in path:
            raise errors.Forbidden("no", status=403)
        return items(path, **options)

    harness.client.items = failing  # type: ignore[method-assign]
    assert [r.run for r in harness.look(ETL, CROWD).running[ETL.key]] == ["etl-now"]
