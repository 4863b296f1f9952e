"""Whether a patch keeps within the fields a change may set: parallelism and requests, as the engine declares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.model import ObjectKind


def within(kind: ObjectKind | None, operations: Sequence[Mapping[str, Any]]) -> str | None:
    """The first path a patch would write outside the fields that may be changed, None when there is none.

    A parent is added whole where it is missing: then what it holds is judged leaf by leaf.
    """

    def settable(pointer: str) -> bool:
        return kind is not None and kind.resource(pointer) is not None

    for operation in operations:
        if operation.get("op") == "test":
            continue
        path = str(operation.get("path"))
        if operation.get("op") == "remove":  # of an inverse: what the change added, possibly with its parents
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


def _leaves(path: str, value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [leaf for k, v in value.items() for leaf in _leaves(f"{path}{jsonpatch.join([str(k)])}", v)]
    return [path]
