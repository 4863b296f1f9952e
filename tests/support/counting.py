"""How much work something is and how much it holds, in numbers that a loaded machine does not change."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from types import FrameType
from typing import Any


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


def elements(root: Any) -> Counter[str]:
    """How many elements the collections have that are reached from ``root``, by the class and attribute that holds them."""
    found: Counter[str] = Counter()
    seen: set[int] = set()
    left: list[tuple[str, Any]] = [("", root)]
    while left:
        name, item = left.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            found[name] += len(item)
            left += [(name, part) for pair in item.items() for part in pair]
        elif isinstance(item, list | tuple | set | frozenset | deque):
            found[name] += len(item)
            left += [(name, part) for part in item]
        elif type(item).__module__.startswith("concertmaster"):
            left += [(f"{type(item).__name__}.{attribute}", value) for attribute, value in _attributes(item)]
    return found


def _attributes(item: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(item, "__dict__", {}).items()
    for of in type(item).__mro__:
        slots = getattr(of, "__slots__", ())
        yield from ((name, getattr(item, name)) for name in slots if hasattr(item, name))
