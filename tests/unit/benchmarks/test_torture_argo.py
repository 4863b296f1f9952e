"""The checker of the torture set: how it reads the node table of a Workflow of Argo."""

from __future__ import annotations

import pytest

from benchmarks.torture.bed import Play
from benchmarks.torture.compare import end_daemons
from benchmarks.torture.truth import Truth, chain_faults
from benchmarks.torture.truth_argo import ArgoRun

STAMP = "2026-11-21T10:00:{:02d}Z"
Object = dict[str, object]


def node(
    identity: str, shown: str, kind: str, begun: int, ended: int, phase: str = "Succeeded", **more: object
) -> dict[str, object]:
    return {
        "id": identity, "name": identity, "displayName": shown, "type": kind, "phase": phase,
        "startedAt": STAMP.format(begun), "finishedAt": STAMP.format(ended), **more,
    }  # fmt: skip


def read(templates: list[Object], *nodes: Object) -> Truth:
    """A finished Workflow of these templates, with this node table."""
    status = {"phase": "Succeeded", "nodes": {n["id"]: n for n in nodes}}
    return ArgoRun({"metadata": {"name": "w"}, "spec": {"templates": templates}, "status": status}).truth("t")


@pytest.mark.parametrize(
    ("pod_ended", "load", "outcome"),
    [
        (12, "Succeeded", "Failed"),
        (18, "Succeeded", "Succeeded"),
        (31, "Failed", "Succeeded"),
        (18, "Running", "Failed"),
    ],
)
def test_a_daemon_that_was_there_to_the_end_has_not_failed(pod_ended: int, load: str, outcome: str) -> None:
    templates = [{"name": "main", "dag": {"tasks": [{"name": "db", "template": "d"}]}}, {"name": "d", "daemon": True}]
    nodes = [
        node("w", "w", "DAG", 0, 20, templateName="main"),
        node("db", "db", "Pod", 0, 4, "Failed", boundaryID="w", templateName="d"),
        node("load", "load", "Pod", 5, 18, load, boundaryID="w", templateName="t"),
    ]
    if load == "Running":
        nodes[-1]["finishedAt"] = None
    status = {"phase": "Failed", "finishedAt": STAMP.format(20), "nodes": {n["id"]: n for n in nodes}}
    read = ArgoRun({"metadata": {"name": "w"}, "spec": {"templates": templates}, "status": status}).truth("t")
    terminated = {"finishedAt": STAMP.format(pod_ended)}
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"state": {"terminated": terminated}}]}}
    key = ("db", None, 0)
    end_daemons(read, Play(0.0, pods={"u": pod}), {"u": ("w", key)})
    assert read.leaves[key].outcome == outcome


def test_a_workflow_is_read_by_the_boundaries_of_its_nodes() -> None:
    tasks = [
        {"name": "fan", "template": "t", "withItems": ["x"]},
        {"name": "end", "template": "t", "dependencies": ["fan"]},
    ]
    nodes = [
        node("w", "w", "DAG", 0, 30, templateName="main", children=["g"]),
        node("g", "fan", "TaskGroup", 0, 20, boundaryID="w", children=["r"]),
        node("r", "fan(0:x)", "Retry", 0, 20, boundaryID="w", children=["r0", "r1"]),
        node("r0", "fan(0:x)(0)", "Pod", 0, 8, "Failed", boundaryID="w", nodeFlag={"retried": True}),
        node("r1", "fan(0:x)(1)", "Pod", 10, 20, boundaryID="w", nodeFlag={"retried": True}),
        node("e", "end", "Pod", 21, 30, boundaryID="w"),
    ]
    found = read([{"name": "main", "dag": {"tasks": tasks}}, {"name": "t"}], *nodes)
    assert {k: leaf.outcome for k, leaf in found.leaves.items()} == {
        ("fan", "0:x", 0): "Failed",
        ("fan", "0:x", 1): "Succeeded",
        ("end", None, 0): "Succeeded",
    }
    assert chain_faults(found, [("fan", "0:x", 0), ("fan", "0:x", 1), ("end", None, 0)]) == []


@pytest.mark.parametrize(
    ("begun", "waited"), [(3, {("s", None, 0)}), (12, {("a", None, 0)})], ids=["while its task ran", "after it"]
)
def test_a_hook_waits_for_its_task_unless_it_began_while_that_ran(begun: int, waited: set[object]) -> None:
    tasks: list[Object] = [{"name": "s", "template": "t"}, {"name": "a", "template": "t", "dependencies": ["s"]}]
    found = read(
        [{"name": "main", "dag": {"tasks": tasks}}, {"name": "t"}],
        node("w", "w", "DAG", 0, 20, templateName="main"),
        node("s", "s", "Pod", 0, 2, boundaryID="w", templateName="t"),
        node("a", "a", "Pod", 2, 11, boundaryID="w", templateName="t"),
        node("h", "a.hooks.told", "Pod", begun, 20, boundaryID="w", templateName="t", nodeFlag={"hooked": True}),
    )
    assert found.leaves["a.hooks.told", None, 0].before == waited


@pytest.mark.parametrize(
    ("kind", "more", "outcome"),
    [("Skipped", {}, "Skipped"), ("Steps", {"memoizationStatus": {"hit": True}}, "Cached")],
)
def test_a_block_that_did_not_run_stands_for_all_its_tasks(kind: str, more: Object, outcome: str) -> None:
    tasks: list[Object] = [{"name": "block", "template": "block"}, {"name": "z", "template": "t", "depends": "block"}]
    inner: list[object] = [[{"name": "x", "template": "t"}], [{"name": "again", "template": "block"}]]
    phase = "Skipped" if kind == "Skipped" else "Succeeded"
    found = read(
        [{"name": "main", "dag": {"tasks": tasks}}, {"name": "block", "steps": inner}, {"name": "t"}],
        node("w", "w", "DAG", 0, 9, templateName="main"),
        node("b", "block", kind, 0, 0, phase, boundaryID="w", templateName="block", **more),
        node("z", "z", "Pod", 1, 9, boundaryID="w", templateName="t"),
    )
    assert {k[0]: leaf.outcome for k, leaf in found.leaves.items()} == {
        "block.x": outcome,
        "block.again": outcome,  # it calls itself: its own tasks would have no end
        "z": "Succeeded",
    }
    assert ("block.x", None, 0) in found.leaves["z", None, 0].before
