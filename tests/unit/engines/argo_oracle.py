"""A toy Argo controller for tests: runs a template the way the real one names and orders its nodes.

Written from workflow/controller (operator.go, dag.go, steps.go, hooks.go) and not from the code under test, so that the
two can disagree. Time is virtual: every pod takes ``duration`` seconds and starts one second after it is ready.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from concertmaster.core.model import ContainerFact, PodFact

OFFSET = 2166136261


def fnv(text: str) -> int:
    """FNV-1a, 32 bit, straight from its definition."""
    value = OFFSET
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value


@dataclass(frozen=True)
class Node:
    """What the controller knows of one pod: the truth the tests compare with."""

    name: str
    template: str
    step: str
    items: tuple[str, ...]
    attempt: int
    ready: float
    created: float
    finished: float
    failed: bool


@dataclass
class Controller:
    """Runs ``spec`` as run ``run``. ``failures(node name)`` tells how many attempts of a retried pod fail first."""

    spec: Mapping[str, Any]
    run: str
    failures: Callable[[str], int] = lambda name: 0
    duration: Callable[[str], float] = lambda name: 10.0
    skip: Callable[[str], bool] = lambda name: False
    param_items: Mapping[str, list[Any]] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def execute(self, at: float = 1000.0) -> list[Node]:
        """All pods of one run, started at ``at``."""
        end = self._template(self.run, self.spec["entrypoint"], (), (), at, at)
        if self.spec.get("onExit"):
            self._template(f"{self.run}.onExit", self.spec["onExit"], ("onExit",), (), end, end)
        return self.nodes

    def _find(self, name: str) -> Mapping[str, Any]:
        return next(t for t in self.spec["templates"] if t["name"] == name)

    def _template(
        self, node: str, name: str, key: tuple[str, ...], items: tuple[str, ...], ready: float, at: float
    ) -> float:
        body = self._find(name)
        retry = body.get("retryStrategy", self.spec.get("retryStrategy"))
        if retry is None:
            return self._once(node, body, key, items, ready, 0, False)
        if "dag" in body or "steps" in body:
            return self._once(f"{node}(0)", body, key, items, ready, 0, False)
        failing = min(self.failures(node), int(retry.get("limit", 3)))
        for attempt in range(failing + 1):
            ready = self._once(f"{node}({attempt})", body, key, items, ready, attempt, attempt < failing)
        return ready

    def _once(
        self,
        node: str,
        body: Mapping[str, Any],
        key: tuple[str, ...],
        items: tuple[str, ...],
        ready: float,
        attempt: int,
        failed: bool,
    ) -> float:
        if "dag" in body:
            return self._dag(node, body["dag"]["tasks"], key, items, ready)
        if "steps" in body:
            for index, group in enumerate(body["steps"]):
                ends = [self._task(f"{node}[{index}].{s['name']}", s, key, items, ready) for s in group]
                ready = max(ends, default=ready)
            return ready
        if "suspend" in body:
            return ready + 100.0
        created = ready + 1.0
        finished = created + self.duration(node)
        step = ".".join(key) or body["name"]
        self.nodes.append(Node(node, body["name"], step, items, attempt, ready, created, finished, failed))
        return finished

    def _dag(
        self, node: str, tasks: list[Mapping[str, Any]], key: tuple[str, ...], items: tuple[str, ...], ready: float
    ) -> float:
        ends: dict[str, float] = {}
        left = list(tasks)
        while left:
            task = next(t for t in left if all(d in ends for d in t.get("dependencies", [])))
            left.remove(task)
            begin = max((ends[d] for d in task.get("dependencies", [])), default=ready)
            ends[task["name"]] = self._task(f"{node}.{task['name']}", task, key, items, begin)
        return max(ends.values(), default=ready)

    def _task(
        self, node: str, task: Mapping[str, Any], key: tuple[str, ...], items: tuple[str, ...], ready: float
    ) -> float:
        if self.skip(node):
            return ready
        here = (*key, task["name"])
        expanded = self._expand(task)
        if expanded is None:
            end = self._template(node, task["template"], here, items, ready, ready)
        else:
            ends = []
            for e in expanded:
                done = self._template(f"{node}({e})", task["template"], here, (*items, e), ready, ready)
                if task.get("onExit"):
                    handler = f"{node}({e}).onExit"
                    done = self._template(handler, task["onExit"], (*here, "onExit"), (*items, e), done, done)
                ends.append(done)
            end = max(ends, default=ready)
        if task.get("onExit"):
            end = self._template(f"{node}.onExit", task["onExit"], (*here, "onExit"), items, end, end)
        return end

    def _expand(self, task: Mapping[str, Any]) -> list[str] | None:
        if "withItems" in task:
            return [f"{i}:{self._show(v)}" for i, v in enumerate(task["withItems"])]
        if "withParam" in task:
            return [f"{i}:{self._show(v)}" for i, v in enumerate(self.param_items[task["name"]])]
        if "withSequence" in task:
            count = int(task["withSequence"]["count"])
            return [f"{i}:{i}" for i in range(count)]
        return None

    @staticmethod
    def _show(value: Any) -> str:
        if isinstance(value, dict):
            text = ",".join(sorted(f"{k}:{Controller._show(v)}" for k, v in value.items()))
        else:
            text = json.dumps(value, ensure_ascii=False)
            text = text[1:-1] if isinstance(value, str) else text  # quotes go, escapes stay
        return text.replace("(", "").replace(")", "")


def pods(nodes: list[Node], run: str, namespace: str = "data", version: int = 2, uid: str = "") -> list[PodFact]:
    """The nodes as the metrics show them: no node names, only pod names, owners and times."""
    out = []
    for node in nodes:
        middle = f"-{node.template}" if version == 2 and node.template else ""
        name = run if node.name == run else f"{(run + middle)[:242]}-{fnv(node.name)}"
        reason = "Error" if node.failed else None
        main = ContainerFact("main", started=node.created + 0.5, finished=node.finished, reason=reason, cpu_request=1.0)
        out.append(
            PodFact(
                namespace,
                name,
                uid=f"{uid}{fnv(run + node.name):08x}",
                owner_kind="Workflow",
                owner_name=run,
                created=node.created,
                scheduled=node.created,
                started=node.created,
                finished=node.finished,
                phase="Failed" if node.failed else "Succeeded",
                containers=(main, ContainerFact("wait", started=node.created + 0.5, finished=node.finished)),
            )
        )
    return out


def template(name: str, spec: Mapping[str, Any], kind: str = "WorkflowTemplate", **meta: Any) -> dict[str, Any]:
    """A WorkflowTemplate (or another kind) as the API server would give it."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "data", **meta},
        "spec": spec,
    }


def leaf(name: str, **fields: Any) -> dict[str, Any]:
    """A container template."""
    return {"name": name, "container": {"image": "registry.example/job:1", "command": ["run"]}, **fields}
