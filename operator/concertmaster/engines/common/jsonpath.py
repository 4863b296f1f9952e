"""The subset of kubectl's JSONPath that finding one field of an object needs.

Supported are fields (``.a.b``, ``.a\\.b`` or ``['a.b']``), indexes (``[0]``, ``[-1]``), all elements (``[*]``) and
filters by equality (``[?(@.name=="size")]``). Anything else raises an error that names its position.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

PathSegment = Callable[[Any], Iterator[Any]]

_FIELD = re.compile(r"\.((?:\\.|[^.\[\\])+)")
_QUOTED = re.compile(r"\[(?:'([^']*)'|\"([^\"]*)\")\]")
_INDEX = re.compile(r"\[(-?\d{1,9})\]")
_ALL = re.compile(r"\[\*\]|\.\*(?=[.\[]|$)")
_FILTER = re.compile(r"\[\?\(@\.([-\w]+)\s*==\s*(?:'([^']*)'|\"([^\"]*)\")\)\]")


class JsonPathError(ValueError):
    """A path that cannot be parsed."""


def find(path: str, document: object) -> list[Any]:
    """All values that match ``path``; empty if there are none. Raises JsonPathError for a path that cannot be
    parsed."""
    values = [document]
    for part in _parts(path):
        values = [below for value in values for below in part(value)]
    return values


@lru_cache(maxsize=256)
def _parts(path: str) -> tuple[PathSegment, ...]:
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = text.removeprefix("$")
    parts: list[PathSegment] = []
    at = 0
    while at < len(text):
        for pattern, make in _KINDS:
            if match := pattern.match(text, at):
                parts.append(make(match))
                at = match.end()
                break
        else:
            raise JsonPathError(f"JSONPath {path!r} cannot be read from {text[at : at + 20]!r} on")
    return tuple(parts)


def _field(name: str) -> PathSegment:
    def below(value: Any) -> Iterator[Any]:
        if isinstance(value, Mapping) and name in value:
            yield value[name]

    return below


def _element(index: int) -> PathSegment:
    def below(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return below


def _each(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, Mapping):
        yield from value.values()


def _equal(name: str, expected: str) -> PathSegment:
    def below(value: Any) -> Iterator[Any]:
        for element in value if isinstance(value, list) else ():
            if isinstance(element, Mapping) and name in element and str(element[name]) == expected:
                yield element

    return below


_KINDS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], PathSegment]], ...] = (
    (_ALL, lambda match: _each),
    (_FIELD, lambda match: _field(re.sub(r"\\(.)", r"\1", match.group(1)))),
    (_QUOTED, lambda match: _field(match.group(1) if match.group(1) is not None else match.group(2))),
    (_INDEX, lambda match: _element(int(match.group(1)))),
    (_FILTER, lambda match: _equal(match.group(1), match.group(2) if match.group(2) is not None else match.group(3))),
)
