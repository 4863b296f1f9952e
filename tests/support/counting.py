"""How much work something is, in numbers that a loaded machine does not change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import FrameType


def calls(work: Callable[[], object], events: Collection[str] = ("call",)) -> int:
    """How many functions are called; with the event ``c_call`` also those written in C."""
    number = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal number
        number += event in events

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return number


def all_calls(work: Callable[[], object]) -> int:
    """The same with those written in C."""
    return calls(work, ("call", "c_call"))
