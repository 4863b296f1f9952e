"""The command that applies a recommendation, and the same change as a kustomize patch for Git.

JSON Patch for every kind (lists of custom resources are atomic, so other patch types would replace them as a whole), with
``test`` operations on names and on the literal old values, ``null`` for missing ones: it fails with a clear error if the
object has changed meanwhile.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from concertmaster.core.model import TASK, ContainerSpec, Edit, WorkflowDefinition

_TEMPLATE = re.compile(r"^(?P<head>.*/templates/\d+)(/|$)")
_OPENS = re.compile(r"kubectl (-n \S+ )?edit ")

JsonPatch = list[dict[str, object]]


def explain(profile: str, namespace: str, recommendation: str) -> str:
    """The command that prints evidence, steps and patches of a recommendation."""
    return f"kubectl concertmaster explain -n {shlex.quote(namespace)} {shlex.quote(profile)} {shlex.quote(recommendation)}"


def resource_edit(container: ContainerSpec, resource: str, value: str, section: str = "requests") -> Edit | None:
    """The edit that sets ``resource`` ("cpu", "nvidia.com/gpu" ...) of a container; None without a patchable location."""
    if container.resources_pointer is None:
        return None
    current = container.resources.get(section, {}).get(resource)
    literal = current if current is None or isinstance(current, str) else json.dumps(current)
    key = resource.replace("~", "~0").replace("/", "~1")
    return Edit(f"{container.resources_pointer}/{section}/{key}", literal, value, container.holder)


def field_edit(pointer: str, current: object, proposed: object) -> Edit:
    """The edit of any other field: both values as JSON, which keeps text and numbers distinct; None: not set."""
    return Edit(pointer, None if current is None else json.dumps(current), json.dumps(proposed))


def json_patch(definition: WorkflowDefinition, edits: Sequence[Edit]) -> JsonPatch:
    """JSON Patch for the edits of one object: guards on template and container names first, then each change guarded by a
    test of the current value. Missing parents are added once."""
    holder = edits[0].holder if edits else None
    containers = {
        c.resources_pointer: c
        for s in definition.graph.steps
        for c in s.sized
        if c.resources_pointer is not None and c.holder == holder
    }
    guards: dict[str, str] = {}
    changes: JsonPatch = []
    templates = _templates(definition)
    existing = {at: {k: dict(v) for k, v in c.resources.items()} for at, c in containers.items()}
    for edit in edits:
        at = edit.pointer.rsplit("/", 2)[0]
        guards.update(_guards(definition, templates, edit.pointer, containers.get(at)))
        if at in containers:
            if not existing[at]:
                changes.append({"op": "test", "path": at, "value": {} if containers[at].empty_resources else None})
            changes += _resource(edit, at, existing[at])
        else:
            changes += _field(edit)
    names: JsonPatch = [{"op": "test", "path": path, "value": value} for path, value in guards.items()]
    return names + changes


def _templates(definition: WorkflowDefinition) -> dict[str, str]:
    """Name of the template at each pointer, that of its first step."""
    names: dict[str, str] = {}
    for step in definition.graph.steps:
        for place in (step.pointer, *(c.resources_pointer for c in step.sized)):
            match = _TEMPLATE.match(place or "")
            if match and step.template:
                names.setdefault(match["head"], step.template)
    return names


def _guards(
    definition: WorkflowDefinition, templates: Mapping[str, str], pointer: str, container: ContainerSpec | None
) -> dict[str, str]:
    """Names of list members on the path of the pointer, to be tested."""
    match = _TEMPLATE.match(pointer)
    if match and match["head"] in templates:
        return {f"{match['head']}/name": templates[match["head"]]}
    if container is None or container.resources_pointer is None:
        return {}
    owner = container.resources_pointer.rpartition("/")[0]
    engine = definition.engine
    name = engine.container_name(container.name)
    guards = {}
    called = engine.caller.match(owner) if engine.caller is not None else None
    if called is not None:
        caller = next((s.name for s in definition.graph.steps if container in s.sized), None)
        if caller is not None:
            guards[f"{called[0]}/name"] = caller
    if name is not None and owner.rpartition("/")[2].isdigit():
        guards[f"{owner}/name"] = name
    return guards


def _resource(edit: Edit, at: str, existing: dict[str, dict[str, str | int | float]]) -> JsonPatch:
    section, resource = edit.pointer.rsplit("/", 2)[1:]
    resource = resource.replace("~1", "/").replace("~0", "~")
    patch: JsonPatch
    if not existing:
        patch = [{"op": "add", "path": at, "value": {section: {resource: edit.proposed}}}]
    elif section not in existing:
        path = f"{at}/{section}"
        patch = [_absent(path), {"op": "add", "path": path, "value": {resource: edit.proposed}}]
    elif resource not in existing[section]:
        patch = [_absent(edit.pointer), {"op": "add", "path": edit.pointer, "value": edit.proposed}]
    else:
        patch = [
            {"op": "test", "path": edit.pointer, "value": existing[section][resource]},
            {"op": "replace", "path": edit.pointer, "value": edit.proposed},
        ]
    existing.setdefault(section, {})[resource] = edit.proposed or ""
    return patch


def _field(edit: Edit) -> JsonPatch:
    proposed = json.loads(edit.proposed or "null")
    if edit.current is None:
        return [_absent(edit.pointer), {"op": "add", "path": edit.pointer, "value": proposed}]
    return [
        {"op": "test", "path": edit.pointer, "value": json.loads(edit.current)},
        {"op": "replace", "path": edit.pointer, "value": proposed},
    ]


def _absent(path: str) -> dict[str, object]:
    return {"op": "test", "path": path, "value": None}


def _object(definition: WorkflowDefinition, edits: Sequence[Edit]) -> tuple[str, str]:
    """Kind and name of the object that the edits apply to."""
    holder = edits[0].holder
    return (TASK, holder) if holder is not None else (definition.key.kind, definition.key.name)


def patch(definition: WorkflowDefinition, edits: tuple[Edit, ...]) -> str | None:
    """The command that applies the edits; None without any."""
    if not edits:
        return None
    kind, name = _object(definition, edits)
    known = definition.engine.object_kind(kind)
    namespace = None if known is not None and not known.namespaced else definition.key.namespace
    return _command(namespace, kind, name, json_patch(definition, edits))


def opens(command: str) -> bool:
    """Whether a command opens an object, so that what to set in it has to be said beside it."""
    return _OPENS.match(command) is not None


def edit_template(definition: WorkflowDefinition, steps: Iterable[str]) -> str | None:
    """The command that opens the other object that has the templates of these steps; None where there is no single one."""
    specs = [definition.graph.step(step) for step in steps]
    found = {spec.template_in if spec is not None else None for spec in specs}
    there = found.pop() if len(found) == 1 else None
    if there is None:
        return None
    kind, _, name = there.partition(" ")
    known = definition.engine.object_kind(kind)
    scope = "" if known is not None and not known.namespaced else f" -n {shlex.quote(definition.key.namespace)}"
    return f"kubectl{scope} edit {kind.lower()} {shlex.quote(name)}"


def patch_other(namespace: str, kind: str, name: str, edits: Sequence[Edit]) -> str:
    """The command that applies edits to an object other than the workflow's own, such as the one that starts it."""
    return _command(namespace, kind, name, [operation for edit in edits for operation in _field(edit)])


