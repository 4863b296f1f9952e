"""Frozen dataclasses of numbers and texts to small JSON objects and back, with the place of every mistake.

Unknown values are left out of the file altogether, so a fact costs only what is known about it. Keys this version does
not know are passed over when reading: a later version may add some without breaking older programs.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic.alias_generators import to_camel

_T = TypeVar("_T")


class CodecError(ValueError):
    """A value that does not fit its field; the message begins with the field's path."""


def encode(value: Any) -> dict[str, Any]:
    """The JSON object of a dataclass. Fields at their default, None and NaN are left out. Raises CodecError."""
    document: dict[str, Any] = {}
    for field, key, _ in _fields(type(value)):  # type: ignore[arg-type]
        content = getattr(value, field.name)
        if content is None or content != content or (_has_default(field) and content == _default(field)):
            continue
        document[key] = _plain(content, key)
    return document


def decode(cls: type[_T], document: Any, path: str) -> _T:
    """A dataclass of type ``cls`` from its JSON object; ``path`` names it in messages. Raises CodecError."""
    if not isinstance(document, dict):
        raise CodecError(f"{path} must be an object, not {_kind(document)}")
    values: dict[str, Any] = {}
    for field, key, hint in _fields(cls):  # type: ignore[arg-type]
        if key in document and document[key] is not None:
            values[field.name] = _value(document[key], hint, f"{path}.{key}")
        elif not _has_default(field):
            raise CodecError(f"{path}.{key} is missing")
    return cls(**values)


@cache
def _fields(cls: type) -> tuple[tuple[Field[Any], str, Any], ...]:
    hints = get_type_hints(cls)
    return tuple((field, to_camel(field.name), hints[field.name]) for field in fields(cls))


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _plain(value: Any, key: str) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CodecError(f"{key} is {value}, which is no measurement")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if is_dataclass(value):
        return encode(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [_plain(one, key) for one in value]
    return value


def _value(content: Any, hint: Any, path: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(one for one in get_args(hint) if one is not type(None))
    origin = get_origin(hint)
    if origin is tuple:
        if not isinstance(content, list):
            raise CodecError(f"{path} must be a list, not {_kind(content)}")
        of = get_args(hint)
        if of[-1] is not Ellipsis and len(content) != len(of):
            raise CodecError(f"{path} must have {len(of)} values, not {len(content)}")
        return tuple(_value(one, of[0], f"{path}[{n}]") for n, one in enumerate(content))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(content, dict) or not all(isinstance(text, str) for text in content.values()):
            raise CodecError(f"{path} must be an object of texts")
        return content
    if is_dataclass(hint):
        return decode(hint, content, path)  # type: ignore[arg-type]
    return _scalar(content, hint, path)


def _scalar(content: Any, hint: Any, path: str) -> Any:
    if hint is float:
        if isinstance(content, bool) or not isinstance(content, int | float):
            raise CodecError(f"{path} must be a number, not {_kind(content)}")
        try:
            number = float(content)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise CodecError(f"{path} must be a finite number")
        return number
    if hint is int and isinstance(content, bool):
        raise CodecError(f"{path} must be a whole number, not true or false")
    if not isinstance(content, hint):
        names = {int: "a whole number", str: "a text", bool: "true or false"}
        raise CodecError(f"{path} must be {names.get(hint, str(hint))}, not {_kind(content)}")
    return content


def _kind(content: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(content), "a number")
