"""What a pipeline task reads of others, and what it shares with them: results, workspaces and claims."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_REFERENCE = re.compile(r"\$\(\s*tasks\.([a-z0-9]([-a-z0-9]*[a-z0-9])?)[.\[]")
_RESULT = re.compile(r"\$\(\s*tasks\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.(results[.\[]|(?:inputs|outputs)[.)])")
_WORKSPACE = re.compile(r"\$\(\s*workspaces(?:\.([-\w]+)|\[\\?['\"]([^'\"\\]+)\\?['\"]\])")
_READS = ("params", "matrix", "when", "taskRef", "pipelineRef", "workspaces")


def references(row: Mapping[str, Any]) -> list[str]:
    """Tasks whose results, status or reason a pipeline task reads."""
    return [m[0] for m in _REFERENCE.findall(json.dumps({k: row[k] for k in _READS if k in row}, default=str))]


def propagated(row: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Tasks whose results an embedded task spec reads, which it waits for; and those whose artifacts it reads, for which it
    waits only if it is declared to. A custom task may embed a pipeline, with tasks of its own."""
    spec = row.get("taskSpec")
    if not isinstance(spec, Mapping) or spec.get("apiVersion"):
        return set(), set()
    found = _RESULT.findall(json.dumps(spec, default=str))
    results = {name for name, what in found if what.startswith("results")}
    return results, {name for name, what in found if not what.startswith("results")}


def bound(row: Mapping[str, Any], spec: object) -> frozenset[str]:
    """Workspaces that a pipeline task binds, or that its embedded spec uses without, as the controller propagates them, and
    claims that the ``spec`` of its Task mounts: steps can share files through a common volume without declaring a result."""
    rows = row.get("workspaces")
    listed: Sequence[Any] = rows if isinstance(rows, list | tuple) else ()
    bindings = [w for w in listed if isinstance(w, Mapping)]
    own = {str(w.get("name")) for w in bindings}
    written = json.dumps(row.get("taskSpec"), default=str, ensure_ascii=False)
    used = {dotted or quoted for dotted, quoted in _WORKSPACE.findall(written)}
    volumes = spec.get("volumes") if isinstance(spec, Mapping) else None
    sources = (
        (v.get("persistentVolumeClaim") for v in volumes if isinstance(v, Mapping)) if isinstance(volumes, list) else ()
    )
    claims = {f"claim/{c.get('claimName')}" for c in sources if isinstance(c, Mapping)}
    return frozenset({*(str(w.get("workspace") or w.get("name")) for w in bindings), *(used - own), *claims})
