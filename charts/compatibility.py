"""Differences between the schemas of two releases that would break stored objects or manifests of users.

Additions are safe: a field, an enum value, a wider bound. Everything else breaks someone: a removed or newly required
field, another type, a narrower bound or enum, another list key, a new rule. Each is reported with its path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_LOWER = ("minimum", "minLength", "minItems", "minProperties")  # may only decrease
_UPPER = ("maximum", "maxLength", "maxItems", "maxProperties")  # may only increase
_SAME = (
    "type",
    "format",
    "pattern",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string",
)


_PAIR = re.compile(r"self\.apiVersion\s+==\s+'([^']+)'\s+\?\s+self\.kind\s+==\s+'([^']+)'\s+:\s*")
_ABOUT = re.compile(r"!has\(self\.(\w+)\) \|\| ")
_BESIDE = re.compile(r"has\(self\.(\w+)\) \|\| \((.*)\)")
_THERE = re.compile(r"has\(((?:\w+\.)+\w+)\) && (?=\1 )")
_PRESENT = re.compile(r"^has\(self\.(\w+)\) && has\(self\.(\w+)\)$")
_OTHER = re.compile(r"self\.kind\s+==\s+'([^']+)'")


def crd_breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Everything that the CustomResourceDefinition ``old`` accepts or serves and ``new`` does not, as messages."""
    before, after = old["spec"], new["spec"]
    pairs = [(key, before[key], after[key]) for key in ("scope", "group")]
    pairs += [(f"names.{key}", before["names"][key], after["names"][key]) for key in ("kind", "plural")]
    breaks = [f"{key}: {was} became {now}" for key, was, now in pairs if was != now]
    lost = set(before["names"].get("shortNames", ())) - set(after["names"].get("shortNames", ()))
    breaks += [f"names.shortNames: {name} is gone" for name in sorted(lost)]
    versions = {v["name"]: v for v in after["versions"]}
    for version in before["versions"]:
        name = version["name"]
        if name not in versions or not versions[name]["served"]:
            breaks.append(f"version {name} is no longer served")
            continue
        schemas = (version["schema"]["openAPIV3Schema"], versions[name]["schema"]["openAPIV3Schema"])
        breaks += [f"{name}{text}" for text in _schema(*schemas, "")]
    return breaks


def _schema(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _bounds(old, new, path)
    if "enum" in new and (
        lost := set(old.get("enum", ())) - set(new["enum"]) or ("enum" not in old and set(new["enum"]))
    ):
        yield f"{path}: enum without {', '.join(sorted(map(str, lost)))}"
    yield from (f"{path}: {name} is required now" for name in sorted(_required(new) - _required(old)))
    if not path.startswith(".status"):  # only the operator writes the status: new rules on it break nothing
        yield from (f"{path}: new rule {rule}" for rule in _new_rules(old, new))
    fields = new.get("properties", {})
    for name, child in old.get("properties", {}).items():
        if name not in fields:
            yield f"{path}.{name} is gone"
        else:
            yield from _schema(child, fields[name], f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(old.get(key), Mapping):
            if not isinstance(new.get(key), Mapping):
                yield f"{path}: {key} is gone"
            else:
                yield from _schema(old[key], new[key], path + mark)


def _bounds(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[str]:
    for key in _SAME:
        if key in new and old.get(key) != new[key]:
            yield f"{path}: {key} {old.get(key)} became {new[key]}"
        elif key in old and key not in new and key != "pattern":
            yield f"{path}: {key} {old[key]} is gone"
    for keys, narrower in ((_LOWER, _greater), (_UPPER, _less)):
        for key in keys:
            if key in new and (key not in old or narrower(new[key], old[key])):
                yield f"{path}: {key} {old.get(key, 'none')} became {new[key]}"


def _new_rules(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Rules that objects valid under the old schema may break, in order."""
    fields = set(old.get("properties", {}))
    before = [r["rule"] for r in old.get("x-kubernetes-validations", ())]
    rules = {_guarded(r["rule"], fields) for r in new.get("x-kubernetes-validations", ())} - {"", *before}
    kinds = [_kinds(rule) for rule in before]
    return [
        rule
        for rule in sorted(rules)
        # One more alternative at the end accepts a superset.
        if not _widens(_kinds(rule), kinds)
        and not any(_alternatives(rule, known) for known in before)
        and not _asks_for(rule) <= _required(old)
        # A formerly required field that became optional needs a presence check in the rule.
        and _THERE.sub("", rule) not in before
    ]


def _kinds(rule: str) -> tuple[dict[str, str], str] | None:
    """The kind per API version, and the kind for all other versions, in a rule that pairs API versions with kinds; None
    for any other rule."""
    pairs = dict(_PAIR.findall(rule))
    other = _PAIR.sub("", rule)
    match = _OTHER.fullmatch(other.strip())
    return (pairs, match[1]) if pairs and match is not None else None


def _guarded(rule: str, fields: set[str]) -> str:
    """The part of a rule that applies to objects of the old schema, which set none but ``fields``: empty if the rule is
    only about a new field, else the part that applies while no new field is set."""
    if (about := _ABOUT.match(rule)) is not None and about[1] not in fields:
        return ""
    beside = _BESIDE.fullmatch(rule)
    return beside[2] if beside is not None and beside[1] not in fields else rule


def _asks_for(rule: str) -> set[str]:
    """The two fields whose presence a rule requires, and nothing else; for any other rule a set that no field name is
    in."""
    match = _PRESENT.fullmatch(rule)
    return set(match.groups()) if match is not None else {""}


def _alternatives(rule: str, known: str) -> bool:
    """Whether ``rule`` is ``known`` with more alternatives: both are chains of ``||`` on the outermost level."""
    return "&&" not in known and "?" not in rule and rule.startswith(f"{known} || ")


def _widens(rule: tuple[dict[str, str], str] | None, before: list[tuple[dict[str, str], str] | None]) -> bool:
    """Whether a rule pairs every version as an earlier one did, and only adds versions without a pair."""
    if rule is None:
        return False
    kinds = {*rule[0].values(), rule[1]}
    return any(old is not None and old[0].items() <= rule[0].items() and old[1] in kinds for old in before)


def _required(schema: Mapping[str, Any]) -> set[str]:
    return set(schema.get("required", ()))


def _greater(a: float, b: float) -> bool:
    return a > b


def _less(a: float, b: float) -> bool:
    return a < b
