"""Vectors: answers of instant queries in a compact shape.

An answer of 50,000 elements takes well over 100 MB as nested dicts. As tuples of shared strings and one array of numbers it
takes about a tenth of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

Labels = dict[str, str]

MAX_VALUE = 1e18
"""Of a usable number: times, bytes and seconds stay far below, and sums, differences and counts of it stay finite."""


@dataclass(frozen=True, slots=True)
class Vector:
    """One instant result: per row the values of ``columns`` ("" where a series lacks the label) and one number.

    ``dropped`` counts elements without a usable number (NaN, infinities, stale markers, histograms): they are missing,
    not zero. ``warnings`` are the metrics source's own words.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    values: Sequence[float] = ()
    dropped: int = 0
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Labels, float]]:
        """Every row as (labels that are set, value)."""
        for row, value in zip(self.rows, self.values, strict=True):
            yield {name: text for name, text in zip(self.columns, row, strict=True) if text}, value

    def select(self, *names: str) -> Iterator[tuple[tuple[str, ...], float]]:
        """Every row as (values of the named labels, value), without building a dict per row."""
        pick = _picker(self.columns, names)
        for row, value in zip(self.rows, self.values, strict=True):
            yield pick((*row, "")), value


def _picker(columns: Sequence[str], names: Sequence[str]) -> itemgetter[Any]:
    """Takes the values of ``names`` from a row with "" behind it, which stands for those that the columns lack."""
    places = {name: place for place, name in enumerate(columns)}
    chosen = [places.get(name, -1) for name in names]
    return itemgetter(*chosen) if len(chosen) > 1 else itemgetter(slice(chosen[0], chosen[0] + 1 or None))


def finite(text: Any) -> float | None:
    """A usable number; None for anything else."""
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and abs(number) <= MAX_VALUE else None
