"""What a task depends on, and whether the dependency transfers data or only defines an order.

An edge without a data reference may be unnecessary, which is worth a recommendation; calling a real data edge
unnecessary would be harmful. Therefore everything that may transfer data counts: parameters, artifacts, results, exit
codes and status of another task, global outputs, a shared volume, a ``depends`` on a particular result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.engines.argo.tasks import read_tasks
from concertmaster.engines.argo.templates import Called, Templates

_REFERENCE = re.compile(r"\b(?:tasks|steps)(?:\.([a-zA-Z0-9][-\w]*)|\[\s*\\?['\"]([^'\"\\]+)\\?['\"]\s*\])")
_GLOBAL = re.compile(r"\bworkflow\.outputs\.(?:parameters|artifacts)\.([\w-]+)")
_encode = json.JSONEncoder(default=str, ensure_ascii=False).encode
_DEEPEST = 5  # levels of called templates whose volumes count
_Frame = tuple[str, str]
# Fields about the task itself, not about the arguments of its template.
_READS = ("arguments", "when", "withParam", "withItems", "withSequence", "hooks", "onExit", "inline")


@dataclass(frozen=True, slots=True)
class Reads:
    """What a task reads: names of sibling ``tasks`` or steps whose outputs, status or times it reads, and of global outputs
    (``workflow.outputs...``)."""

    tasks: frozenset[str] = frozenset()
    outputs: frozenset[str] = frozenset()


_NOTHING = Reads()


def reads(task: Mapping[str, Any]) -> Reads:
    """What ``task`` reads."""
    fields = {k: task[k] for k in _READS if k in task}
    if not fields:
        return _NOTHING
    written = _encode(fields)
    tasks = frozenset(dotted or quoted for dotted, quoted in _REFERENCE.findall(written))
    return Reads(tasks, frozenset(_GLOBAL.findall(written)))


def _global_writes(template: Mapping[str, Any]) -> frozenset[str]:
    """Names of global outputs that ``template`` exports with ``globalName``."""
    outputs = template.get("outputs")
    if not isinstance(outputs, Mapping):
        return frozenset()
    rows = [*_rows(outputs.get("parameters")), *_rows(outputs.get("artifacts"))]
    return frozenset(str(r["globalName"]) for r in rows if r.get("globalName"))


def _own_mounts(template: Mapping[str, Any], shared: Iterable[str]) -> frozenset[str]:
    """The ``shared`` volume names that some container of ``template`` mounts."""
    names = set(shared)
    if not names:
        return frozenset()
    parts: list[Any] = [template.get("container"), template.get("script"), template.get("containerSet")]
    parts += [*_rows(template.get("sidecars")), *_rows(template.get("initContainers"))]
    if isinstance(template.get("containerSet"), Mapping):
        parts += _rows(template["containerSet"].get("containers"))
    used = {str(m.get("name")) for p in parts if isinstance(p, Mapping) for m in _rows(p.get("volumeMounts"))}
    return frozenset(used & names)


def _shared_volumes(spec: Mapping[str, Any]) -> frozenset[str]:
    """Names of a run's volumes through which steps can share files: claims, host paths, network shares."""
    names = {str((r.get("metadata") or {}).get("name")) for r in _rows(spec.get("volumeClaimTemplates")) if _is_map(r)}
    private = {"name", "emptyDir", "configMap", "secret", "downwardAPI", "projected", "image"}
    for row in _rows(spec.get("volumes")):
        if any(kind not in private for kind in row):
            names.add(str(row.get("name")))
    return frozenset(names)


def _is_map(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("metadata"), Mapping)


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [r for r in value if isinstance(r, Mapping)] if isinstance(value, list | tuple) else []


class HandOvers:
    """What the templates of one workflow hand to each other besides arguments: global outputs, and files on shared volumes.
    Each template is looked through once."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._shared = _shared_volumes(templates.spec)
        self._mounted: dict[_Frame, frozenset[str]] = {}
        self._imported: dict[_Frame, frozenset[str]] = {}
        self._exported: dict[_Frame, frozenset[str]] = {}

    def between(self, above: Called | None, callee: Called | None, own: Reads) -> bool:
        """Whether template ``above`` may hand something to a task that reads ``own`` and calls ``callee``."""
        if above is None:
            return False
        if self._shared and callee is not None and self._mounts(callee) & self._mounts(above):
            return True
        exported = self._exports(above)
        return bool(exported) and bool(exported & (own.outputs | self._imports(callee)))

    def _imports(self, called: Called | None) -> frozenset[str]:
        """Global outputs that a template reads."""
        if called is None:
            return frozenset()
        frame = (called.scope, called.name)
        if not called.name or frame not in self._imported:
            self._imported[frame] = reads({"inline": called.body}).outputs
        return self._imported[frame]

    def _exports(self, called: Called) -> frozenset[str]:
        """Global outputs that a template writes."""
        frame = (called.scope, called.name)
        if not called.name or frame not in self._exported:
            self._exported[frame] = _global_writes(called.body)
        return self._exported[frame]

    def _mounts(self, called: Called, depth: int = 0) -> frozenset[str]:
        """Shared volumes mounted by a template or anything it calls (a few levels deep)."""
        frame = (called.scope, called.name)
        if called.name and frame in self._mounted:
            return self._mounted[frame]
        mounted = _own_mounts(called.body, self._shared)
        if called.kind in ("dag", "steps") and depth < _DEEPEST:
            for task in read_tasks(called, called.name, self._templates.problems):
                below = self._templates.called(task.raw, called.scope, task.where, task.at)
                mounted |= self._mounts(below, depth + 1) if below is not None else frozenset()
        self._mounted[frame] = mounted
        return mounted
