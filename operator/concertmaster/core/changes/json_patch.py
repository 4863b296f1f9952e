"""JSON Patch (RFC 6902) on plain documents: the subset plans need, so that a patch can be tried before it is sent.

Only ``test``, ``add``, ``replace`` and ``remove``. As on the API server, a ``test`` for ``null`` passes for a missing key.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Operation = dict[str, Any]


class PatchFailed(Exception):
    """An operation does not apply to the document; the message names it."""


def parts(pointer: str) -> list[str]:
    """The unescaped parts of a JSON pointer."""
    if not pointer.startswith("/"):
        raise PatchFailed(f"{pointer!r} is no JSON pointer below the root")
    return [p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:]]


def join(tokens: Iterable[str]) -> str:
    """The JSON pointer with these parts, escaped."""
    return "".join("/" + p.replace("~", "~0").replace("/", "~1") for p in tokens)


def find(document: Any, pointer: str) -> tuple[bool, Any]:
    """Whether there is a value at ``pointer``, and the value."""
    place = document
    for part in parts(pointer):
        if isinstance(place, Mapping) and part in place:
            place = place[part]
        elif isinstance(place, list) and _index(part, len(place)) is not None:
            place = place[int(part)]
        else:
            return False, None
    return True, place


def apply(document: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """A changed copy of ``document``. Raises PatchFailed at the first operation that does not apply."""
    changed = copy.deepcopy(document)
    for operation in operations:
        _one(changed, operation)
    return changed


def fits(document: Any, operations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all operations, including tests, would succeed in order."""
    try:
        apply(document, operations)
    except PatchFailed:
        return False
    return True


def difference(a: Any, b: Any, at: str = "") -> str | None:
    """A pointer below ``at`` to where two documents differ; None where they are the same."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        found = (
            difference(a[k], b[k], f"{at}{join([k])}") if k in a and k in b else f"{at}{join([k])}"
            for k in sorted(a.keys() | b.keys())
        )
        return next(filter(None, found), None)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return next(
            filter(None, (difference(x, y, f"{at}/{i}") for i, (x, y) in enumerate(zip(a, b, strict=True)))), None
        )
    return None if _same(a, b) else at


def compact(value: Any) -> str:
    """Canonical JSON on one line: equal documents give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _one(document: Any, operation: Mapping[str, Any]) -> None:
    op, path = operation.get("op"), str(operation.get("path"))
    there, value = find(document, path)
    *above, last = parts(path)
    exists, parent = find(document, join(above)) if above else (True, document)
    if op == "test":
        expected = operation.get("value")
        if not exists or (not there and expected is not None) or not _same(value, expected):
            raise PatchFailed(f"{path} is {json.dumps(value)} where {json.dumps(expected)} was expected")
        return
    if not exists or not isinstance(parent, dict):
        raise PatchFailed(f"{path}: nothing can be set there")
    if op in ("replace", "remove") and not there:
        raise PatchFailed(f"{path} is not there")
    if op == "remove":
        del parent[last]
    elif op in ("add", "replace"):
        parent[last] = copy.deepcopy(operation.get("value"))
    else:
        raise PatchFailed(f"operation {op!r} is not used here")


def _same(a: Any, b: Any) -> bool:
    """Equality as in JSON: 1 is not true, and a string never equals a number."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _index(part: str, length: int) -> int | None:
    if not part.isdecimal() or (len(part) > 1 and part[0] == "0"):
        return None
    return int(part) if int(part) < length else None
