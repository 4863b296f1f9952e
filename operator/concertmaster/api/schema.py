"""Turns the models into CustomResourceDefinitions: structural schemas, written so that the same models always give the
same bytes.

pydantic's JSON schema is not what a CRD may contain: references must be copied in, ``anyOf`` with null means "optional",
``exclusiveMinimum`` is a flag, and a default deep inside only applies when every parent has one. Whatever cannot be said
in a structural schema, or lacks a bound, description or example, stops the generator with the path of the field: a CRD
that the API server rejects, or that nobody can read, never leaves this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from concertmaster.api.kinds import KINDS, Kind
from concertmaster.api.models.base import GROUP, VERSION

HEADER = "# Generated from the API models by `concertmaster crds --write crds/`. Do not edit.\n"

# Said by pydantic, of no use in a CRD. The x- keys are words for the description.
_DROPPED = ("title", "examples", "x-unit", "x-default", "x-forms", "$defs")
_UNSUPPORTED = ("oneOf", "not", "prefixItems", "patternProperties", "if", "discriminator", "contains")
_RULES = "x-kubernetes-validations"

Schema = dict[str, Any]


class SchemaError(ValueError):
    """A model that cannot become a CRD. The message names the field and what is missing or not allowed."""


def render() -> dict[str, str]:
    """All CRDs as YAML text by file name, in a fixed order."""
    return {f"{kind.crd}.yaml": HEADER + to_yaml(crd(kind)) for kind in KINDS}


def to_yaml(document: Mapping[str, Any]) -> str:
    """YAML with sorted keys and without anchors, the same on every run."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=True, width=120, allow_unicode=True, default_flow_style=False)


