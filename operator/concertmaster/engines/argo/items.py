"""Fan-out of Argo tasks: how many nodes a task becomes and what each is called.

``withItems``, ``withSequence`` and ``withParam`` expand a task ``b`` into nodes ``b(0:x)``, ``b(1:y)`` ... . What is
written out in the spec gives the exact names (so that pods can be recognised by hash); what only exists at run time
gives a fan-out of unknown names. Naming follows workflow/controller/operator.go (processItem, expandSequence).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.engines.common.manifest import Problems, mapping, sequence, shown, text

MAX_TEXT = 1_000_000  # characters that defaults of parameters may add to a task's items; beyond, they are not put in
MAX_ITEMS = 20_000  # names beyond this many are not computed; the fan-out then counts as one of unknown names

_PARAMETER = re.compile(r"\{\{\s*workflow\.parameters\.([\w.-]+)\s*\}\}")
_TAG = re.compile(r"\{\{\s*(=.*?|[A-Za-z][^{}]*)\s*\}\}", re.DOTALL)  # what Argo may fill in; other braces are text
_FORMAT = re.compile(r"%(0?)(\d*)([dxX])")


@dataclass(frozen=True, slots=True)
class FanOut:
    """``items``: node suffixes without parentheses, None when only known at run time. ``width``: how many, if known.

    ``assumed``: the list comes from a default value of the workflow's parameters, which a run may override.
    """

    items: tuple[str, ...] | None
    width: int | None
    assumed: bool = False


def fan_out(task: Mapping[str, Any], where: str, parameters: Mapping[str, str], problems: Problems) -> FanOut | None:
    """The fan-out of ``task``, None when it runs once. ``parameters`` are defaults of ``workflow.parameters``."""
    if task.get("withItems") is not None:
        items = sequence(task["withItems"], f"{where}.withItems", problems)
        if items:
            return _listed(items, parameters)
    if task.get("withParam") not in (None, ""):
        return _param(text(task["withParam"], f"{where}.withParam", problems) or "", where, parameters, problems)
    if task.get("withSequence") is not None:
        spec = mapping(task["withSequence"], f"{where}.withSequence", problems)
        return _sequence(spec, where, parameters, problems)
    return None


def substitute(value: str, parameters: Mapping[str, str]) -> str:
    """``value`` with every ``{{workflow.parameters.x}}`` that has a default replaced by it."""
    if "{{" not in value or sum(len(parameters.get(n, "")) for n in _PARAMETER.findall(value)) > MAX_TEXT:
        return value
    return _PARAMETER.sub(lambda m: parameters.get(m.group(1), m.group(0)), value)


def _listed(items: Any, parameters: Mapping[str, str]) -> FanOut:
    if len(items) > MAX_ITEMS:
        return FanOut(None, len(items))
    names: list[str] = []
    size = 0
    for i, item in enumerate(items):
        name = item_name(i, _substituted(item, parameters))
        size += len(name)
        if _TAG.search(name) or size > MAX_TEXT:
            return FanOut(None, len(items))
        names.append(name)
    return FanOut(tuple(names), len(items), assumed=any(_TAG.search(json.dumps(item, default=str)) for item in items))


def _param(value: str, where: str, parameters: Mapping[str, str], problems: Problems) -> FanOut:
    filled = substitute(value, parameters)
    if "{{" in filled:
        return FanOut(None, None)
    try:
        items = json.loads(filled)
    except ValueError:
        items = None
    if not isinstance(items, list):
        problems.add(f"{where}.withParam is {shown(value)}, which is no JSON list")
        return FanOut(None, None)
    assumed = filled != value
    names = tuple(item_name(i, item) for i, item in enumerate(items)) if len(items) <= MAX_ITEMS else None
    return FanOut(names, None if assumed else len(items), assumed)


def _sequence(spec: Mapping[str, Any], where: str, parameters: Mapping[str, str], problems: Problems) -> FanOut:
    written = {k: text(spec.get(k), f"{where}.withSequence.{k}", problems) for k in ("count", "start", "end", "format")}
    filled = {k: substitute(v, parameters) for k, v in written.items() if v is not None}
    if any("{{" in v for k, v in filled.items() if k != "format"):
        return FanOut(None, None)
    try:
        start = int(filled.get("start", "0"))
        if "end" in filled:
            end = int(filled["end"])
        elif "count" in filled:
            count = int(filled["count"])
            if count <= 0:
                return FanOut((), 0)
            end = start + count - 1
        else:
            problems.add(f"{where}.withSequence has neither count nor end")
            return FanOut(None, None)
    except ValueError:
        problems.add(f"{where}.withSequence is {shown(dict(spec))}: start, end and count must be whole numbers")
        return FanOut(None, None)
    assumed = any(filled[k] != written[k] for k in filled)
    width = abs(end - start) + 1
    form = filled.get("format", "%d")
    if width > MAX_ITEMS or "{{" in form:
        return FanOut(None, None if assumed else width, assumed)
    numbers = range(start, end + 1) if start <= end else range(start, end - 1, -1)
    names = tuple(item_name(i, _formatted(form, n)) for i, n in enumerate(numbers))
    return FanOut(names, None if assumed else width, assumed)


def item_name(index: int, item: object) -> str:
    """Suffix of one item: index, colon, the item as Go prints it, without parentheses."""
    if isinstance(item, Mapping):
        shown_item = ",".join(sorted(f"{k}:{_go(v)}" for k, v in item.items()))
    elif isinstance(item, list | tuple):
        shown_item = "[" + " ".join(_go(v) for v in item) + "]"
    else:
        shown_item = _go(item)
    return f"{index}:{shown_item.replace('(', '').replace(')', '')}"


def _go(value: object) -> str:
    """A JSON value as Argo's Item prints it: compact JSON, text without its quotes but with its escapes."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        value = int(value)  # the API server stores 1.0 as 1
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    written = written.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")  # Go's encoder escapes these two
    return written[1:-1] if isinstance(value, str) else written


def _substituted(item: object, parameters: Mapping[str, str]) -> object:
    if isinstance(item, str):
        return substitute(item, parameters)
    if isinstance(item, Mapping):
        return {k: _substituted(v, parameters) for k, v in item.items()}
    if isinstance(item, list | tuple):
        return [_substituted(v, parameters) for v in item]
    return item


def _formatted(form: str, number: int) -> str:
    """Go's fmt.Sprintf for one integer: the verbs people use in withSequence.format (%d, %03d, %x)."""
    out = _FORMAT.sub(lambda m: format(number, f"{m.group(1)}{m.group(2)}{m.group(3)}"), form, count=1)
    return out.replace("%%", "%")