def merge_patch(namespace: str, kind: str, name: str, patch: Mapping[str, object]) -> str:
    """The command that sets fields of an object which is no workflow."""
    return _command(namespace, kind, name, patch, "merge")


def _command(
    namespace: str | None, kind: str, name: str, patch: JsonPatch | Mapping[str, object], type_: str = "json"
) -> str:
    """The command that patches an object; ``namespace`` None: it is in none."""
    target = "kubectl" if namespace is None else f"kubectl -n {shlex.quote(namespace)}"
    written = json.dumps(patch, separators=(",", ":"))
    return f"{target} patch {kind.lower()} {shlex.quote(name)} --type={type_} -p {shlex.quote(written)}"


def kustomize(definition: WorkflowDefinition, edits: tuple[Edit, ...]) -> str | None:
    """The edits as an entry of a kustomization's ``patches``, for a repository; None without edits.

    It keeps the tests: if the files in Git differ from the cluster, the kustomize build fails instead of overwriting the
    difference. Amounts that are stored in another spelling are not tested: ``cpu: 1000m`` in Git is no difference to 1.
    """
    if not edits:
        return None
    kind, name = _object(definition, edits)
    known = definition.engine.object_kind(kind)
    group, version = (known.group, known.version) if known is not None else ("", "v1")
    lines = [
        "patches:",
        f"- target: {{group: {group}, version: {version}, kind: {kind}, name: {name}}}",
        "  patch: |-",
    ]
    # The API server may have added an empty object that the file in Git does not have.
    written = [o for o in json_patch(definition, edits) if o.get("value") != {}]
    written = [o for o in written if known is None or not known.tests_spelling(o)]
    lines += [f"    - {json.dumps(operation)}" for operation in written]
    return "\n".join(lines) + "\n"
