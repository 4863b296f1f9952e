"""Which fields of which kinds a change may set: parallelism and requests, nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.core.changes import json_patch as jsonpatch

_ARGO = r"(/spec|/spec/workflowSpec)"
_TEMPLATE = _ARGO + r"/templates/\d+((/dag/tasks/\d+|/steps/\d+/\d+)/inline)*"
_CONTAINER = r"(container|script|(sidecars|initContainers|containerSet/containers)/\d+)"
_REQUEST = r"/requests/(?P<resource>cpu|memory)"
_TASK = r"((steps|sidecars)/\d+|stepTemplate)/computeResources"
_TEKTON_STEP = re.compile(r"(?P<task>.*)/steps/\d+(?P<field>/computeResources/(requests|limits)/[a-z]+)")
_ARGO_POINTERS = (
    re.compile(rf"{_ARGO}/(?P<resource>parallelism)"),
    re.compile(rf"{_TEMPLATE}/(?P<resource>parallelism)"),
    re.compile(rf"{_TEMPLATE}/{_CONTAINER}/resources{_REQUEST}"),
)
ALLOWED: Mapping[str, tuple[re.Pattern[str], ...]] = {
    "WorkflowTemplate": _ARGO_POINTERS,
    "ClusterWorkflowTemplate": _ARGO_POINTERS,
    "CronWorkflow": _ARGO_POINTERS,
    "CronJob": (
        re.compile(r"/spec/jobTemplate/spec/(?P<resource>parallelism)"),
        re.compile(rf"/spec/jobTemplate/spec/template/spec/(containers|initContainers)/\d+/resources{_REQUEST}"),
    ),
    "Pipeline": (re.compile(rf"/spec/(tasks|finally)/\d+/taskSpec/{_TASK}{_REQUEST}"),),
    "Task": (re.compile(rf"/spec/{_TASK}{_REQUEST}"),),
}


def allowed(kind: str, pointer: str) -> str | None:
    """The resource a pointer sets (cpu, memory, parallelism) when changes of ``kind`` may set it, else None."""
    found = next((m for p in ALLOWED.get(kind, ()) if (m := p.fullmatch(pointer)) is not None), None)
    return None if found is None else found["resource"]


def inherited(kind: str, pointer: str) -> str | None:
    """The pointer of the value that holds where nothing stands at ``pointer``: a Tekton step takes what it does not say
    from its Task's ``stepTemplate``; None for every other place (sidecars take nothing)."""
    found = _TEKTON_STEP.fullmatch(pointer) if kind in ("Task", "Pipeline") else None
    return None if found is None else f"{found['task']}/stepTemplate{found['field']}"


def within(kind: str, operations: Sequence[Mapping[str, Any]]) -> str | None:
    """The first path a patch would write outside the fields that may be changed, None when there is none.

    A parent is added whole where it is missing: then what it holds is judged leaf by leaf.
    """
    for operation in operations:
        if operation.get("op") == "test":
            continue
        path = str(operation.get("path"))
        if operation.get("op") == "remove":  # of an inverse: what the change added, possibly with its parents
            leaves = [path, f"{path}/cpu", f"{path}/memory", f"{path}/requests/cpu", f"{path}/requests/memory"]
            if not any(allowed(kind, leaf) for leaf in leaves):
                return path
        elif operation.get("op") not in ("add", "replace"):
            return path
        else:
            outside = next((p for p in _leaves(path, operation.get("value")) if not allowed(kind, p)), None)
            if outside is not None:
                return outside
    return None


def _leaves(path: str, value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [leaf for k, v in value.items() for leaf in _leaves(f"{path}{jsonpatch.join([str(k)])}", v)]
    return [path]
