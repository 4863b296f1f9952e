"""Listing objects: one that cannot be taken is named and left out, the others are read."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from concertmaster.kube.discover import ProblemKind, scan
from concertmaster.kube.nesting import MAX_DEPTH, TooDeep, allow_deep_documents, check_depth
from tests.support.controller.fakes import MemoryClient
from tests.support.resources import known_resource

TEMPLATES = known_resource("argoproj.io/v1alpha1", "WorkflowTemplate")


def nested(levels: int) -> dict[str, Any]:
    inner: Any = "x"
    for _ in range(levels - 1):
        inner = [inner]
    return {"spec": inner}


def test_depth_is_reported_without_recursion() -> None:
    check_depth(nested(MAX_DEPTH - 1))
    for levels in (MAX_DEPTH + 2, 50_000):
        with pytest.raises(TooDeep, match="nested deeper than 100 levels"):
            check_depth(nested(levels))


@pytest.mark.parametrize("fault", [None, ValueError("no"), RecursionError(), KeyError("spec")])
def test_one_object_is_left_out_by_its_name(fault: Exception | None) -> None:
    client = MemoryClient()
    for name in ("a", "poison", "z"):
        client.put(TEMPLATES, "demo", name, **(nested(150) if name == "poison" and fault is None else {}))
    seen: list[str] = []

    def visit(obj: dict[str, Any]) -> None:
        if fault is not None and obj["metadata"]["name"] == "poison":
            raise fault
        seen.append(obj["metadata"]["name"])

    found = scan(client, TEMPLATES, (), visit)
    assert seen == ["a", "z"]
    (problem,) = found.problems
    assert (problem.kind, problem.namespace, problem.name) == (ProblemKind.UNREADABLE, "demo", "poison")
    assert problem.message.startswith("WorkflowTemplate poison cannot be read and is left out: ")
    assert found.problem_for("demo") is None  # the others are known
    assert found.problem_for("demo", "poison") == problem


def test_a_thread_decodes_whatever_the_api_server_stores() -> None:
    text = '{"spec": ' + "[" * 9_990 + "]" * 9_990 + "}"
    decoded: list[Any] = []
    allow_deep_documents()
    thread = threading.Thread(target=lambda: decoded.append(json.loads(text)))
    thread.start()
    thread.join()
    assert decoded
    with pytest.raises(TooDeep):
        check_depth(decoded[0])
