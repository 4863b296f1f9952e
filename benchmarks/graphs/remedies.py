"""The workflow after a recommendation was followed: its edits are written into the law as they are into the manifest."""

from __future__ import annotations

import json
from dataclasses import replace

from benchmarks.graphs.law import Flow
from benchmarks.graphs.manifests import GPU, manifest, template_of
from concertmaster.core.changes.json_patch import parts
from concertmaster.core.model import Edit, Recommendation
from concertmaster.core.model.amounts import quantity

_FIELDS = {
    ("requests", "cpu"): "cpu_request",
    ("requests", "memory"): "memory_request",
    ("limits", "cpu"): "cpu_limit",
    ("limits", "memory"): "memory_limit",
}


def edited(flow: Flow, item: Recommendation) -> Flow:
    """The workflow with all edits of the recommendation."""
    templates = manifest(flow)["spec"]["templates"]
    for edit in item.edits:
        flow = _with(flow, edit, templates)
    return flow


def _with(flow: Flow, edit: Edit, templates: list[dict[str, object]]) -> Flow:
    _, *path = parts(edit.pointer)
    if path == ["parallelism"]:
        return replace(flow, parallelism=int(edit.proposed) if edit.proposed else None)
    if path == ["activeDeadlineSeconds"]:
        return replace(flow, limit=float(edit.proposed) if edit.proposed else None)
    _, index, *field = path
    step = next(s for s in flow.steps if template_of(s.name) == templates[int(index)]["name"])
    match field:
        case ["activeDeadlineSeconds"]:
            return flow.having(step.name, timeout=float(edit.proposed or 0.0))
        case ["retryStrategy"]:
            return flow.having(step.name, retries=int(json.loads(edit.proposed or "{}").get("limit", 0)))
        case ["retryStrategy", "limit"]:
            return flow.having(step.name, retries=int((edit.proposed or "0").strip('"')))
        case ["memoize"]:
            age = json.loads(edit.proposed or "{}")["maxAge"]
            return flow.having(step.name, cached=3600.0 * float(age.removesuffix("h")))
        case [*where, "resources", kind, name] if name == GPU:
            changes: dict[str, object] = {"gpus": int(edit.proposed or 0)}
        case [*where, "resources", kind, name]:
            changes = {_FIELDS[kind, name]: quantity(edit.proposed) if edit.proposed else None}
        case _:
            raise ValueError(f"{edit.pointer}: no field of the law")
    container = "main" if where == ["container"] else next(c.name for c in step.containers if c.name != "main")
    changed = step.resized(container, **changes)
    return flow.having(step.name, containers=changed.containers)
