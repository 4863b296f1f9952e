"""Whose turn it is, where many want something of which there is not enough for all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def round_robin(items: Iterable[T], owner: Callable[[T], str | None]) -> Iterator[T]:
    """``items`` in rounds with one of each owner, so that none comes first because it has most. Owners come in the order
    of their first items, items of one owner in their own."""
    waiting: dict[str | None, list[T]] = {}
    for item in items:
        waiting.setdefault(owner(item), []).append(item)
    queues = [iter(queue) for queue in waiting.values()]
    while queues:
        left = []
        for queue in queues:
            for item in queue:
                yield item
                left.append(queue)
                break
        queues = left


def item_to_evict(newest_first: Iterable[T], owner: Callable[[T], str | None], amounts: Counter[str | None]) -> T:
    """Which item makes room for another: the newest of the owner that has most by ``amounts``, so that a flood of one owner
    costs nobody else anything."""
    most = amounts.most_common(1)[0][0]
    return next(item for item in newest_first if owner(item) == most)
