"""The torture set: definitions of other kinds, runs that no template or a schedule started, and packed node tables."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from benchmarks.torture import bed, compare, recommended
from benchmarks.torture.bed import NAMESPACE, Play
from benchmarks.torture.workflows.argo_further import CLUSTER, REFERRING, SCHEDULED, TASKS, WITHOUT

CRON = "workflows.argoproj.io/cron-workflow"


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_packed_node_table_is_read_as_one_that_is_not(pack: Callable[[bytes], bytes]) -> None:
    times = {"startedAt": "2026-11-21T10:00:00Z", "finishedAt": "2026-11-21T10:00:09Z"}
    pod = {
        "id": "w",
        "name": "w",
        "displayName": "w",
        "type": "Pod",
        "phase": "Succeeded",
        "templateName": "t",
        **times,
    }
    nodes = {"w": pod}
    raw: dict[str, Any] = {"kind": "Workflow", "metadata": {"name": "w-r0000"}, "spec": {"templates": [{"name": "t"}]}}

    def truth(**status: object) -> object:
        whole = {**raw, "status": {"phase": "Succeeded", **status}}
        return compare.truths(Play(0.0, objects={"Workflow": {"w-r0000": whole}}))["w-r0000"]

    assert truth(compressedNodes=base64.b64encode(pack(json.dumps(nodes).encode())).decode()) == truth(nodes=nodes)


def test_a_run_that_a_schedule_started_belongs_to_it_and_one_that_a_step_started_to_nobody() -> None:
    def run(name: str, **labels: str) -> dict[str, Any]:
        meta = {"name": name, "labels": labels, "ownerReferences": [{"kind": "Owner", "name": "o"}]}
        return {"kind": "Workflow", "metadata": meta, "spec": {}, "status": {"phase": "Succeeded"}}

    runs = {
        "timetable-1764000000": run("timetable-1764000000", **{CRON: "timetable"}),
        "inner-r0001": run("inner-r0001"),
    }
    found = compare.truths(Play(0.0, objects={"Workflow": runs}))
    assert {name: truth.workflow for name, truth in found.items()} == {"timetable-1764000000": "timetable"}


def test_definitions_of_all_kinds_are_known_by_the_names_of_the_set() -> None:
    """Cluster-scoped templates, schedules, and profiles that pick runs by their labels."""
    objects: dict[str, dict[str, Any]] = {"ClusterWorkflowTemplate": {}, "CronWorkflow": {}}
    for thing in (*CLUSTER, *SCHEDULED):
        scope = {} if thing["kind"] == "ClusterWorkflowTemplate" else {"namespace": NAMESPACE}
        objects[thing["kind"]][thing["metadata"]["name"]] = {**thing, "metadata": {**thing["metadata"], **scope}}
    names = {key.name: key.kind for key in compare.definitions_of(Play(0.0, objects=objects))}
    wanted = {d["metadata"]["name"]: d["kind"] for d in (*CLUSTER, *SCHEDULED)}
    assert names.items() >= wanted.items()
    assert {d["metadata"]["name"] for d in WITHOUT} <= names.keys() & set(bed.names())


class _Cron:
    """A cluster in which a schedule starts a run at each look, which has ended at the next, until it is suspended."""

    def __init__(self, name: str) -> None:
        self.name, self.suspended = name, False
        self.runs: list[dict[str, Any]] = []

    def get(self, *_: str) -> dict[str, Any]:
        for run in self.runs:
            run["metadata"]["labels"]["workflows.argoproj.io/completed"] = "true"
        if not self.suspended:
            meta = {"name": f"{self.name}-{len(self.runs)}", "labels": {CRON: self.name}}
            self.runs.append({"kind": "Workflow", "metadata": meta})
        return {"items": json.loads(json.dumps(self.runs))}

    def kubectl(self, *words: str) -> None:
        self.suspended = json.loads(words[-1])["spec"]["suspend"]


def test_a_schedule_has_its_runs_and_no_more_and_all_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    cluster, found = _Cron("timetable"), Play(0.0)
    bed._until_ended(cluster, found, ["timetable"], 3, 60.0)  # type: ignore[arg-type]
    assert cluster.suspended
    runs = found.objects["Workflow"].values()
    assert len(runs) == len(cluster.runs) == 4, "the fourth began before the third was seen to have ended"
    assert all(map(bed.over, runs))


class _Store:
    """A cluster that holds definitions."""

    def __init__(self, *things: dict[str, Any]) -> None:
        self.things = {(t["kind"], t["metadata"]["name"]): t for t in things}
        self.kinds = {"pipelines.tekton.dev": "Pipeline", "tasks.tekton.dev": "Task"}

    def get(self, kind: str, name: str, *_: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(self.things[self.kinds[kind], name]))
        return found

    def kubectl(self, verb: str, *words: str, input: str = "") -> None:
        if verb == "delete":
            del self.things[self.kinds[words[0]], words[1]]
        else:
            thing = json.loads(input)
            self.things[thing["kind"], thing["metadata"]["name"]] = thing


def test_a_task_that_a_recommendation_changed_is_restored_with_its_pipeline() -> None:
    cluster = _Store(*(json.loads(json.dumps(thing)) for thing in (*REFERRING, *TASKS)))
    before = json.dumps(list(cluster.things.values()))
    known = recommended.declared(cluster, "tk-referred")  # type: ignore[arg-type]
    cluster.things["Task", "shared-work"]["spec"]["steps"][0]["computeResources"] = {}
    recommended.restore(cluster, known)  # type: ignore[arg-type]
    assert json.dumps(list(cluster.things.values())) == before
