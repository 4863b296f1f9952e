"""Answers of the metrics store in a compact shape, and the one place where its JSON is read.

A parsed answer of 50,000 elements takes well over 100 MB as nested dicts. Here every label set becomes a tuple of
shared strings while the parser runs, and the numbers go to an array: about a tenth of that.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Labels = dict[str, str]


class Malformed(ValueError):
    """The body is not an answer of the Prometheus HTTP API; the message says what is wrong with it."""


class NotWhole(Malformed):
    """The body is not whole JSON: cut off, or no JSON at all."""


@dataclass(frozen=True, slots=True)
class Vector:
    """One instant result: per row the values of ``columns`` ("" where a series lacks the label) and one number.

    ``dropped`` counts elements without a usable number (NaN, infinities, stale markers, histograms): they are missing,
    not zero. ``warnings`` and ``infos`` are the store's own words.
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
        places = [self.columns.index(name) if name in self.columns else -1 for name in names]
        for row, value in zip(self.rows, self.values, strict=True):
            yield tuple(row[place] if place >= 0 else "" for place in places), value


@dataclass(frozen=True, slots=True)
class Envelope:
    """A decoded body: ``data`` as the server sent it, with label sets as tuples of pairs where asked for."""

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


def decode(body: bytes) -> Envelope:
    """Read a body of the HTTP API. Raises Malformed when it is no such thing (cut off, HTML, another service)."""
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
        raise NotWhole(f"its body is not whole JSON ({_brief(error)})") from None
    if not isinstance(document, dict) or document.get("status") not in ("success", "error"):
        raise Malformed("its JSON has no status of the Prometheus HTTP API")
    if document["status"] == "success" and "data" not in document:
        raise Malformed("its JSON says success and carries no data")
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
    """The instant vector (or scalar, as one row without labels) of an answer. Raises Malformed for other results."""
    kind, result = _result(envelope)
    if kind == "scalar":
        result = [_Element((), result)]
    elif kind != "vector" or not isinstance(result, list):
        raise Malformed(f"a vector was expected, the answer is a {kind or 'thing without resultType'}")
    names: dict[str, int] = {}
    for element in result:
        for name, _ in _checked(element).labels:
            names.setdefault(name, len(names))
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
    if not isinstance(sample, list) or len(sample) != 2:
        return None
    try:
        number = float(sample[1])
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(text) for text in value) if isinstance(value, list) else ()


def _brief(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:120]
