"""Answers of the metrics source in a compact shape, and the one place where its JSON is read.

A parsed answer of 50,000 elements takes well over 100 MB as nested dicts. Here one element is parsed at a time, its label
set becomes a tuple of shared strings, and the numbers go to an array: about a tenth of that, and three times as fast.
What is not a plain vector is read by the standard library, which says what is wrong with it.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Literal

import msgspec

Labels = dict[str, str]

_MAX_CELLS = 5_000_000  # rows times labels: series that share no label make a table of their square
_MAX_COLUMNS = 200  # of all elements together; what has more is read by the standard library

MAX_VALUE = 1e18
"""Of a usable number: times, bytes and seconds stay far below, and sums, differences and counts of it stay finite."""


class Malformed(ValueError):
    """The body is not an answer of the Prometheus HTTP API; the message says what is wrong with it."""


class IncompleteBody(Malformed):
    """The body is not whole JSON: cut off, or no JSON at all."""


class Wide(ValueError):
    """The table of an answer would be too large."""


@dataclass(frozen=True, slots=True)
class Vector:
    """One instant result: per row the values of ``columns`` ("" where a series lacks the label) and one number.

    ``dropped`` counts elements without a usable number (NaN, infinities, stale markers, histograms): they are missing,
    not zero. ``warnings`` and ``infos`` are the metrics source's own words.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    values: Sequence[float] = ()
    dropped: int = 0
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Labels, float]]:
        """Every row as (labels that are set, value)."""
        for row, value in zip(self.rows, self.values, strict=True):
            yield {name: text for name, text in zip(self.columns, row, strict=True) if text}, value

    def select(self, *names: str) -> Iterator[tuple[tuple[str, ...], float]]:
        """Every row as (values of the named labels, value), without building a dict per row."""
        pick = _picker(self.columns, names)
        for row, value in zip(self.rows, self.values, strict=True):
            yield pick((*row, "")), value


@dataclass(frozen=True, slots=True)
class Envelope:
    """A decoded body: ``data`` is a Vector, or what else the server sent, with label sets as tuples of pairs."""

    status: str
    data: Any
    error_type: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    partial: bool = False


@dataclass(frozen=True, slots=True)
class _Element:
    """One decoded result element: its label pairs and its sample."""

    labels: tuple[tuple[str, str], ...]
    value: Any = None


class _Row(msgspec.Struct, gc=False):
    """One element of a plain vector."""

    metric: dict[str, str]
    value: tuple[float, str]


class _Data(msgspec.Struct):
    resultType: str
    result: list[msgspec.Raw]


class _Body(msgspec.Struct):
    status: str
    data: _Data
    warnings: list[str] = []
    infos: list[str] = []
    isPartial: bool = False


class _Target(msgspec.Struct):
    """What is used of a scrape target; the rest is ten times as much."""

    labels: dict[str, str] = {}
    scrapeUrl: str = ""
    scrapeInterval: str = ""


class _TargetList(msgspec.Struct):
    activeTargets: list[_Target]


class _Targets(msgspec.Struct):
    status: Literal["success"]
    data: _TargetList


_BODY = msgspec.json.Decoder(_Body)
_TARGETS = msgspec.json.Decoder(_Targets)
_ROW = msgspec.json.Decoder(_Row)
_NOT_PLAIN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode(body: bytes) -> Envelope:
    """Read a body of the HTTP API. Raises Malformed when it is no such thing (cut off, HTML, another service)."""
    with suppress(*_NOT_PLAIN):
        read = _BODY.decode(body)
        if read.status == "success" and read.data.resultType == "vector":
            rows = _vector(read)
            return Envelope("success", rows, warnings=rows.warnings, infos=rows.infos, partial=read.isPartial)
    with suppress(*_NOT_PLAIN):
        return Envelope("success", msgspec.to_builtins(_TARGETS.decode(body).data))
    return _decode_any(body)  # an error, another kind of answer, or no answer at all


def _vector(read: _Body) -> Vector:
    """The vector of a plain answer. Raises MsgspecError when an element is none."""
    shared: dict[str, str] = {}
    keep = shared.setdefault
    columns: tuple[str, ...] = ()
    decode_row = _row_decoder(columns)
    rows: list[tuple[str, ...]] = []
    values = array("d")
    dropped = 0
    for raw in read.data.result:
        try:
            row = decode_row(raw)
        except msgspec.ValidationError:  # a label that no element before it has, or no element at all
            columns = tuple(dict.fromkeys((*columns, *_ROW.decode(raw).metric)))
            decode_row = _row_decoder(columns)
            row = decode_row(raw)
        number = _finite(row.value[1])
        if number is None:
            dropped += 1
            continue
        own = msgspec.structs.astuple(row.metric)
        rows.append(tuple(map(keep, own, own)))
        values.append(number)
    width = len(columns)
    whole = tuple([row if len(row) == width else (*row, *[""] * (width - len(row))) for row in rows])
    return Vector(columns, whole, values, dropped, tuple(read.warnings), tuple(read.infos))


