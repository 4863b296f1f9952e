"""The workflow after a recommendation: its edits, or what its table says where there are none, are written into its object,
and read back as the API server does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.resources.law import GPU, Elsewhere, Flow, Step
from benchmarks.resources.manifests import manifest, places
from concertmaster.core.changes.json_patch import parts
from concertmaster.core.model import Edit, Recommendation
from concertmaster.core.model.amounts import quantity

_POD = "pod"  # what the table calls the pod as a whole


def applied(flow: Flow, item: Recommendation) -> Flow | None:
    """The workflow with all that the recommendation sets; None where it sets no amount."""
    if item.rule == "volume-size":
        return _resized(flow, item)
    changed = manifest(flow)
    for edit in item.edits:
        _edit(changed, edit)
    if not item.edits and not _tabled(flow, item, changed):
        return None
    made = _read_all(flow, changed)
    return made if item.edits or flow.elsewhere is None else replace(made, elsewhere=_there(flow.elsewhere, item))


def _there(other: Elsewhere, item: Recommendation) -> Elsewhere:
    """What is set elsewhere, with the rows of the table."""
    for row in item.items:
        section, _, resource = row.field.partition(".")
        if (row.step, row.container) == (other.step, "main"):
            other = other.with_row(section, resource, quantity(row.new.replace(" ", "")) or 0.0)
    return other


def written(flow: Flow) -> Flow:
    """The workflow with its amounts as its object has them: in whole millicores and MiB."""
    return _read_all(flow, manifest(flow))


def _read_all(flow: Flow, document: Mapping[str, Any]) -> Flow:
    return replace(flow, steps=tuple(_read(flow, step, document) for step in flow.steps))


def _edit(document: dict[str, Any], edit: Edit) -> None:
    *way, last = parts(edit.pointer)
    at: Any = document
    for part in way:
        at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
    if edit.proposed is None:
        at.pop(last, None)
    else:
        at[last] = json.loads(edit.proposed) if edit.proposed.startswith(("{", "[")) else edit.proposed.strip('"')


def _tabled(flow: Flow, item: Recommendation, document: dict[str, Any]) -> bool:
    """Write the rows of the table into the object; whether there are any."""
    for row in item.items:
        step = next((s for s in flow.steps if s.name == row.step), None)
        where = {} if step is None else dict(places(flow, step))
        path = where.get("" if row.container == _POD else row.container)
        if path is None:
            return False
        at: Any = document
        for part in path:
            at = at[part] if isinstance(part, int) else at.setdefault(part, {})
        section, _, resource = row.field.partition(".")
        at.setdefault(section, {})[resource] = row.new.replace(" ", "")
    return bool(item.items)


def _read(flow: Flow, step: Step, document: Mapping[str, Any]) -> Step:
    """The step with the resources and retries that the object declares."""
    step = replace(step, retries=_retries(flow, step, document))
    for name, path in places(flow, step):
        at: Any = document
        for part in path:
            at = at[part] if isinstance(part, int) else at.get(part, {})
        requests, limits = (_amounts(at.get(section, {})) for section in ("requests", "limits"))
        if name:
            step = step.having(name, replace(step.container(name), requests=requests, limits=limits))
        else:
            step = replace(step, requests=requests, limits=limits)
    return step


def _retries(flow: Flow, step: Step, document: Mapping[str, Any]) -> int:
    if flow.engine == "cronjob":
        return int(document["spec"]["jobTemplate"]["spec"]["backoffLimit"])
    template = document["spec"]["templates"][1 + [s.name for s in flow.steps].index(step.name)]
    return int(template.get("retryStrategy", {}).get("limit", 0))


def _amounts(declared: Mapping[str, object]) -> dict[str, float]:
    found = {k: quantity(int(str(v)) if k == GPU else v) for k, v in declared.items()}
    return {k: v for k, v in found.items() if v is not None}


def _resized(flow: Flow, item: Recommendation) -> Flow | None:
    """The workflow whose volume has the proposed size."""
    size = quantity(re.sub(r"\s", "", item.proposed))
    claim = item.id.partition(".")[2]
    step = next((s for s in flow.steps if s.volume is not None and s.volume.claim == claim), None)
    if size is None or step is None or step.volume is None:
        return None
    return flow.having(replace(step, volume=replace(step.volume, capacity=size)))
