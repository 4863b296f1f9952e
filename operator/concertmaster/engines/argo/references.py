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

# Both patterns follow workflow/common/ancestry.go.
_NAME = re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9]*)(?:\.([A-Z][a-zA-Z]+))?")
_PLAIN_RESULTS = {None, "Succeeded", "Skipped", "Daemoned"}
_RESULTS = {"Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed"}
_REFERENCE = re.compile(r"\b(?:tasks|steps)(?:\.([a-zA-Z0-9][-\w]*)|\[\s*\\?['\"]([^'\"\\]+)\\?['\"]\s*\])")
_GLOBAL = re.compile(r"\bworkflow\.outputs\.(?:parameters|artifacts)\.([\w-]+)")
# Fields about the task itself, not about the arguments of its template.
_READS = ("arguments", "when", "withParam", "withItems", "withSequence", "hooks", "onExit", "inline")


@dataclass(frozen=True, slots=True)
class Depends:
    """Tasks in a ``depends`` expression. ``chosen``: those whose particular result matters (also in an "or"), so that
    the edge decides whether the task runs at all. ``unknown_results``: results that Argo does not define."""

    names: tuple[str, ...]
    chosen: frozenset[str] = frozenset()
    unknown_results: tuple[str, ...] = ()


def parse_depends(expression: str) -> Depends:
    """Parse ``A && (B.Failed || C)``. Names are in order of first occurrence."""
    names: dict[str, None] = {}
    chosen: set[str] = set()
    unknown: list[str] = []
    either = "||" in expression or "!" in expression
    for name, result in _NAME.findall(expression):
        names.setdefault(name)
        if either or (result or None) not in _PLAIN_RESULTS:
            chosen.add(name)
        if result and result not in _RESULTS:
            unknown.append(f"{name}.{result}")
    return Depends(tuple(names), frozenset(chosen), tuple(unknown))


def references(task: Mapping[str, Any]) -> frozenset[str]:
    """Names of sibling tasks or steps whose outputs, status or times ``task`` reads."""
    names = _REFERENCE.findall(_written(task))
    return frozenset(dotted or quoted for dotted, quoted in names)


def global_reads(task: Mapping[str, Any]) -> frozenset[str]:
    """Names of global outputs (``workflow.outputs...``) that ``task`` reads."""
    return frozenset(_GLOBAL.findall(_written(task)))


def global_writes(template: Mapping[str, Any]) -> frozenset[str]:
    """Names of global outputs that ``template`` exports with ``globalName``."""
    outputs = template.get("outputs")
    if not isinstance(outputs, Mapping):
        return frozenset()
    rows = [*_rows(outputs.get("parameters")), *_rows(outputs.get("artifacts"))]
    return frozenset(str(r["globalName"]) for r in rows if r.get("globalName"))


def mounts(template: Mapping[str, Any], shared: Iterable[str]) -> frozenset[str]:
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


def shared_volumes(spec: Mapping[str, Any]) -> frozenset[str]:
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


def _written(task: Mapping[str, Any]) -> str:
    return json.dumps({k: task[k] for k in _READS if k in task}, default=str, ensure_ascii=False)