class _Dumper(yaml.SafeDumper):
    """Shared sub-schemas are written out in full: not every reader of CRDs understands anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def crd(kind: Kind) -> Schema:
    """The CustomResourceDefinition of one kind as a plain document."""
    columns = [
        {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.description}
        | ({"priority": column.priority} if column.priority else {})
        for column in kind.columns
    ]
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": structural(kind)},
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd, "labels": {"app.kubernetes.io/part-of": "concertmaster"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short_name],
                "categories": ["concertmaster"],
            },
            "versions": [version],
        },
    }


def structural(kind: Kind) -> Schema:
    """The structural schema of one kind. Raises SchemaError when the model says what a CRD cannot."""
    document = kind.model.model_json_schema(by_alias=True)
    definitions = document.get("$defs", {})
    properties = {name: _convert(document["properties"][name], definitions, name, ()) for name in ("spec", "status")}
    # The operator alone writes a status. The API server need not track who owns which of its fields, which is a third of
    # what a write costs it and most of an object's metadata.
    properties["status"]["x-kubernetes-map-type"] = "atomic"
    root: Schema = {
        "type": "object",
        "description": _sentence(document["description"]),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Always {GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"Always {kind.name}."},
            "metadata": {"type": "object"},
            **properties,
        },
    }
    if kind.rules:
        root[_RULES] = list(kind.rules)
    return root


def _convert(node: Schema, definitions: Mapping[str, Schema], path: str, seen: tuple[str, ...]) -> Schema:
    """``node`` as a structural schema. ``path`` is for messages, ``seen`` the definitions above (against recursion)."""
    node, seen = _flatten(node, definitions, path, seen)
    for keyword in _UNSUPPORTED:
        if keyword in node:
            raise SchemaError(f"{path}: {keyword} cannot be expressed in a CRD; use plain fields and a CEL rule")
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in result:
        result["enum"] = [result.pop("const")]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in result:
            result[bound], result[exclusive] = result[exclusive], True
    if "x-forms" in node:
        # The pattern refuses as well, but only shows itself; the rule says it in words.
        words = {"rule": f"self.matches(r'{node['pattern']}')", "message": f"must be {node['x-forms']}"}
        result[_RULES] = [words, *result.get(_RULES, ())]
    _fill(result, definitions, path, seen)
    _fill_default(result, path)
    _demand_bounds(result, path)
    result["description"] = _describe(node, result, path)
    return result


def _flatten(
    node: Schema, definitions: Mapping[str, Schema], path: str, seen: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """``node`` with its references and its optionality resolved; what stands beside a reference wins over the target,
    except for rules, which all hold."""
    while True:
        if "$ref" in node:
            name = node["$ref"].rsplit("/", 1)[-1]
            if name in seen:
                raise SchemaError(f"{path}: {name} contains itself, which a structural schema cannot express")
            seen = (*seen, name)
            inner, outer = definitions[name], {key: value for key, value in node.items() if key != "$ref"}
        elif "anyOf" in node:
            branches = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
            if len(branches) != 1:
                raise SchemaError(f"{path}: a choice of types cannot be expressed in a CRD; use one type")
            inner, outer = branches[0], {key: value for key, value in node.items() if key != "anyOf"}
            if outer.get("default", ...) is None:
                del outer["default"]
        else:
            return node, seen
        rules = [*inner.get(_RULES, ()), *outer.get(_RULES, ())]
        node = {**inner, **outer} | ({_RULES: rules} if rules else {})


def _fill(result: Schema, definitions: Mapping[str, Schema], path: str, seen: tuple[str, ...]) -> None:
    """Convert what is inside ``result``, in place."""
    if "properties" in result:
        result.pop("additionalProperties", None)
        # In the order of their names, wherever a model inherits them from.
        result["properties"] = {
            name: _convert(child, definitions, f"{path}.{name}", seen)
            for name, child in sorted(result["properties"].items())
        }
        if "required" in result:
            result["required"] = sorted(result["required"])
    elif isinstance(result.get("additionalProperties"), dict):
        values = _convert({"description": "Value.", **result["additionalProperties"]}, definitions, f"{path}[*]", seen)
        values.pop("description")
        result["additionalProperties"] = values
    elif result.get("type") == "object":
        raise SchemaError(f"{path}: an object needs properties or one type of values")
    if "items" in result:
        result["items"] = _convert({"description": "Entry.", **result["items"]}, definitions, f"{path}[]", seen)
        if result["items"]["description"].startswith("Entry."):
            del result["items"]["description"]
    if result.get("type") == "integer":
        result.setdefault("format", "int32" if result.get("maximum", 2**31) < 2**31 else "int64")


def _fill_default(result: Schema, path: str) -> None:
    """Keep only defaults the API server should fill in: an empty list or map means the same as none, and an object's
    default is the empty one, into which the defaults of its fields then go. A status has one writer, and a field the
    server adds to what was written would look to it like a difference forever."""
    if "properties" in result:
        inner = any("default" in child for child in result["properties"].values())
        if "default" in result:
            del result["default"]
            if inner:
                result["default"] = {}
    elif result.get("default") in ([], {}):
        del result["default"]
    if "default" in result and path.startswith("status"):
        raise SchemaError(f"{path}: a status has no defaults; make the field optional")


def _demand_bounds(result: Schema, path: str) -> None:
    """Without bounds the API server cannot estimate the cost of rules, and a user could store megabytes."""
    kind = result.get("type")
    if kind == "string" and "enum" not in result and "maxLength" not in result:
        raise SchemaError(f"{path}: a string needs maxLength")
    if kind == "array" and "maxItems" not in result:
        raise SchemaError(f"{path}: a list needs maxItems")
    if kind == "object" and "properties" not in result and "maxProperties" not in result:
        raise SchemaError(f"{path}: a map needs maxProperties")
    if kind == "number":
        raise SchemaError(f"{path}: floats change their text from one encoder to the next; use an integer or a scalar")
    if kind is None:
        raise SchemaError(f"{path}: the type is missing")


def _describe(node: Schema, result: Schema, path: str) -> str:
    """The description with unit, default and example, as ``kubectl explain`` shows it."""
    text = node.get("description")
    if not text:
        raise SchemaError(f"{path}: the description is missing")
    parts = [_sentence(text)]
    unit = node.get("x-unit") or (_integer_unit(result) if result.get("type") == "integer" else None)
    if unit:
        parts.append(f"Unit: {unit}.")
    if "x-default" in node:
        parts.append(f"Default: {node['x-default']}.")
    elif "default" in result and "properties" not in result:
        parts.append(f"Default: {_literal(result['default'])}.")
    if not path.endswith(("[]", "[*]")):
        if not node.get("examples"):
            raise SchemaError(f"{path}: an example is missing")
        parts.append(f"Example: {_literal(node['examples'][0])}")
    return " ".join(parts)


def _integer_unit(result: Schema) -> str:
    return "a count" if "maximum" not in result else f"a number, {result.get('minimum')} to {result['maximum']}"


def _literal(value: Any) -> str:
    """A value as one would write it in YAML, on one line; text that YAML would take for a number keeps its quotes."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("\n...\n").strip()


def _sentence(text: str) -> str:
    """A docstring's text on one line."""
    return " ".join(text.split())
