"""Was a recommendation followed? What an edit would set, written down so that it is found again in the object later.

JSON pointers count list elements; a template that somebody puts in front moves all of them. A path here names an
element of a list by its ``name`` where it has one: ``/spec/templates/transform/container/resources/requests/memory``.
A field of a Task that a Pipeline refers to begins with the Task's name: ``/Task/compile/spec/steps/build/...``.
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

FAR_ENOUGH = 0.5  # of the way from the old value to the recommended one counts as followed
_LONGEST = 100  # characters of a value that is remembered as it is; longer ones by their digest


@dataclass(frozen=True, slots=True)
class Field:
    """One field that a recommendation sets: its path, the value it had (None: nothing) and the recommended one, as
    ``word`` writes them."""

    path: str
    old: str | None
    new: str | None


def word(value: Any) -> str | None:
    """A value on one line: text and numbers as they are, anything long by its digest; None for nothing."""
    if value is None:
        return None
    text = value if isinstance(value, str) else compact(value)
    if len(text) <= _LONGEST and text.isprintable() and " -> " not in text and "; " not in text:
        return text
    return "sha256:" + hashlib.sha256(compact(value).encode()).hexdigest()[:16]


def fields(edits: Iterable[Edit], target: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields of ``edits`` as they are in ``target``; empty when one of them cannot be placed in it."""
    found = []
    for edit in edits:
        path = _named(target, edit.place)
        if path is None:
            return ()
        field = Field(path, word(find(target, edit.place)[1]), word(_recommended(edit)))
        if not follows(field, field.old):
            found.append(field)
    return tuple(found)


def whole(own: Mapping[str, Any], held: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """What paths walk: the workflow's own object, with the Tasks that hold further fields of it by name."""
    return {**own, TASK: held} if held else own


def value(target: Mapping[str, Any], path: str) -> tuple[bool, str | None]:
    """The value at ``path`` as ``word`` writes it; False where a list on the way lacks the element that is named."""
    place: Any = target
    for part in parts(path):
        if isinstance(place, list):
            place = _element(place, part)
            if place is None:
                return False, None
        else:
            place = place.get(part) if isinstance(place, Mapping) else None
    return True, word(place)


def follows(field: Field, now: str | None) -> bool:
    """Whether ``now`` is what was recommended: the same value, or an amount at least half of the way to it or beyond."""
    return _way(field, now) >= FAR_ENOUGH


def _way(field: Field, now: str | None) -> float:
    """The part of the way from the old value to the recommended one that ``now`` has gone; beyond 1 where it went
    further."""
    if now == field.new:
        return 1.0
    old, here, new = quantity(field.old), quantity(now), quantity(field.new)
    if here is None or new is None:
        return 0.0
    if old is None or old == new:
        return float(here == new)
    return (here - old) / (new - old)


def followed(wanted: Iterable[Field], target: Mapping[str, Any]) -> bool:
    """Whether all of the fields stand as recommended; False without any."""
    rows = [(f, value(target, f.path)) for f in wanted]
    return bool(rows) and all(there and follows(f, now) for f, (there, now) in rows)


def way(wanted: Iterable[Field], target: Mapping[str, Any]) -> float:
    """How much of what was recommended is done, 0 to 1: the least of its fields."""
    return max(0.0, min([1.0, *(_way(f, value(target, f.path)[1]) for f in wanted)]))


def is_applied(edits: Iterable[Edit], target: Mapping[str, Any]) -> bool:
    """Whether all edits are made already; False without any, and where one cannot be placed."""
    rows = [(_named(target, e.place), word(_recommended(e))) for e in edits]
    return bool(rows) and all(path is not None and value(target, path) == (True, new) for path, new in rows)


def _recommended(edit: Edit) -> Any:
    """What an edit writes: the JSON it stands for, or an amount as text."""
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
    """The pointer with names in place of numbers; None where a list on the way is too short."""
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