@lru_cache(maxsize=64)
def _row_decoder(columns: tuple[str, ...]) -> Callable[[msgspec.Raw], Any]:
    """Decodes an element that has no other labels than these; those that it lacks are ""."""
    if len(columns) > _MAX_COLUMNS:
        raise msgspec.ValidationError("more labels than an answer of ours has")
    names = {f"label_{place}": name for place, name in enumerate(columns)}
    fields: list[Any] = [(name, str, "") for name in names]
    try:
        labels = msgspec.defstruct("_Labels", fields, rename=names, forbid_unknown_fields=True, gc=False)
    except ValueError as error:  # quotes and control characters in a name, which UTF-8 names of labels may have
        raise msgspec.ValidationError(str(error)) from error
    element = msgspec.defstruct("_Element", [("metric", labels), ("value", tuple[float, str])], gc=False)
    return msgspec.json.Decoder(element).decode


def _picker(columns: Sequence[str], names: Sequence[str]) -> itemgetter[Any]:
    """Takes the values of ``names`` from a row with "" behind it, which stands for those that the columns lack."""
    places = {name: place for place, name in enumerate(columns)}
    chosen = [places.get(name, -1) for name in names]
    return itemgetter(*chosen) if len(chosen) > 1 else itemgetter(slice(chosen[0], chosen[0] + 1 or None))


def _finite(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and abs(number) <= MAX_VALUE else None


def _decode_any(body: bytes) -> Envelope:
    """Any body, by the standard library."""
    shared: dict[str, str] = {}

    def compact(pairs: list[tuple[str, Any]]) -> Any:
        keys = {key for key, _ in pairs}
        if "metric" in keys and keys & {"value", "values", "histogram", "histograms"}:
            members = dict(pairs)
            labels = members["metric"]
            if not isinstance(labels, dict):
                raise Malformed("a result element has no label set")
            flat = tuple((shared.setdefault(k, k), shared.setdefault(v, v)) for k, v in labels.items())
            return _Element(flat, members.get("value"))
        return dict(pairs)

    try:
        document = json.loads(body, object_pairs_hook=compact)
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise IncompleteBody(f"its body is not whole JSON ({_brief(error)})") from None
    if not isinstance(document, dict) or document.get("status") not in ("success", "error"):
        raise Malformed("its JSON has no status of the Prometheus HTTP API")
    if document["status"] == "success" and "data" not in document:
        raise Malformed("its JSON reports success without data")
    return Envelope(
        status=document["status"],
        data=document.get("data"),
        error_type=str(document.get("errorType", "")),
        error=str(document.get("error", "")),
        warnings=_texts(document.get("warnings")),
        infos=_texts(document.get("infos")),
        partial=document.get("isPartial") is True,
    )


def vector(envelope: Envelope) -> Vector:
    """The instant vector (or scalar, as one row without labels) of an answer. Raises Malformed, Wide."""
    if isinstance(envelope.data, Vector):
        return envelope.data
    kind, result = _result(envelope)
    if kind == "scalar":
        result = [_Element((), result)]
    elif kind != "vector" or not isinstance(result, list):
        raise Malformed(f"a vector was expected, the answer is a {kind or 'thing without resultType'}")
    names: dict[str, int] = {}
    for element in result:
        for name, _ in _checked(element).labels:
            names.setdefault(name, len(names))
    if len(names) * len(result) > _MAX_CELLS:
        raise Wide(f"{len(result)} series of the answer have {len(names)} different labels")
    rows: list[tuple[str, ...]] = []
    values = array("d")
    dropped = 0
    for element in result:
        number = _number(element.value)
        if number is None:
            dropped += 1
            continue
        row = [""] * len(names)
        for name, text in element.labels:
            row[names[name]] = text
        rows.append(tuple(row))
        values.append(number)
    return Vector(tuple(names), tuple(rows), values, dropped, envelope.warnings, envelope.infos)


def _result(envelope: Envelope) -> tuple[str, Any]:
    data = envelope.data
    if not isinstance(data, dict):
        raise Malformed("its data is not a query result")
    return str(data.get("resultType", "")), data.get("result")


def _checked(element: Any) -> _Element:
    if not isinstance(element, _Element):
        raise Malformed("a result element has no label set or no sample")
    return element


def _number(sample: Any) -> float | None:
    """The number of a ``[time, "text"]`` sample, or None when it is no finite number."""
    return _finite(sample[1]) if isinstance(sample, list) and len(sample) == 2 else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(text) for text in value) if isinstance(value, list) else ()


def _brief(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:120]
