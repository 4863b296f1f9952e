"""Whether a recommendation was implemented: the fields of its edits, located so that they can be found in the object later.

JSON pointers use list indices, which shift when an element is inserted. Paths here identify list elements by ``name`` where
they have one: ``/spec/templates/transform/container/resources/requests/memory``. Fields of a Task referenced by a Pipeline
start with the Task's name: ``/Task/compile/spec/steps/build/...``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.core.changes.json_patch import compact, find, join, parts
from concertmaster.core.model import TASK, Edit
from concertmaster.core.model.amounts import quantity

IMPLEMENTED_SHARE = 0.5  # share of the way from the old to the recommended value that counts as implemented
MAX_LINE = 3000
"""Characters of all fields of a recommendation in a status: CPU and memory of some twenty steps. Of more it is not known
whether they were set."""
_MAX_LENGTH = 100  # characters; longer values are stored as a digest


@dataclass(frozen=True, slots=True)
class Field:
    """One field set by a recommendation: its path, its value before (None: not set) and the recommended one, both as
    returned by ``word``."""

    path: str
    old: str | None
    new: str | None


def word(value: Any) -> str | None:
    """A value on one line: text and numbers unchanged, long values as a digest; None for no value."""
    if value is None:
        return None
    text = value if isinstance(value, str) else compact(value)
    if len(text) <= _MAX_LENGTH and text.isprintable() and " -> " not in text and "; " not in text:
        return text
    return "sha256:" + hashlib.sha256(compact(value).encode()).hexdigest()[:16]


def fields(edits: Iterable[Edit], target: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields of ``edits`` as they are in ``target``; empty when one of them has no location in it."""
    rows = []
    for edit in edits:
        path = _named(target, edit.place)
        if path is None:
            return ()
        field = Field(path, word(find(target, edit.place)[1]), word(_recommended(edit)))
        if not implements(field, field.old):
            rows.append(field)
    return tuple(rows)


def whole(own: Mapping[str, Any], held: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The root of all paths: the workflow's own object, with the Tasks that hold further fields by name."""
    return {**own, TASK: held} if held else own


def value(target: Mapping[str, Any], path: str) -> tuple[bool, str | None]:
    """The value at ``path`` as returned by ``word``; False where a list on the path lacks the named element, or what
    had resources is gone: a container that became a script has not removed its limit."""
    place: Any = target
    for part in parts(path):
        if place is None and part == "resources":
            return False, None
        if isinstance(place, list):
            place = _element(place, part)
            if place is None:
                return False, None
        else:
            place = place.get(part) if isinstance(place, Mapping) else None
    return True, word(place)


def implements(field: Field, now: str | None) -> bool:
    """Whether ``now`` implements the recommendation: the same value, or an amount at least half of the way to it."""
    return _share(field, now) >= IMPLEMENTED_SHARE


def _share(field: Field, now: str | None) -> float:
    """Share of the way from the old to the recommended value covered by ``now``; above 1 beyond it."""
    if now == field.new:
        return 1.0
    old, here, new = quantity(field.old), quantity(now), quantity(field.new)
    if now is None and "/limits/" in field.path and old is not None and new is not None and new > old:
        return 1.0  # a limit that is removed holds nothing back
    if here is None or new is None:
        return 0.0
    if old is None or old == new:
        return float(here == new)
    return (here - old) / (new - old)


def are_implemented(expected: Iterable[Field], target: Mapping[str, Any]) -> bool:
    """Whether all of the fields are implemented; False without any."""
    rows = [(f, value(target, f.path)) for f in expected]
    return bool(rows) and all(there and implements(f, now) for f, (there, now) in rows)


def implemented_share(expected: Iterable[Field], target: Mapping[str, Any]) -> float:
    """Implemented share of the recommendation, 0 to 1: the minimum over its fields."""
    rows = [(f, value(target, f.path)) for f in expected]
    return max(0.0, min([1.0, *(_share(f, now) if there else 0.0 for f, (there, now) in rows)]))


def is_applied(edits: Iterable[Edit], target: Mapping[str, Any]) -> bool:
    """Whether all edits are already in place; False without any, and when one has no location."""
    rows = [(_named(target, e.place), word(_recommended(e))) for e in edits]
    return bool(rows) and all(path is not None and value(target, path) == (True, new) for path, new in rows)


def _recommended(edit: Edit) -> Any:
    """The value an edit writes: parsed JSON, or an amount as text."""
    try:
        return json.loads(edit.proposed or "null")
    except ValueError:
        return edit.proposed


def _element(place: list[Any], part: str) -> Any:
    named = next((e for e in place if isinstance(e, Mapping) and e.get("name") == part), None)
    if named is not None:
        return named
    return place[int(part)] if part.isdecimal() and int(part) < len(place) else None


def _named(target: Mapping[str, Any], pointer: str) -> str | None:
    """The pointer with names instead of indices; None where a list on the path is too short."""
    place: Any = target
    texts: list[str] = []
    for part in parts(pointer):
        name = part
        if isinstance(place, list):
            if not part.isdecimal() or int(part) >= len(place):
                return None
            place = place[int(part)]
            reported = place.get("name") if isinstance(place, Mapping) else None
            name = reported if isinstance(reported, str) and reported else part
        else:
            place = place.get(part) if isinstance(place, Mapping) else None
        texts.append(name)
    return join(texts)
