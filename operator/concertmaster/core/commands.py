"""One command that carries out a recommendation, ready to be pasted.

JSON Patch for custom resources (their lists are atomic, so any other patch type would replace them whole), with ``test``
operations on the names and literal old values: pasted after somebody else changed the object, it fails and says so.
CronJobs and Jobs have ``kubectl set resources``.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping

from concertmaster.core.model import ContainerSpec, Edit, Engine, StepSpec, WorkflowDefinition

_TEMPLATE = re.compile(r"^(?P<head>.*/templates/\d+)/")
_BUILT_IN = {"CronJob": "cronjob", "Job": "job"}

JsonPatch = list[dict[str, object]]


def explain(profile: str, namespace: str, recommendation: str) -> str:
    """The command that prints evidence, steps and patches of a recommendation."""
    return f"kubectl concertmaster explain -n {shlex.quote(namespace)} {shlex.quote(profile)} {recommendation}"


def resource_edit(container: ContainerSpec, resource: str, value: str, section: str = "requests") -> Edit | None:
    """The edit that sets ``resource`` ("cpu" or "memory") of a container, or None when it has no patchable place."""
    if container.resources_pointer is None:
        return None
    current = container.resources.get(section, {}).get(resource)
    return Edit(f"{container.resources_pointer}/{section}/{resource}", current, value)


def resource_patch(step: StepSpec | None, container: ContainerSpec, edits: tuple[Edit, ...]) -> JsonPatch:
    """JSON Patch for edits of one container's resources, adding the parents that do not exist yet."""
    patch: JsonPatch = []
    pointer = container.resources_pointer or ""
    found = _TEMPLATE.match(pointer)
    if found and step is not None and step.template is not None:
        patch.append({"op": "test", "path": found["head"] + "/name", "value": step.template})
    existing: dict[str, dict[str, str]] = {k: dict(v) for k, v in container.resources.items()}
    for edit in edits:
        section, resource = edit.pointer.rsplit("/", 2)[1:]
        if not existing:
            patch.append({"op": "add", "path": pointer, "value": {section: {resource: edit.proposed}}})
        elif section not in existing:
            patch.append({"op": "add", "path": f"{pointer}/{section}", "value": {resource: edit.proposed}})
        elif resource not in existing[section]:
            patch.append({"op": "add", "path": edit.pointer, "value": edit.proposed})
        else:
            patch.append({"op": "test", "path": edit.pointer, "value": existing[section][resource]})
            patch.append({"op": "replace", "path": edit.pointer, "value": edit.proposed})
        existing.setdefault(section, {})[resource] = edit.proposed or ""
    return patch


def _resource_name(definition: WorkflowDefinition) -> str:
    return _BUILT_IN.get(definition.key.kind, definition.key.kind.lower())


def set_resources(
    definition: WorkflowDefinition, step: StepSpec | None, container: ContainerSpec, edits: tuple[Edit, ...]
) -> str | None:
    """The command that sets the given requests and limits of one container, or None when nothing can be patched."""
    if not edits or container.resources_pointer is None:
        return None
    target = f"kubectl -n {shlex.quote(definition.key.namespace)}"
    if definition.engine is Engine.JOB:
        flags: dict[str, list[str]] = {}
        for edit in edits:
            section, resource = edit.pointer.rsplit("/", 2)[1:]
            flags.setdefault(section, []).append(f"{resource}={edit.proposed}")
        options = " ".join(f"--{section}={','.join(values)}" for section, values in flags.items())
        return (
            f"{target} set resources {_resource_name(definition)}/{definition.key.name} -c {container.name} {options}"
        )
    if definition.key.kind == "ClusterWorkflowTemplate":
        target = "kubectl"
    patch = json.dumps(resource_patch(step, container, edits), separators=(",", ":"))
    return f"{target} patch {_resource_name(definition)} {definition.key.name} --type=json -p {shlex.quote(patch)}"


def selector_flag(labels: Mapping[str, str]) -> str:
    """``-l a=b,c=d`` for kubectl."""
    return "-l " + ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
