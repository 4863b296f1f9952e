"""The reference pages of docs/reference: every field, every refusal and every condition, from the same source as the
CRDs, so that the manual cannot say something else than ``kubectl explain``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from concertmaster.api.conditions import ConditionType, Reason
from concertmaster.api.kinds import KINDS, Kind
from concertmaster.api.models.base import API_VERSION
from concertmaster.api.schema import structural

Schema = dict[str, Any]

_NOTE = "<!-- Generated from the API models. Do not edit. -->\n\n"


def render() -> dict[str, str]:
    """The pages as Markdown by file name."""
    pages = {f"{kind.name.lower()}.md": _kind_page(kind) for kind in KINDS}
    return pages | {"conditions.md": _conditions_page()}


def _kind_page(kind: Kind) -> str:
    schema = structural(kind)
    scope = "Namespaced" if kind.namespaced else "Cluster-wide"
    lines = [
        f"# {kind.name}",
        "",
        schema["description"],
        "",
        f"`{API_VERSION}`, short name `{kind.short_name}`, category `concertmaster`. {scope}. The same text is in"
        f" `kubectl explain {kind.short_name} --recursive`.",
        "",
    ]
    refusals: list[tuple[str, str]] = [(rule["message"], "metadata") for rule in schema.get(_RULES, ())]
    for part in ("spec", "status"):
        lines += [f"## {part}", "", "| Field | Type | Meaning |", "|---|---|---|"]
        for path, node in _walk(part, schema["properties"][part]):
            if path != part and "description" in node:
                lines.append(f"| `{path}` | {_type(node)} | {_cell(node['description'])} |")
            if part == "spec":  # only the operator writes the status
                refusals += [(rule["message"], path) for rule in node.get(_RULES, ())]
        lines.append("")
    lines += ["## What is refused", "", "Beside wrong types, unknown values and what exceeds its bounds:", ""]
    lines += [f"- `{path}`: {_cell(message)}" for message, path in dict.fromkeys(refusals)]
    lines += ["", "## Columns of kubectl get", "", "| Column | Meaning |", "|---|---|"]
    lines += [f"| {c.name}{' (-o wide)' if c.priority else ''} | {c.description} |" for c in kind.columns]
    return _NOTE + "\n".join(lines) + "\n"


_RULES = "x-kubernetes-validations"


def _walk(path: str, node: Schema) -> Iterator[tuple[str, Schema]]:
    """Every field below ``node`` with its path, parents first; list entries are written ``[]``."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _walk(f"{path}.{name}", child)
    if "items" in node:
        inner = {key: value for key, value in node["items"].items() if key != "description"}
        yield from _walk(f"{path}[]", inner)


_PLAIN = {"integer": "whole number", "boolean": "true or false", "string": "string"}


def _type(node: Schema) -> str:
    if "enum" in node:
        return "one of " + ", ".join(str(value) for value in node["enum"])
    if node["type"] == "array":
        return f"list, at most {node['maxItems']}"
    if node["type"] == "object":
        return "object" if "properties" in node else f"map, at most {node['maxProperties']}"
    if node["type"] == "string" and "format" in node:
        return f"string ({node['format']})"
    return _PLAIN[node["type"]]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _conditions_page() -> str:
    lines = [
        "# Conditions",
        "",
        "Conditions are `metav1.Condition`: `lastTransitionTime` moves only when the status flips, and"
        " `observedGeneration` says which spec a condition is about. The message is a sentence that ends with what to do.",
        "",
        f"Types: {', '.join(f'`{name.value}`' for name in ConditionType)}.",
        "",
        "| Reason | Meaning |",
        "|---|---|",
        *(f"| `{reason.value}` | {_cell(reason.meaning)} |" for reason in Reason),
    ]
    return _NOTE + "\n".join(lines) + "\n"
