"""Argo: a run from the node table of its Workflow.

Step names come from the display names along the boundaries of nodes. Dependencies of a node come from the template of
its boundary: the dependencies of a DAG task, the previous group in steps, the previous attempt in a retry, the task
itself for its exit hook, everything for the exit handler.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace

import zstandard

from benchmarks.torture.truth import Key, Leaf, Object, Truth, unix

_ZSTD = b"\x28\xb5\x2f\xfd"
_OVERDUE = "Step exceeded its deadline"
_ITEM = re.compile(r"\((\d+:.*)\)$", re.DOTALL)
_TRY = re.compile(r"\((\d+)\)$")
_HANDLER = re.compile(r"\.(onExit|hooks\.[^.]+)$")
_HOOK = re.compile(r"(^|\.)hooks\.[^.]+$")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PHASES = {"Succeeded": "Succeeded", "Failed": "Failed", "Error": "Failed", "Skipped": "Skipped", "Omitted": "Skipped"}
_INNER = {"Steps", "DAG", "TaskGroup", "StepGroup", "Retry"}


def _dense(keys: dict[str, Key]) -> dict[str, Key]:
    """Attempts numbered from 0 without gaps, per step and item."""
    numbers: dict[tuple[str, str | None], set[int]] = {}
    for step, item, attempt in keys.values():
        numbers.setdefault((step, item), set()).add(attempt)
    return {i: (s, item, sorted(numbers[s, item]).index(attempt)) for i, (s, item, attempt) in keys.items()}


def _tasks(template: Object) -> list[Object]:
    """The tasks or steps of a template; none if it has a pod."""
    return [*(template.get("dag") or {}).get("tasks", ()), *(s for group in template.get("steps") or () for s in group)]


def _unpacked(text: str) -> bytes:
    """A packed node table: gzip, or zstd with its own first bytes."""
    data = base64.b64decode(text)
    return zstandard.ZstdDecompressor().decompress(data) if data[:4] == _ZSTD else gzip.decompress(data)


class ArgoRun:
    """The node table of one Workflow, read by boundaries."""

    def __init__(self, raw: Object) -> None:
        self.raw, self.status = raw, raw["status"]
        self.name: str = raw["metadata"]["name"]
        packed = self.status.get("compressedNodes")
        table = json.loads(_unpacked(packed)) if packed else self.status.get("nodes") or {}
        self.nodes: dict[str, Object] = table
        self.early = False
        self.retry_of = {
            child: node["id"]
            for node in table.values()
            if node["type"] == "Retry"
            for child in node.get("children") or ()
            if not _HANDLER.search(table.get(child, {}).get("displayName", ""))  # which its last attempt leads to
        }
        stored = self.status.get("storedWorkflowTemplateSpec") or raw["spec"]
        self.templates = {t["name"]: t for t in stored.get("templates") or ()}
        self.referenced = {k.rsplit("/", 1)[-1]: t for k, t in (self.status.get("storedTemplates") or {}).items()}

    def truth(self, workflow: str) -> Truth:
        """The run in the common form."""
        found = Truth(workflow, self.name, _PHASES.get(self.status.get("phase", ""), "Running"))
        leaves = {i: n for i, n in self.nodes.items() if self._is_leaf(n)}
        keys = _dense({i: self.key(n) for i, n in leaves.items()})
        parts = {i: self._not_run(n) for i, n in leaves.items()}
        inside = {
            i: [(f"{s}.{p}" if p else s, item, at) for p in parts[i] or [""]] for i, (s, item, at) in keys.items()
        }
        keys |= {i: own[0] for i, own in inside.items()}
        for identity, node in leaves.items():
            memo = node.get("memoizationStatus") or {}
            outcome = "Cached" if memo.get("hit") else _PHASES.get(node.get("phase", ""), "Running")
            ended = node.get("finishedAt")
            if outcome == "Running" and found.outcome != "Running":  # not updated when the run failed
                outcome, ended = "Unknown", ended or self.status["finishedAt"]
            ran = outcome not in ("Skipped", "Cached")
            before = frozenset(k for i in self._before(node) if i in keys and i != identity for k in inside[i])
            if not keys[identity][0]:
                continue
            leaf = Leaf(*keys[identity], outcome, unix(node.get("startedAt")), unix(ended),
                        node["name"] if node["type"] == "Pod" and ran else None, before, ran,
                        node.get("message") == _OVERDUE)  # fmt: skip
            found.add(leaf)
            for step, *_ in inside[identity][1:]:
                found.add(replace(leaf, step=step))
        found.early = self.early
        start, end = unix(self.status.get("startedAt")), unix(self.status.get("finishedAt"))
        found.own = None if start is None or end is None else (start, end)
        found.unknown_items = frozenset(k[0] for k in keys.values() if k[1] is not None and self._dynamic(k[0]))
        for node in leaves.values():
            if self._template(node).get("daemon"):
                key = keys[node["id"]]
                # It delays others until it is ready, which is no later than the begin of the first of them.
                served = [o.begun for o in found.leaves.values() if key in o.before and o.begun is not None]
                if served:
                    found.free[key] = min(*served, found.leaves[key].ended or min(served))
                around = self.nodes.get(node.get("boundaryID", ""))
                beside = [self.nodes[i] for i in self._inside(around)] if around else []
                ends = [unix(n.get("finishedAt")) for n in beside if not self._template(n).get("daemon")]
                if None not in ends:
                    found.served[key] = max(at for at in ends if at is not None)
        return found

    def _is_leaf(self, node: Object) -> bool:
        if node["type"] == "Container":
            return False
        cached = (node.get("memoizationStatus") or {}).get("hit")
        return node["type"] not in _INNER or bool(cached)

    def _not_run(self, node: Object) -> list[str]:
        """Names of the tasks inside a node with a template of tasks that was skipped, or answered from a cache; none for
        all others, and where the template calls itself."""
        around: list[str] = []
        outer = self._outer(node)
        while outer is not None:
            around.append(outer.get("templateName", ""))
            outer = self._outer(outer)
        return [] if node["type"] == "Pod" else self._called(self._template(node), around)

    def _called(self, template: Object, around: list[str]) -> list[str]:
        if template.get("name") in around:
            return []
        inner = [*around, str(template.get("name"))]
        called = [(t["name"], self._called(self._template(t), inner)) for t in _tasks(template)]
        return [f"{name}.{part}" if part else name for name, parts in called for part in parts or [""]]

    def _task(self, node: Object) -> Object:
        """The node that represents the task: the retry around an attempt."""
        while node["id"] in self.retry_of:
            node = self.nodes[self.retry_of[node["id"]]]
        return node

    def _outer(self, node: Object) -> Object | None:
        """The node of the task whose template contains a task; None at the top level."""
        boundary = self._task(node).get("boundaryID")
        return self._task(self.nodes[boundary]) if boundary in self.nodes else None

    def _label(self, node: Object) -> tuple[str, str | None]:
        """Name and item of a task."""
        shown: str = node["displayName"]
        hook = ""
        for mark in (".onExit", ".hooks."):
            at = shown.rfind(mark)
            if at >= 0:
                shown, hook = shown[:at], shown[at:]
                break
        match = _ITEM.search(shown)
        item = match.group(1) if match else None
        name = shown[: match.start()] if match else shown
        if name == self.name:
            name = ""
        return (f"{name}{hook}").lstrip("."), item

    def key(self, node: Object) -> Key:
        """Step, item and attempt; attempts of nested retries are numbered consecutively."""
        names: list[str] = []
        items: list[str] = []
        tries: list[int] = []
        here: Object | None = node
        while here is not None:
            walk = here
            while walk["id"] in self.retry_of:
                match = _TRY.search(walk["displayName"])
                tries.append(int(match.group(1)) if match else 0)
                walk = self.nodes[self.retry_of[walk["id"]]]
            name, item = self._label(walk)
            if name:
                names.append(name)
            if item is not None:
                items.append(item)
            boundary = walk.get("boundaryID")
            here = self.nodes.get(boundary) if boundary else None
        attempt = 0
        for number in reversed(tries):
            attempt = attempt * 64 + number
        top = node.get("templateName") or "main"
        return ".".join(reversed(names)) or str(top), " / ".join(reversed(items)) or None, attempt

    def _inside(self, task: Object) -> list[str]:
        """All leaves inside a task."""
        found, open_nodes = [], [task]
        while open_nodes:
            node = open_nodes.pop()
            if self._is_leaf(node):
                found.append(node["id"])
            open_nodes += [n for n in self.nodes.values() if n.get("boundaryID") == node["id"]]
            open_nodes += [
                self.nodes[c]
                for c in node.get("children") or ()
                if self.retry_of.get(c) == node["id"] and c in self.nodes
            ]
        return found

    def _siblings(self, boundary: str | None) -> list[Object]:
        """Tasks in the same template; groups and attempts are not tasks."""
        return [
            n
            for n in self.nodes.values()
            if n.get("boundaryID") == boundary
            and n["type"] not in ("TaskGroup", "StepGroup")
            and n["id"] not in self.retry_of
        ]

    def _before(self, node: Object) -> list[str]:
        """Leaves that a leaf may have waited for."""
        if node["id"] in self.retry_of:
            tries = [c for c in self.nodes[self.retry_of[node["id"]]].get("children") or () if c in self.retry_of]
            at = tries.index(node["id"])
            if at > 0:
                return self._inside(self.nodes[tries[at - 1]])
        task = self._task(node)
        boundary = task.get("boundaryID")
        name, item = self._label(task)
        if name.endswith("onExit") or _HOOK.search(name):
            return self._before_handler(task, name, item, boundary)
        if boundary not in self.nodes:
            return []
        around = self.nodes[boundary]
        template = self._template(around)
        named = self._dependencies(template, name)
        if not named:
            return self._before(around)
        return [
            leaf
            for n in self._siblings(boundary)
            if self._label(n)[0].split(".")[0] in named
            for leaf in self._inside(n)
        ]

    def _before_handler(self, task: Object, name: str, item: str | None, boundary: str | None) -> list[str]:
        if boundary in self.nodes:  # handler of a task: depends on the same item of it
            owner = name.split(".")[0]
            owners = [
                n
                for n in self._siblings(boundary)
                if (self._label(n)[0] == owner and (item is None or self._label(n)[1] == item))
                or (item is None and self._label(n)[1] is not None and self._label(n)[0] == name)
            ]
            if _HOOK.search(name) and any(n["finishedAt"] > task["startedAt"] for n in owners if n.get("finishedAt")):
                # Its expression became true while the task ran: it waited for what the task had waited for.
                self.early = True
                return [leaf for n in owners if self._label(n)[0] == owner for leaf in self._before(n)]
            return [leaf for n in owners for leaf in self._inside(n)]
        if name.startswith("hooks."):
            return []
        main = [
            n for n in self.nodes.values() if self._is_leaf(n) and not self.key(n)[0].startswith(("onExit", "hooks."))
        ]
        return [n["id"] for n in main]

    def _template(self, node: Object) -> Object:
        """The template of a node or task."""
        reference = node.get("templateRef")
        if reference:
            return dict(self.referenced.get(reference["template"], {}))
        return dict(self.templates.get(node.get("templateName") or node.get("template") or "", {}))

    def _dependencies(self, template: Object, name: str) -> set[str]:
        """Names of the tasks that a task depends on, in its own template."""
        if "dag" in template:
            tasks = {t["name"]: t for t in template["dag"]["tasks"]}
            own = tasks.get(name, {})
            return set(own.get("dependencies") or ()) | (set(_WORD.findall(own.get("depends") or "")) & set(tasks))
        groups = [[s["name"] for s in group] for group in template.get("steps") or ()]
        at = next((i for i, group in enumerate(groups) if name in group), 0)
        return set(groups[at - 1]) if at > 0 else set()

    def _dynamic(self, step: str) -> bool:
        """Whether a step, or one around it, fans out over a list that only exists at run time."""
        last = step.split(".")
        tasks = [t for template in self.templates.values() for t in _tasks(template)]
        return any(t["name"] in last and ("withParam" in t or "{{" in str(t.get("withSequence"))) for t in tasks)
