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


def growth(work: Callable[[int], Callable[[], object]], size: int) -> float:
    """How many times as many functions are called for twice the ``size``: 2 in proportion to it, 4 with its square."""
    return all_calls(work(2 * size)) / all_calls(work(size))


def all_calls(work: Callable[[], object]) -> int:
    """The same with those written in C."""
    return calls(work, ("call", "c_call"))
