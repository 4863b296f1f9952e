"""How deeply objects of others may be nested. The API server takes 10,000 levels; a workflow has a few dozen.

A decoder that gives up at a thousand levels loses a whole page with one object, and everything that walks an object by
recursion breaks there. So the decoder is let through (``allow_deep_documents``), and what is too deep is refused by itself.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any

from concertmaster.core.units import MIB

MAX_DEPTH = 100
_SERVER_LEVELS = 12_000  # above what the API server stores
_NESTED = frozenset((dict, list))  # what a decoder makes; isinstance of a Mapping takes ten times as long
_STACK = 64 * MIB  # bytes of address space per thread; only what is used becomes memory


class TooDeep(ValueError):
    """An object is nested deeper than ``MAX_DEPTH``."""


def allow_deep_documents() -> None:
    """Let threads started from now on decode whatever the API server stores. Call once, before any thread is started."""
    threading.stack_size(_STACK)
    sys.setrecursionlimit(_SERVER_LEVELS)


def check_depth(raw: Mapping[str, Any]) -> None:
    """Raises TooDeep; does not recurse itself."""
    level: list[Any] = [raw]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            for child in (value if value.__class__ is list else value.values())
            if child.__class__ in _NESTED
        ]
        if not level:
            return
    raise TooDeep(f"nested deeper than {MAX_DEPTH} levels; no workflow needs that, flatten it")
