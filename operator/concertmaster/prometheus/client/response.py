"""Answers of the metrics source: the one place where its JSON is read."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from typing import Any

from concertmaster.prometheus.client.typed_responses import plain_vector, targets
from concertmaster.prometheus.client.vector import Vector, finite

_MAX_CELLS = 5_000_000  # rows times labels: series that share no label make a table of their square


class Malformed(ValueError):
    """The body is not an answer of the Prometheus HTTP API; the message says what is wrong with it."""


class IncompleteBody(Malformed):
    """The body is not whole JSON: cut off, or no JSON at all."""


class Wide(ValueError):
    """The table of an answer would be too large."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A decoded body: ``data`` is a Vector, or what else the server sent, with label sets as tuples of pairs."""

    status: str
    data: Any
    error_type: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()
    partial: bool = False


@dataclass(frozen=True, slots=True)
class _Element:
    """One decoded result element: its label pairs and its sample."""

    labels: tuple[tuple[str, str], ...]
    value: Any = None


def decode(body: bytes) -> Envelope:
    """Read a body of the HTTP API. Raises Malformed when it is no such thing (cut off, HTML, another service)."""
    if (plain := plain_vector(body)) is not None:
        rows, partial = plain
        return Envelope("success", rows, warnings=rows.warnings, partial=partial)
    if (listed := targets(body)) is not None:
        return Envelope("success", listed)
    return _decode_any(body)  # an error, another kind of answer, or no answer at all


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
        partial=document.get("isPartial") is True,
    )


def vector_of(envelope: Envelope) -> Vector:
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
    return Vector(tuple(names), tuple(rows), values, dropped, envelope.warnings)


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
    return finite(sample[1]) if isinstance(sample, list) and len(sample) == 2 else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(text) for text in value) if isinstance(value, list) else ()


def _brief(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:120]
