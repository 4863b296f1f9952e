"""Objects as a database keeps them, as the API server gave them out while they existed."""

from __future__ import annotations

import json
import sys
from operator import itemgetter
from typing import Any

from concertmaster.core.units import MIB
from concertmaster.engines.common.bounds import decoded_bytes

MAX_DECODED = 192 * MIB
"""Bytes of memory that one archived run may take when it is decoded."""


def archived_object(document: str) -> Any:
    """The decoded text of a database, which orders the fields of an object by length; the API server orders them by name.
    Raises ValueError for what is no JSON or would take too much memory."""
    # One rare character makes all others of a text take up to four bytes.
    wide = sys.getsizeof(document) - len(document)
    if decoded_bytes(document.encode("utf-8", "replace")) + 2 * wide > MAX_DECODED:
        raise ValueError("it holds too many values to be decoded")
    # Ordered while it is decoded: a second copy would take as much memory again.
    return json.loads(document, object_pairs_hook=_ordered)


def _ordered(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object by the names of its fields."""
    return {_encodable(name): _encodable(value) for name, value in sorted(fields, key=itemgetter(0))}


def _encodable(value: Any) -> Any:
    """``value`` without halves of surrogate pairs; objects inside have none."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        value[:] = map(_encodable, value)
    return value
