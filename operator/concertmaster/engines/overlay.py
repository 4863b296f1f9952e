"""Fields of one object over those of another, as Argo lays templates over ``templateDefaults``, the spec of a CronWorkflow
over the template it starts, and all of them over its controller's defaults: by strategic merge patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import WorkflowGraph

# Lists whose members have a key of their own: they are merged by it, all others are replaced as a whole.
_KEYED = {"sidecars": "name", "initContainers": "name", "volumes": "name", "volumeMounts": "mountPath", "env": "name",
          "parameters": "name", "artifacts": "name"}  # fmt: skip
UNPATCHED = ("activeDeadlineSeconds", "parallelism", "podResources", "templateDefaults")
"""Fields that changes would set in the template."""

_DEEPEST = 20  # levels of objects that are merged


def merged(own: Mapping[str, Any], defaults: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """``own`` over ``defaults``, as Argo merges them (a strategic merge patch). Empty text and lists count as omitted. In
    merged lists the members of ``own`` come first, in their order."""
    out = dict(defaults)
    for key, value in own.items():
        under = defaults.get(key)
        if value is None or value == "" or value == []:
            out.setdefault(key, value)
        elif isinstance(value, Mapping) and isinstance(under, Mapping) and depth < _DEEPEST:
            # A hook is taken as a whole: its expression and arguments belong to its template.
            out[key] = {**under, **value} if key == "hooks" else merged(value, under, depth + 1)
        elif isinstance(value, list) and isinstance(under, list) and key in _KEYED:
            rest = {str(row.get(_KEYED[key])): row for row in under if isinstance(row, Mapping)}
            rows = [(row, rest.pop(str(row.get(_KEYED[key])), {}) if isinstance(row, Mapping) else {}) for row in value]
            out[key] = [*(merged(row, below, depth + 1) if below else row for row, below in rows), *rest.values()]
        else:
            out[key] = value
    return out


def unpatched(graph: WorkflowGraph, fields: Sequence[str], spec: str = "/spec") -> WorkflowGraph:
    """``graph`` without the patch points of these fields of the spec, which another object sets."""
    places = tuple(f"{spec}/{field}" for field in fields)
    steps = [
        replace(s, pod=replace(s.pod, resources_pointer=None))
        if s.pod is not None and (s.pod.resources_pointer or "").startswith(places)
        else s
        for s in graph.steps
    ]
    own = None if {"activeDeadlineSeconds", "parallelism"}.intersection(fields) else graph.parallelism_pointer
    return replace(graph, steps=tuple(steps), parallelism_pointer=own)
