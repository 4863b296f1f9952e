"""Verifications of one namespace do not take the control group from those of another."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from concertmaster.controller.changes import control_group
from concertmaster.controller.changes.control_group import ControlGroup
from concertmaster.core.model import RunRecord, StepExecution, WorkflowDefinition, WorkflowGraph, WorkflowKey
from tests.support.builders import run_record
from tests.support.controller.harness import NOW

APPLIED = NOW - 5_000.0
STARTS = (APPLIED - 3_000.0, APPLIED - 2_000.0, APPLIED + 1_000.0, APPLIED + 2_000.0)


class History:
    """Four runs of each workflow, with ``steps`` pods each."""

    def __init__(self, steps: int = 1) -> None:
        self.steps = steps
        self.read: list[WorkflowKey] = []

    def runs(
        self, definition: WorkflowDefinition, *, limit: int, since: float, as_of: float, until: float = inf
    ) -> Sequence[RunRecord]:
        key = definition.key
        self.read.append(key)
        steps = tuple(StepExecution(step="a", pod=f"{key.name}-{n}") for n in range(self.steps))
        return [run_record(workflow=key, run=f"{key.name}-{s:.0f}", start=s, end=s + 60.0, steps=steps) for s in STARTS]


def profile(namespace: str, name: str) -> Any:
    key = WorkflowKey(namespace, "CronJob", name)
    return SimpleNamespace(
        entry=SimpleNamespace(namespace=namespace, name=name),
        resolved=SimpleNamespace(definition=SimpleNamespace(key=key, graph=WorkflowGraph()), waits=False),
        target=None,
        held=(),
        source="default",
        key=key,
    )


CROWD = [profile("crowd", f"etl-{n}") for n in range(control_group.MAX_CANDIDATES + 10)]
OTHER = [profile("other", f"load-{n}") for n in range(3)]


def beside(group: ControlGroup, of: Any) -> list[str]:
    """The namespaces of the workflows that one is compared with."""
    first = APPLIED - 4_000.0
    return [b.before[0].workflow.namespace for b in group.beside(of, first, first, APPLIED, 60)]


def test_a_namespace_with_many_verifications_leaves_the_others_their_control_group() -> None:
    history: Any = History()
    group = ControlGroup([*CROWD, *OTHER], (), history, {}, NOW)
    assert beside(group, CROWD[0]) == ["crowd"] * control_group.MAX_CANDIDATES
    beside(group, CROWD[1])
    assert len(history.read) == control_group.MAX_CANDIDATES, "as many as one namespace may read, each once"
    assert beside(group, OTHER[0])[:2] == ["other"] * 2


def test_large_runs_of_one_namespace_leave_the_others_their_control_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_group, "MAX_PODS", 50)
    history: Any = History(steps=20)
    group = ControlGroup([*CROWD, *OTHER], (), history, {}, NOW)
    assert beside(group, CROWD[0]) == ["crowd"], "one workflow of 80 pods is too much for a second one"
    assert beside(group, OTHER[0]) == ["other"], "and what it took is given up for others"
    assert group._pods.total() == 80


def test_all_of_them_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_group, "MAX_ALL_CANDIDATES", 5)
    history: Any = History()
    tenants = [profile(f"team-{n}", name) for n in range(9) for name in ("a", "b")]
    group = ControlGroup(tenants, (), history, {}, NOW)
    for one in tenants:
        beside(group, one)
    assert len(history.read) == 5
