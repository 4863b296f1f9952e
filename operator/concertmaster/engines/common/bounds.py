"""Upper bound of the memory that a JSON document takes once decoded, known before decoding it."""

from __future__ import annotations

MAX_STEPS = 2_000
"""Maximum steps of a workflow; further ones are not analysed, which is reported as a problem."""

MAX_EDGES = 200_000
"""Maximum edges between the steps of a workflow or of a run."""

_PART, _CONTAINER = 100, 120  # maximum bytes per value or key, and per object or list, in addition to the text


def decoded_bytes(document: bytes) -> int:
    """Upper bound in bytes of the decoded size of a JSON document: "[[],[], ..." takes twenty times its length."""
    parts = document.count(b",") + document.count(b":")
    return len(document) + _PART * parts + _CONTAINER * (document.count(b"{") + document.count(b"["))
