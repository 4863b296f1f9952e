"""Fan-out of Argo tasks: the number and the names of the nodes of a task.

``withItems``, ``withSequence`` and ``withParam`` expand a task ``b`` into nodes ``b(0:x)``, ``b(1:y)`` ... . Literal
values yield the exact names (so that pods can be recognised by hash); values that only exist at run time yield a
fan-out with unknown names. Naming follows workflow/controller/operator.go (processItem, expandSequence).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.engines.argo.expansion.values import MAX_TEXT, KnownValues
from concertmaster.engines.common.bounds import possible_width
from concertmaster.engines.common.manifest import Problems, mapping, sequence, shown, text

FAN_OUTS = ("withItems", "withParam", "withSequence")
MAX_ITEMS = 20_000  # beyond this number no names are computed: the fan-out counts as one with unknown names

_TAG = re.compile(r"\{\{\s*(=|[A-Za-z][^{}]*\}\})")  # expressions that Argo may substitute; other braces are text
_FORMAT = re.compile(r"%(0?)(\d*)([dxX])")
_MAX_WIDTH_DIGITS = 6  # digits of the width in a number format, as in Go


class _Written(float):
    """A number of a text of JSON, which Argo puts into names as its author wrote it: ``1.0``, ``1e-3``."""

    def __new__(cls, text: str) -> _Written:
        """From its text."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


@dataclass(frozen=True, slots=True)
class FanOut:
    """``items``: node suffixes without parentheses, None if only known at run time. ``width``: number of nodes, if
    known. ``size``: characters written while computing the names."""

    items: tuple[str, ...] | None
    width: int | None
    size: int = 0


def fan_out(
    task: Mapping[str, Any], where: str, values: KnownValues, problems: Problems, *, named: bool = True
) -> FanOut | None:
    """The fan-out of ``task``; None if it runs once. ``values`` are those of parameters as far as they are known. If
    ``named`` is False, no names are computed, because other tasks used up the limit."""
    if task.get("withItems") is not None:
        items = sequence(task["withItems"], f"{where}.withItems", problems)
        if items:
            return _listed(items, values) if named else FanOut(None, len(items))
    if task.get("withParam") not in (None, ""):
        if not named:
            return FanOut(None, None)
        return _param(text(task["withParam"], f"{where}.withParam", problems) or "", where, values, problems)
    if task.get("withSequence") is not None:
        spec = mapping(task["withSequence"], f"{where}.withSequence", problems)
        return _sequence(spec, where, values, problems, named)
    return None


def _listed(items: Any, values: KnownValues) -> FanOut:
    if len(items) > MAX_ITEMS:
        return FanOut(None, len(items))
    names: list[str] = []
    size = 0
    for i, item in enumerate(items):
        name = item_name(i, _substituted(item, values))
        size += len(name)
        if size > MAX_TEXT or _tagged(name):
            return FanOut(None, len(items), size=size)
        names.append(name)
    return FanOut(tuple(names), len(items), size)


def _param(value: str, where: str, values: KnownValues, problems: Problems) -> FanOut:
    filled = values.put_in(value)
    if "{{" in filled:
        return FanOut(None, None)
    try:
        items = json.loads(filled, parse_float=_Written)
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list):
        problems.add(f"{where}.withParam is {shown(value)}, which is no JSON list")
        return FanOut(None, None)
    assumed = values.assumes(value)
    if assumed and not items:  # a run that has nodes was started with others
        return FanOut(None, None)
    known = len(items) <= MAX_ITEMS and "\\" not in filled  # Argo keeps the escapes of texts as they are written
    names = tuple(item_name(i, item) for i, item in enumerate(items)) if known else None
    return FanOut(names, None if assumed else len(items), len(filled))


