"""Rows of many runs by their key, derived from the previous grouping where most runs are the same.

A window that moves on loses its oldest runs and gains new ones: everything between stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import is_, itemgetter
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=tuple[Any, ...])

_key = itemgetter(0)


class Grouping(Generic[T]):
    """The rows of ``runs`` in their order, by key: the first field of a row. Keys are in the order in which they appear
    first. Runs are compared by identity: an unchanged run has the same rows object."""

    def __init__(self, runs: Sequence[Sequence[T]], by_key: Mapping[Any, Sequence[T]] | None = None) -> None:
        """``by_key``: where that is known already."""
        self.runs = runs
        self.by_key = _grouped(runs) if by_key is None else by_key

    def moved_on(self, runs: Sequence[Sequence[T]]) -> Grouping[T]:
        """The grouping of ``runs``; this one stays as it is."""
        known = self.runs
        if not runs:
            return Grouping(runs)
        first = next((place for place, rows in enumerate(known) if rows is runs[0]), len(known))
        kept = len(known) - first
        if not 0 < kept <= len(runs) or not all(map(is_, known[first:], runs)):
            return Grouping(runs)
        if kept == len(known) == len(runs):
            return self
        lost = Counter([row[0] for rows in known[:first] for row in rows])
        won = _grouped(runs[kept:])
        left = {key for key, rows in self.by_key.items() if len(rows) > lost[key]} | won.keys()
        keys = _first_seen(runs, len(left))
        return Grouping(runs, {key: [*self.by_key.get(key, ())[lost[key] :], *won.get(key, ())] for key in keys})


def _first_seen(runs: Sequence[Sequence[T]], number: int) -> Mapping[Any, object]:
    """The keys of all rows, of which there are so many, in the order in which they appear first: as a rule, in one run."""
    keys: dict[Any, object] = {}
    for rows in runs:
        if len(keys) == number:
            break
        keys |= dict.fromkeys(map(_key, rows))
    return keys


def _grouped(runs: Sequence[Sequence[T]]) -> dict[Any, list[T]]:
    groups: dict[Any, list[T]] = {}
    for rows in runs:
        for row in rows:
            group = groups.get(row[0])
            if group is None:
                groups[row[0]] = [row]
            else:
                group.append(row)
    return groups
