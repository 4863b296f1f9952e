"""JSON Patch operations that set fields, each guarded by a test of the current value, and their inverse.

Minimal: one field each; where parents are missing, the first missing one is added with its content.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.json_patch import Operation, PatchFailed
from concertmaster.core.model import ObjectKind
from concertmaster.core.model.amounts import quantity, same_amount
from concertmaster.core.model.policy import Bounds
from concertmaster.core.text import resource_amount


def operations(
    raw: Mapping[str, Any], values: Sequence[tuple[str, object]]
) -> tuple[list[Operation], list[Operation], list[Operation]]:
    """Set each pointer to its value. Returns tests of list member names on the path, guarded changes, and the operations
    that roll them back, in order. Raises PatchFailed if the object has no such path."""
    guards: dict[str, Operation] = {}
    patch: list[Operation] = []
    back: list[list[Operation]] = []
    present: Any = raw
    for pointer, value in values:
        for guard in _names(raw, pointer):
            guards[guard["path"]] = guard
        ops, undo = _change(present, pointer, value)
        present = jsonpatch.apply(present, ops)
        patch += ops
        back.insert(0, undo)
    return list(guards.values()), patch, [op for undo in back for op in undo]


def _names(raw: Mapping[str, Any], pointer: str) -> list[Operation]:
    """Tests that named list members on the path are still at their positions."""
    return [
        {"op": "test", "path": f"{jsonpatch.join(way)}/name", "value": name}
        for way, name in named_members(raw, pointer)
    ]


def named_members(raw: Mapping[str, Any], pointer: str) -> Iterator[tuple[list[str], str]]:
    """The list members with a name on the way to a field, the outermost first: the parts of their pointers, and the name."""
    walked: list[str] = []
    for part in jsonpatch.parts(pointer):
        walked.append(part)
        member = jsonpatch.find(raw, jsonpatch.join(walked))[1]
        if part.isdigit() and isinstance(member, Mapping) and isinstance(member.get("name"), str):
            yield list(walked), member["name"]


def _change(raw: Any, pointer: str, new: object) -> tuple[list[Operation], list[Operation]]:
    there, literal = jsonpatch.find(raw, pointer)
    if there and literal is not None:
        return _swap(pointer, literal, new), _swap(pointer, new, literal)
    way = jsonpatch.parts(pointer)
    depth = next(i for i in range(1, len(way) + 1) if jsonpatch.find(raw, jsonpatch.join(way[:i]))[1] is None)
    value: Any = new
    for part in reversed(way[depth:]):
        value = {part: value}
    if any(part.isdigit() for part in way[depth - 1 :]):
        raise PatchFailed(f"{pointer}: there is no such place in the object")
    path = jsonpatch.join(way[:depth])
    test: Operation = {"op": "test", "path": path, "value": None}
    return (
        [test, {"op": "add", "path": path, "value": value}],
        [{"op": "test", "path": path, "value": value}, {"op": "remove", "path": path}],
    )


def of_manifest(raw: Mapping[str, Any], patch: Sequence[Operation], kind: ObjectKind) -> list[Operation]:
    """``patch`` of the object ``raw`` for the manifest that it was applied from: where the API server or a webhook completed
    ``raw`` with an empty object, such as ``resources: {}``, the manifest may have none, so it is added with its content.
    Amounts that the manifest may spell otherwise are not tested."""
    present: Any = raw
    adapted: list[Operation] = []
    for operation in patch:
        if kind.tests_spelling(operation):
            continue
        if operation["op"] != "add":
            adapted.append(operation)
            continue
        way, value = jsonpatch.parts(operation["path"]), operation["value"]
        while _hollow(jsonpatch.find(present, jsonpatch.join(way[:-1]))[1]):
            value = {way.pop(): value}
        path = jsonpatch.join(way)
        if path != operation["path"]:
            adapted.pop()  # the test that the field is absent
        adapted.append({**operation, "path": path, "value": value})
        present = jsonpatch.apply(present, [operation])
    return adapted


def _hollow(value: Any) -> bool:
    """An object without a value at any depth."""
    return isinstance(value, Mapping) and all(_hollow(v) for v in value.values())


def _swap(path: str, old: object, new: object) -> list[Operation]:
    return [{"op": "test", "path": path, "value": old}, {"op": "replace", "path": path, "value": new}]


def undoing(patch: Sequence[Mapping[str, Any]]) -> list[Operation] | None:
    """The operations that revert ``patch``, as created by ``operations``: the same name tests first, then each field set to
    the value its test held, or removed if the patch added it, guarded by a test of what the patch wrote. None when the patch
    has another form."""
    guards: list[Operation] = []
    back: list[list[Operation]] = []
    test: Mapping[str, Any] | None = None  # the last one: a guard unless a write to its path follows
    for operation in patch:
        op = operation.get("op")
        if op == "test":
            if test is not None:
                guards.append(dict(test))
            test = operation
            continue
        if test is None or test.get("path") != operation.get("path") or "value" not in operation:
            return None
        path, old, new = str(test["path"]), test.get("value"), operation["value"]
        if op == "replace" and old is not None:
            back.insert(0, _swap(path, new, old))
        elif op == "add" and old is None:
            back.insert(0, [{"op": "test", "path": path, "value": new}, {"op": "remove", "path": path}])
        else:
            return None
        test = None
    return None if test is not None or not back else [*guards, *(op for undo in back for op in undo)]


def version_test(resource_version: str) -> Operation:
    """Fails when the object has been written since that version."""
    return {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version}


def within(kind: ObjectKind | None, operations: Sequence[Mapping[str, Any]]) -> str | None:
    """The first path a patch would write outside the patchable fields, None when there is none.

    Missing parents are added as a whole: their content is then checked leaf by leaf.
    """

    def settable(pointer: str) -> bool:
        return kind is not None and kind.resource(pointer) is not None

    for operation in operations:
        if operation.get("op") == "test":
            continue
        path = str(operation.get("path"))
        if operation.get("op") == "remove":  # of an inverse: what the change added, possibly including parents
            leaves = [path, f"{path}/cpu", f"{path}/memory", f"{path}/requests/cpu", f"{path}/requests/memory"]
            if not any(settable(leaf) for leaf in leaves):
                return path
        elif operation.get("op") not in ("add", "replace"):
            return path
        else:
            outside = next((p for p in _leaves(path, operation.get("value")) if not settable(p)), None)
            if outside is not None:
                return outside
    return None


def written(operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The values set by a patch, by pointer."""
    values: dict[str, Any] = {}

    def leaves(path: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, below in value.items():
                leaves(path + jsonpatch.join([str(key)]), below)
        else:
            values[path] = value

    for operation in operations:
        if operation.get("op") in ("add", "replace"):
            leaves(str(operation["path"]), operation.get("value"))
    return values


def replaced(raw: Mapping[str, Any], patch: Sequence[Operation], pointers: Collection[str]) -> bool:
    """Whether ``raw`` has another amount at any of the ``pointers`` than ``patch`` set. False where the names that the patch
    tests are elsewhere: the object has another structure then."""
    values = written(patch)
    changed = {str(o["path"]) for o in patch if o.get("op") != "test"}
    if not jsonpatch.fits(raw, [o for o in patch if o.get("op") == "test" and o["path"] not in changed]):
        return False
    return any(not _same_value(jsonpatch.find(raw, p)[1], values[p]) for p in pointers if p in values)


def _same_value(present: Any, value: Any) -> bool:
    a, b = quantity(present), quantity(value)
    return present == value if a is None or b is None else same_amount(a, b)


def tested(operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The values that a patch tests first, by pointer: where it sets a field, the one it replaces."""
    values: dict[str, Any] = {}
    for operation in operations:
        if operation.get("op") == "test":
            values.setdefault(str(operation["path"]), operation.get("value"))
    return values


def lowered_memory(kind: ObjectKind | None, patch: Sequence[Mapping[str, Any]]) -> frozenset[float]:
    """The memory requests (bytes) that a patch of an object of ``kind`` sets below the value in its own tests."""
    if kind is None:
        return frozenset()
    held, found = tested(patch), set()
    for pointer, value in written(patch).items():
        if kind.resource(pointer) != "memory":
            continue
        old, new = quantity(held.get(pointer)) or quantity(held.get(kind.inherited(pointer) or "")), quantity(value)
        if old is not None and new is not None and new < old:
            found.add(new)
    return frozenset(found)


def raises(kind: ObjectKind | None, patch: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a patch of an object of ``kind`` sets any amount above the value in its own tests, or where none was."""
    held = tested(patch)
    for pointer, value in written(patch).items():
        inherited = kind.inherited(pointer) if kind is not None else None
        old, new = quantity(held.get(pointer)) or quantity(held.get(inherited or "")), quantity(value)
        if old is None or new is None or (new > old and not same_amount(old, new)):
            return True
    return False


def out_of_bounds(kind: ObjectKind | None, operations: Sequence[Mapping[str, Any]], bounds: Bounds) -> str | None:
    """The first value a patch would set outside ``bounds``, as a sentence; None when there is none."""
    for pointer, value in written(operations).items():
        resource = kind.resource(pointer) if kind is not None else None
        amount = quantity(value)
        if resource is None or amount is None:
            return f"{pointer} would be set to {value!r}, which the bounds do not cover"
        limits = bounds.of(resource)
        if not limits.min * (1 - 1e-9) <= amount <= limits.max * (1 + 1e-9):
            low, high = resource_amount(resource, limits.min), resource_amount(resource, limits.max)
            return f"{resource} {value} is outside {low} to {high} (apply.bounds)"
    return None


def limit_beside(kind: ObjectKind, pointer: str, resource: str, raw: Mapping[str, Any]) -> Any:
    """The limit of ``resource`` beside the request at ``pointer`` of the object ``raw``, its own or an inherited one, as it
    is written; None without one."""
    *above, _, _ = jsonpatch.parts(pointer)
    beside = jsonpatch.join([*above, "limits", resource])
    places = [p for p in (beside, kind.inherited(beside)) if p is not None]
    return next((found for p in places if (found := jsonpatch.find(raw, p)[1]) is not None), None)


def above_limit(kind: ObjectKind | None, operations: Sequence[Mapping[str, Any]], raw: Mapping[str, Any]) -> str | None:
    """The first request that a patch would set above the limit beside it in ``raw``, as a sentence; None when there is
    none. The API server refuses such pods, and not every definition of them."""
    for pointer, value in written(operations).items():
        resource, amount = kind.resource(pointer) if kind is not None else None, quantity(value)
        if kind is None or resource is None or resource == "parallelism" or amount is None:
            continue
        limit = limit_beside(kind, pointer, resource, raw)
        if amount > (quantity(limit) or amount):
            return f"{resource} request {value} would be above the limit {limit} that was set since"
    return None


def _leaves(path: str, value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [leaf for k, v in value.items() for leaf in _leaves(f"{path}{jsonpatch.join([str(k)])}", v)]
    return [path]