def _sequence(spec: Mapping[str, Any], where: str, values: KnownValues, problems: Problems, named: bool) -> FanOut:
    written = {k: text(spec.get(k), f"{where}.withSequence.{k}", problems) for k in ("count", "start", "end", "format")}
    filled = {k: values.put_in(v) for k, v in written.items() if v is not None}
    if any("{{" in v for k, v in filled.items() if k != "format"):
        return FanOut(None, None)
    assumed = any(values.assumes(v) for v in written.values() if v is not None)
    try:
        start = int(filled.get("start", "0"))
        if "end" in filled:
            end = int(filled["end"])
        elif "count" in filled:
            count = int(filled["count"])
            if count == 0:
                return FanOut(None, None) if assumed else FanOut((), 0)
            end = start + count - 1
        else:
            problems.add(f"{where}.withSequence has neither count nor end")
            return FanOut(None, None)
    except ValueError:
        problems.add(f"{where}.withSequence is {shown(dict(spec))}: start, end and count must be whole numbers")
        return FanOut(None, None)
    width = possible_width(abs(end - start) + 1)
    if width is None:
        problems.add(f"{where}.withSequence is {shown(dict(spec))}, which no engine takes")
        return FanOut(None, None)
    form = filled.get("format", "%d")
    if not named or width > MAX_ITEMS or "{{" in form or width * _longest(form) > MAX_TEXT:
        return FanOut(None, None if assumed else width)
    numbers = range(start, end + 1) if start <= end else range(start, end - 1, -1)
    names = tuple(item_name(i, _formatted(form, n)) for i, n in enumerate(numbers))
    return FanOut(names, None if assumed else width, sum(len(name) for name in names))


def item_name(index: int, item: object) -> str:
    """Suffix of one item: index, colon, and the item as Go formats it, without parentheses."""
    if isinstance(item, Mapping):
        shown_item = ",".join(sorted(f"{k}:{_go(v)}" for k, v in item.items()))
    elif isinstance(item, list | tuple):
        shown_item = "[" + " ".join(_go(v) for v in item) + "]"
    else:
        shown_item = _go(item)
    return f"{index}:{shown_item.replace('(', '').replace(')', '')}"


def _go(value: object) -> str:
    """A JSON value as Argo's Item formats it: compact JSON, strings without quotes but with their escapes."""
    if isinstance(value, _Written):
        return value.text
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        value = int(value)  # the API server stores 1.0 as 1
    try:
        written = _json(value)
    except RecursionError:  # the encoder reaches deeper
        written = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    written = written.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")  # Go's encoder escapes these two
    return written[1:-1] if isinstance(value, str) else written


def _json(value: object) -> str:
    if isinstance(value, _Written):
        return value.text
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_json(str(k))}:{_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)


def _substituted(item: object, values: KnownValues) -> object:
    if isinstance(item, str):
        return values.put_in(item)
    if isinstance(item, Mapping):
        return {k: _substituted(v, values) for k, v in item.items()}
    if isinstance(item, list | tuple):
        return [_substituted(v, values) for v in item]
    return item


def _tagged(written: str) -> bool:
    """Whether Argo may substitute something in the text. Takes linear time."""
    last = written.rfind("}}")
    tag = _TAG.search(written) if last >= 0 else None
    return tag is not None and last >= tag.start() + 2


def _longest(form: str) -> float:
    """Maximum number of characters that ``form`` produces for a number; infinite if Go rejects its width."""
    verb = _FORMAT.search(form)
    digits = verb.group(2).lstrip("0") if verb is not None else ""
    return len(form) + 20 + int(digits or 0) if len(digits) <= _MAX_WIDTH_DIGITS else math.inf


def _formatted(form: str, number: int) -> str:
    """Go's fmt.Sprintf for one integer: the verbs common in withSequence.format (%d, %03d, %x)."""
    out = _FORMAT.sub(lambda m: format(number, f"{m.group(1)}{m.group(2)}{m.group(3)}"), form, count=1)
    return out.replace("%%", "%")


def widened(width: int | None, spread: FanOut | None) -> int | None:
    """The number of nodes of a step inside ``spread``, of ``width`` in each item; None where one of both is unknown."""
    if spread is None:
        return width
    return None if width is None or spread.width is None else possible_width(width * spread.width)
