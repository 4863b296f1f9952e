"""The checker of the torture set: what it calls exact, and what it does not."""

from __future__ import annotations

from benchmarks.torture.truth import Key, Leaf, Truth, chain_faults, drag
from benchmarks.torture.truth_argo import ArgoRun

STAMP = "2026-11-21T10:00:{:02d}Z"


def truth(**leaves: tuple[float, float, tuple[str, ...]]) -> Truth:
    """A run from begin, end and dependencies by step."""
    found = Truth("w", "w-1", "Succeeded")
    for step, (begun, ended, before) in leaves.items():
        keys: frozenset[Key] = frozenset((b, None, 0) for b in before)
        found.add(Leaf(step, None, 0, "Succeeded", begun, ended, step, keys))
    return found


DIAMOND = truth(a=(0, 10, ()), b=(12, 20, ("a",)), c=(11, 30, ("a",)), d=(31, 40, ("b", "c")))


def chain(*steps: str) -> list[Key]:
    return [(step, None, 0) for step in steps]


def test_a_chain_is_right_when_each_link_waited_longest_for_the_one_before() -> None:
    assert chain_faults(DIAMOND, chain("a", "c", "d")) == []
    assert "waited longest for another than" in chain_faults(DIAMOND, chain("a", "b", "d"))[0]
    assert "did not wait for" in chain_faults(DIAMOND, chain("c", "b", "d"))[-2]
    assert "it begins with" in chain_faults(DIAMOND, chain("c", "d"))[0]
    assert "before the run did" in chain_faults(DIAMOND, chain("a", "c"))[0]
    assert chain_faults(DIAMOND, []) == ["no chain"]


def test_drag_is_what_the_run_would_lose() -> None:
    assert drag(DIAMOND, "c") == 10.0  # then b decides
    assert drag(DIAMOND, "b") == 0.0
    assert drag(DIAMOND, "a") == 10.0


def node(
    identity: str, shown: str, kind: str, begun: int, ended: int, phase: str = "Succeeded", **more: object
) -> dict[str, object]:
    return {
        "id": identity, "name": identity, "displayName": shown, "type": kind, "phase": phase,
        "startedAt": STAMP.format(begun), "finishedAt": STAMP.format(ended), **more,
    }  # fmt: skip


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
    raw = {
        "metadata": {"name": "w"},
        "spec": {"templates": [{"name": "main", "dag": {"tasks": tasks}}, {"name": "t"}]},
        "status": {"phase": "Succeeded", "nodes": {n["id"]: n for n in nodes}},
    }
    found = ArgoRun(raw).truth("w")
    assert {k: leaf.outcome for k, leaf in found.leaves.items()} == {
        ("fan", "0:x", 0): "Failed",
        ("fan", "0:x", 1): "Succeeded",
        ("end", None, 0): "Succeeded",
    }
    assert chain_faults(found, [("fan", "0:x", 0), ("fan", "0:x", 1), ("end", None, 0)]) == []
