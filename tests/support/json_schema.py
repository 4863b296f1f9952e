"""Checks a document against a JSON schema file: the keywords that ours use, and an error for any other, so that nothing of a
schema is passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,), "boolean": (bool,), "integer": (int,), "null": (type(None),), "number": (int, float),
    "object": (dict,), "string": (str,),
}  # fmt: skip
_NOTES = frozenset({"$schema", "$defs", "default", "description", "examples", "title"})
_KNOWN = _NOTES | {"$ref", "additionalProperties", "anyOf", "enum", "items", "properties", "required", "type"}


def violations(document: Any, schema: Mapping[str, Any]) -> list[str]:
    """What of the document the schema does not allow, each with its place; empty for a valid document."""
    return list(_violations(document, schema, schema, "$"))


def _violations(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str) -> Iterator[str]:
    if unknown := schema.keys() - _KNOWN:
        raise ValueError(f"keywords of the schema at {at} that are not checked: {sorted(unknown)}")
    if (ref := schema.get("$ref")) is not None:
        yield from _violations(value, root["$defs"][ref.removeprefix("#/$defs/")], root, at)
    if (choices := schema.get("anyOf")) is not None:
        found = [list(_violations(value, choice, root, at)) for choice in choices]
        yield from [] if any(not f for f in found) else [f"{at}: none of {len(choices)} forms: {found}"]
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not one of {schema['enum']}"
    kind = schema.get("type")
    if kind is not None and (not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{at}: {value!r} is no {kind}"
        return
    if isinstance(value, dict):
        yield from (f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in value)
        known = schema.get("properties", {})
        for name, part in value.items():
            more = schema.get("additionalProperties", True)
            if name in known or isinstance(more, Mapping):
                yield from _violations(part, known.get(name, more), root, f"{at}.{name}")
            elif not more:
                yield f"{at}: {name} is not known"
    if isinstance(value, list) and "items" in schema:
        for n, item in enumerate(value):
            yield from _violations(item, schema["items"], root, f"{at}[{n}]")
