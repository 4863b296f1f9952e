"""Bounds of what is read of workflows and runs, and of the memory that a JSON document takes once decoded, known before
decoding it."""

from __future__ import annotations

MAX_STEPS = 2_000
"""Maximum steps of a workflow; further ones are not analyzed, which is reported as a problem."""

MAX_EDGES = 200_000
"""Maximum edges between the steps of a workflow or of a run."""

MAX_EXECUTIONS = 100_000
"""Maximum step executions of a run that are read from its objects."""

MAX_CONTAINERS = 200
"""Maximum containers of each kind (app, init, sidecar) of a pod; further ones are not analyzed, which is reported."""

MAX_LOCKS = 100
"""Maximum mutexes and semaphores that one step holds or waits for; further ones are not analyzed."""

MAX_NAME = 253
"""Maximum characters of the name of a task, as of any name in Kubernetes; a task with a longer one is left out."""

_MAX_WIDTH = 2**53  # integers up to here are exact in JSON
_PART, _CONTAINER = 100, 120  # maximum bytes per value or key, and per object or list, in addition to the text


def decoded_bytes(document: bytes) -> int:
    """Upper bound in bytes of the decoded size of a JSON document: "[[],[], ..." takes twenty times its length."""
    parts = document.count(b",") + document.count(b":")
    return len(document) + _PART * parts + _CONTAINER * (document.count(b"{") + document.count(b"["))


def possible_width(pods: int) -> int | None:
    """A declared number of pods; None where it is larger than any computation takes: a few nested fan-outs of numbers of
    many digits make one that is no float and has no text."""
    return pods if pods <= _MAX_WIDTH else None
