"""Recommendations as plans need them, read back from a profile's status or a change's patch."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar

from concertmaster.core.model import TASK, Category, Edit, Level, Recommendation, Severity
from concertmaster.core.model.enums import RuleName

_AUTOMATIC = frozenset({RuleName.RIGHT_SIZE, RuleName.CPU_REQUEST, RuleName.PARALLELISM})
_EDIT = frozenset(field.name for field in fields(Edit))
_E = TypeVar("_E", bound=StrEnum)


def _known(kind: type[_E], value: object, otherwise: _E) -> _E:
    """A value of a status, ``otherwise`` where it is left out or of a newer operator."""
    return next((member for member in kind if member == value), otherwise)


def edits_of(how: str) -> tuple[Edit, ...]:
    """The edits a recommendation's command makes; none when it is no patch that can be read whole."""
    try:
        words = shlex.split(how)
        verb, kind, name = words[: words.index("--type=json")][-3:]
        operations = json.loads(words[words.index("-p") + 1])
    except (ValueError, IndexError):
        return ()
    if verb != "patch" or not isinstance(operations, list):
        return ()
    return edits_from(operations, name if kind == TASK.lower() else None)


def edits_from(operations: Sequence[Mapping[str, Any]], holder: str | None, *, sure: bool = False) -> tuple[Edit, ...]:
    """The edits that operations of a JSON Patch make."""
    edits: list[Edit] = []
    tested: dict[str, Any] = {}
    for operation in operations:
        path, value = str(operation.get("path")), operation.get("value")
        if operation.get("op") == "test":
            tested[path] = value
        else:
            edits += [
                Edit(p, _literal(p, tested.get(p)), _literal(p, v), holder, sure) for p, v in _leaves(path, value)
            ]
    return tuple(edits)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _leaves(f"{path}/{key}", below)
    else:
        yield path, value


def _literal(path: str, value: Any) -> str | None:
    """An edit's text: quantities as they are, everything else as JSON."""
    if value is None:
        return None
    quantity = "/requests/" in path or "/limits/" in path
    return value if quantity and isinstance(value, str) else json.dumps(value)


def recommendation_of(item: Mapping[str, Any]) -> Recommendation:
    """The recommendation a status line stands for, as far as a plan needs it."""
    rule, _, rest = str(item["id"]).partition(".")
    return Recommendation(
        id=str(item["id"]),
        rule=rule,
        step=rest or None,
        action=str(item["action"]),
        because=str(item.get("because", "")),
        otherwise=str(item.get("otherwise", "")),
        category=_known(Category, item.get("category"), Category.BEST_PRACTICE),
        severity=_known(Severity, item.get("severity"), Severity.INFO),
        risk=_known(Level, item.get("risk"), Level.HIGH),
        effort=_known(Level, item.get("effort"), Level.LOW),
        current=str(item.get("current", "")),
        proposed=str(item.get("proposed", "")),
        expected=str(item.get("expected", "")),
        how=str(item.get("how", "")),
        confidence=0.0,
        edits=tuple(Edit(**{k: v for k, v in e.items() if k in _EDIT}) for e in item["edits"])
        if "edits" in item
        else edits_of(str(item.get("how", ""))),
        automatic=rule in _AUTOMATIC,
    )
