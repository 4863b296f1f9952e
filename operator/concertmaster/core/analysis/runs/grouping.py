"""Rows of many runs by their key, worked out from those of the last time where most runs are the same.

A window that moves on loses its oldest runs and gains new ones: everything between stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import is_
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")
KeyedRows = Sequence[tuple[K, T]]
"""The rows of one run, each with its key."""


class Grouping(Generic[K, T]):
    """Rows of runs in their order, and by key, keys in the order in which they appear first. ``runs`` are compared by
    identity: the rows of one that is the same are the same object."""

    def __init__(self, runs: Sequence[KeyedRows[K, T]]) -> None:
        self.runs = runs
        self.by_key: Mapping[K, Sequence[T]] = _grouped(runs)

    def moved_on(self, runs: Sequence[KeyedRows[K, T]]) -> Grouping[K, T]:
        """The grouping of ``runs``; this one stays as it is."""
        known = self.runs
        first = next((place for place, rows in enumerate(known) if runs and rows is runs[0]), len(known))
        kept = len(known) - first
        if not 0 < kept <= len(runs) or not all(map(is_, known[first:], runs)):
            return Grouping(runs)
        if kept == len(known) == len(runs):
            return self
        keys = dict.fromkeys([key for key, _ in runs[0]])
        lost = Counter([key for rows in known[:first] for key, _ in rows])
        won = _grouped(runs[kept:])
        if not keys.keys() >= self.by_key.keys() | won.keys():
            return Grouping(runs)  # the order of the keys may be another one
        moved = Grouping[K, T](())
        moved.runs = runs
        moved.by_key = {key: [*self.by_key.get(key, ())[lost[key] :], *won.get(key, ())] for key in keys}
        return moved


def _grouped(runs: Sequence[KeyedRows[K, T]]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = {}
    for rows in runs:
        for key, row in rows:
            group = groups.get(key)
            if group is None:
                groups[key] = [row]
            else:
                group.append(row)
    return groups
