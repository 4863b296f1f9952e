"""Work on many series at once: on thirty values the overhead of a call of NumPy is most of its time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats

S = TypeVar("S")
T = TypeVar("T")


def in_groups(items: Sequence[S], key: Callable[[S], Hashable], each: Callable[[list[S]], Iterable[T]]) -> list[T]:
    """Results of ``each``, which is given all items of one key at a time; one per item, in the order of ``items``."""
    places: dict[Hashable, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(key(item), []).append(place)
    if len(places) == 1:
        return list(each(list(items)))
    results: dict[int, T] = {}
    for members in places.values():
        results.update(zip(members, each([items[place] for place in members]), strict=True))
    return [results[place] for place in range(len(items))]


def as_rows(arrays: Sequence[Floats]) -> Floats:
    """Arrays of shape (n,) as the rows of a new one, in a third of the time of NumPy's ``stack``."""
    return np.concatenate(arrays).reshape(len(arrays), -1)
