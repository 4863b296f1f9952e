"""A minimal Argo controller for tests, which names and orders the nodes of a template like the real one.

Written from workflow/controller (operator.go, dag.go, steps.go, hooks.go) and not from the code under test, so that
errors are not shared. Time is virtual: every pod takes ``duration`` seconds and starts one second after it is ready.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from concertmaster.core.model import ContainerFact, PodFact

OFFSET = 2166136261


def fnv(text: str) -> int:
    """32-bit FNV-1a, written directly from its definition."""
    value = OFFSET
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value


@dataclass(frozen=True)
class Since:
    """When something could continue, and the steps it had waited for."""

    at: float
    steps: frozenset[str] = frozenset()

    def join(self, *others: Since) -> Since:
        """The time after this and all ``others``."""
        return Since(max([self.at, *(o.at for o in others)]), self.steps.union(*(o.steps for o in others)))


@dataclass(frozen=True)
class Node:
    """The controller's view of one pod: the truth for comparisons."""

    name: str
    template: str
    step: str
    items: tuple[str, ...]
    attempt: int
    ready: float
    created: float
    finished: float
    failed: bool
    after: frozenset[str] = frozenset()


@dataclass
class Controller:
    """Runs ``spec`` as run ``run``. ``failures(node name)`` returns how many attempts of a retried pod fail first.

    ``nodes`` are its pods; ``table`` is the node table in the status of the run.
    """

    spec: Mapping[str, Any]
    run: str
    failures: Callable[[str], int] = lambda name: 0
    duration: Callable[[str], float] = lambda name: 10.0
    skip: Callable[[str], bool] = lambda name: False
    param_items: Mapping[str, list[Any]] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    table: dict[str, dict[str, Any]] = field(default_factory=dict)

    def execute(self, at: float = 1000.0) -> list[Node]:
        """All pods of one run, started at ``at`` (unix seconds)."""
        end = self._template(self.run, self.spec["entrypoint"], (), (), Since(at))
        if self.spec.get("onExit"):
            self._handler(self.run, self.spec["onExit"], (), (), end)
        return self.nodes

    def _find(self, name: str) -> Mapping[str, Any]:
        return next(t for t in self.spec["templates"] if t["name"] == name)

    def _enter(self, node: str, kind: str, at: float, **fields: Any) -> dict[str, Any]:
        identity = self.run if node == self.run else f"{self.run}-{fnv(node)}"
        entry = {"id": identity, "name": node, "type": kind, "phase": "Succeeded", "startedAt": stamp(at), **fields}
        return self.table.setdefault(identity, {**entry, "children": []})

    def _entry(self, node: str) -> dict[str, Any]:
        return self.table[self.run if node == self.run else f"{self.run}-{fnv(node)}"]

    def _link(self, parents: list[str], node: str) -> None:
        for parent in parents:
            children = self._entry(parent)["children"]
            if self._entry(node)["id"] not in children:
                children.append(self._entry(node)["id"])

    def _outbound(self, node: str) -> list[str]:
        """Names of the nodes that dependents are linked to."""
        entry = self._entry(node)
        return list(dict.fromkeys(o for n in entry["ends"] for o in self._outbound(n))) if "ends" in entry else [node]

    def _template(self, node: str, name: str, key: tuple[str, ...], items: tuple[str, ...], since: Since) -> Since:
        body = self._find(name)
        retry = body.get("retryStrategy", self.spec.get("retryStrategy"))
        if retry is None:
            return self._once(node, body, key, items, since, 0, False)
        entry = self._enter(node, "Retry", since.at, ends=[])
        failing = 0 if "dag" in body or "steps" in body else min(self.failures(node), int(retry.get("limit", 3)))
        for attempt in range(failing + 1):
            child = f"{node}({attempt})"
            since = self._once(child, body, key, items, since, attempt, attempt < failing)
            self._link([node], child)
            entry["ends"] = [child]
        entry["finishedAt"] = stamp(since.at)
        return since

    def _once(
        self,
        node: str,
        body: Mapping[str, Any],
        key: tuple[str, ...],
        items: tuple[str, ...],
        since: Since,
        attempt: int,
        failed: bool,
    ) -> Since:
        if "dag" in body:
            return self._dag(node, body["dag"]["tasks"], key, items, since)
        if "steps" in body:
            return self._steps(node, body["steps"], key, items, since)
        step = ".".join(key) or body["name"]
        kind = "Suspend" if "suspend" in body else "Pod"
        created = since.at + (0.0 if kind == "Suspend" else 1.0)
        finished = created + self.duration(node)
        phase = "Failed" if failed else "Succeeded"
        self._enter(node, kind, created, finishedAt=stamp(finished), phase=phase, templateName=body["name"])
        if kind == "Pod":
            self.nodes.append(
                Node(node, body["name"], step, items, attempt, since.at, created, finished, failed, since.steps)
            )
        return Since(finished, frozenset({step}))

    def _steps(self, node: str, groups: list[Any], key: tuple[str, ...], items: tuple[str, ...], since: Since) -> Since:
        entry = self._enter(node, "Steps", since.at, ends=[])
        before = [node]
        for index, group in enumerate(groups):
            name = f"{node}[{index}]"
            self._enter(name, "StepGroup", since.at)
            self._link(before, name)
            done, ends = [], []
            for step in group:
                end, tops = self._task(f"{name}.{step['name']}", step, key, items, since)
                self._link_all(name, tops)
                done.append(end)
                ends += tops
            since = Since(0.0).join(*done) if done else since
            entry["ends"] = ends or entry["ends"]
            before = [o for top in ends for o in self._outbound(top)] or [name]
        entry["finishedAt"] = stamp(since.at)
        return since

    def _dag(
        self, node: str, tasks: list[Mapping[str, Any]], key: tuple[str, ...], items: tuple[str, ...], since: Since
    ) -> Since:
        entry = self._enter(node, "DAG", since.at, ends=[])
        ends: dict[str, Since] = {}
        tops: dict[str, list[str]] = {}
        left = list(tasks)
        while left:
            task = next(t for t in left if all(d in ends for d in t.get("dependencies", [])))
            left.remove(task)
            before = task.get("dependencies", [])
            begin = Since(0.0).join(*(ends[d] for d in before)) if before else since
            name = f"{node}.{task['name']}"
            parents = [o for d in before for top in tops[d] for o in self._outbound(top)] or [node]
            grouped = self._expand(task) is not None
            if grouped:
                self._enter(name, "TaskGroup", begin.at, ends=[])
                self._link(parents, name)
            ends[task["name"]], tops[task["name"]] = self._task(name, task, key, items, begin)
            if grouped:
                self._entry(name)["ends"] = tops[task["name"]]
                self._link_all(name, tops[task["name"]])
                tops[task["name"]] = [name]
            else:
                for top in tops[task["name"]]:
                    self._link(parents, top)
        awaited = {d for t in tasks for d in t.get("dependencies", [])}
        last = [t["name"] for t in tasks if t["name"] not in awaited]
        entry["ends"] = [top for n in last for top in tops[n]]
        done = Since(0.0).join(*(ends[n] for n in last)) if last else since
        entry["finishedAt"] = stamp(done.at)
        return done

    def _link_all(self, parent: str, tops: list[str]) -> None:
        for top in tops:
            self._link([parent], top)

    def _task(
        self, node: str, task: Mapping[str, Any], key: tuple[str, ...], items: tuple[str, ...], since: Since
    ) -> tuple[Since, list[str]]:
        """Run one task; returns its end and the names of its top-level nodes."""
        if self.skip(node):
            return since, []
        here = (*key, task["name"])
        expanded = self._expand(task)
        names = [(node, items)] if expanded is None else [(f"{node}({e})", (*items, e)) for e in expanded]
        ends = []
        for name, own in names:
            end = self._template(name, task["template"], here, own, since)
            if task.get("onExit"):
                end = self._handler(name, task["onExit"], here, own, end)
            ends.append(end)
        done = Since(0.0).join(*ends) if ends else since
        if task.get("onExit") and expanded is not None and self._has(node):
            done = self._handler(node, task["onExit"], here, items, done)
        return done, [name for name, _ in names]

    def _has(self, node: str) -> bool:
        return f"{self.run}-{fnv(node)}" in self.table

    def _handler(
        self, node: str, template_name: str, key: tuple[str, ...], items: tuple[str, ...], since: Since
    ) -> Since:
        name = f"{node}.onExit"
        end = self._template(name, template_name, (*key, "onExit"), items, since)
        self._entry(name)["nodeFlag"] = {"hooked": True}
        self._entry(node)["finishedAt"] = stamp(since.at)
        self._link([node], name)
        return since.join(end)

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
            text = text[1:-1] if isinstance(value, str) else text  # removes the quotes, keeps the escapes
        return text.replace("(", "").replace(")", "")

    def workflow(self, **status: Any) -> dict[str, Any]:
        """The Workflow object after the run, as returned by the API server."""
        nodes = {i: {k: v for k, v in n.items() if k != "ends"} for i, n in self.table.items()}
        for node in nodes.values():
            if node["type"] in ("DAG", "Steps"):
                node["outboundNodes"] = [self._entry(o)["id"] for o in self._outbound(node["name"])]
        ends = [n["finishedAt"] for n in nodes.values() if "finishedAt" in n]
        frame = {"phase": "Succeeded", "startedAt": stamp(1000.0), "finishedAt": max(ends, default=None)}
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": self.run, "namespace": "data", "creationTimestamp": stamp(999.0)},
            "spec": {"workflowTemplateRef": {"name": "etl"}},
            "status": {**frame, "nodes": nodes, **status},
        }


def stamp(at: float) -> str:
    """A timestamp as in the API server, but with fractions of a second."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def pods(nodes: list[Node], run: str, namespace: str = "data", version: int = 2, uid: str = "") -> list[PodFact]:
    """The nodes as seen in metrics: pod names, owners and times, without node names."""
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
    """A WorkflowTemplate (or another kind) as returned by the API server."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "data", **meta},
        "spec": spec,
    }


def leaf(name: str, **fields: Any) -> dict[str, Any]:
    """A container template."""
    return {"name": name, "container": {"image": "registry.example/job:1", "command": ["run"]}, **fields}
