"""Whether a name in backticks on a page exists: the check for the rows of docs/features.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import click
import yaml

from concertmaster.api.conditions import ConditionType
from concertmaster.cli import COMMANDS, cli
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.core.analysis.steps.step import StepFlags
from concertmaster.core.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "concertmaster"
RULE_NAMES = frozenset(rule.name for rule in RULES)
CONDITIONS = frozenset(condition.value for condition in ConditionType)
_WORD = re.compile(r"[a-zA-Z][\w.]*")
_CLIENTS = ("concertmaster", "kubectl concertmaster")
_PARAMETER = re.compile(r"\{\w+\}")


def exists(name: str) -> bool:
    """Whether ``name`` is a rule, a condition, a mark of a step, a field of a resource, a command, a make target, an
    endpoint or metric of the operator, or a file or test of the repository."""
    if name in RULE_NAMES | CONDITIONS | marks() or name in metrics():
        return True
    return is_field(name) or is_command(name) or is_endpoint(name) or is_path(name)


@cache
def marks() -> frozenset[str]:
    """The marks of a step, as in the status and in the JSON of ``analyze``."""
    return frozenset(re.sub(r"_(\w)", lambda m: m[1].upper(), field.name) for field in fields(StepFlags))


@cache
def metrics() -> frozenset[str]:
    """Names of the operator's own metrics."""
    return frozenset(metric.name for metric in Telemetry().registry.collect())


def _paths(schema: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if above:
        yield above
    for name, below in (schema.get("properties") or {}).items():
        yield from _paths(below, (*above, name))
    for below in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(below, dict):
            yield from _paths(below, above)


@cache
def _resources() -> tuple[dict[str, Any], ...]:
    return tuple(yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml")))


@cache
def _fields() -> frozenset[tuple[str, ...]]:
    """Every path of every schema, and each of its suffixes: pages may omit the parents of a field."""
    whole = {
        path
        for crd in _resources()
        for version in crd["spec"]["versions"]
        for path in _paths(version["schema"]["openAPIV3Schema"])
    }
    return frozenset(path[place:] for path in whole for place in range(len(path)))


def is_field(name: str) -> bool:
    """``status.steps``, or the end of a longer path: ``objectives.duration``."""
    return bool(_WORD.fullmatch(name)) and tuple(name.split(".")) in _fields()


def is_command(name: str) -> bool:
    """A project command with existing options, a make target, or kubectl with one of the project's kinds."""
    words = name.split()
    if words[:1] == ["make"]:
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return len(words) == 2 and words[1] in targets
    if words[:2] == ["kubectl", "get"]:
        kinds = {
            k for crd in _resources() for k in (crd["spec"]["names"]["plural"], *crd["spec"]["names"]["shortNames"])
        }
        return len(words) > 2 and words[2] in kinds
    for client in _CLIENTS:
        words = name.removeprefix(f"{client} ").split() if name.startswith(f"{client} ") else words
    if not words or words[0] not in COMMANDS:
        return False
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    options = {option for parameter in command.params for option in parameter.opts}
    return all(word in options for word in words[1:] if word.startswith("-"))


def is_endpoint(name: str) -> bool:
    """``/metrics``, or ``GET`` and a path with its parameters in capitals."""
    text = (PACKAGE / "controller" / "reporting" / "server.py").read_text()
    routes = {_PARAMETER.sub("*", route) for route in re.findall(r'web\.get\("([^"]+)"', text)}
    path = name.removeprefix("GET ").partition("?")[0]
    return re.sub(r"(?<=/)[A-Z]+(?=/|$)", "*", path) in routes


def is_path(name: str) -> bool:
    """A file, directory or pytest node id, relative to the repository or the package."""
    path, _, test = name.removeprefix("pytest ").split()[0].partition("::") if name.strip() else ("", "", "")
    if "/" not in path:
        return False
    places = [base / path for base in (ROOT, PACKAGE) if (base / path).exists()]
    return bool(places) and (not test or any(f"def {test.partition('[')[0]}(" in p.read_text() for p in places))
