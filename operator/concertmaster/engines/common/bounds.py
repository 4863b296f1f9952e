"""What an object may become in memory, known before it is built."""

from __future__ import annotations

MAX_STEPS = 2_000
"""Steps of a workflow; what is beyond is not analysed, and that is said."""

MAX_EDGES = 200_000
"""Edges between the steps of a workflow or of a run."""

_PART, _CONTAINER = 100, 120  # bytes that a value or key, and an object or list, take at most besides its text


def decoded_bytes(document: bytes) -> int:
    """An upper bound of what a JSON document takes once it is decoded: "[[],[], ..." takes twenty times its length."""
    parts = document.count(b",") + document.count(b":")
    return len(document) + _PART * parts + _CONTAINER * (document.count(b"{") + document.count(b"["))
