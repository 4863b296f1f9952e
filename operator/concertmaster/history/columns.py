"""Values of many like objects by field: one column each, as short as it can be said in JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import repeat
from operator import attrgetter
from typing import Any


class Columns:
    """How the fields ``names`` of a dataclass are stored. New names may only be added at the end."""

    def __init__(
        self,
        cls: type,
        names: Sequence[str],
        *,
        written: Mapping[str, Callable[[Any], Any]] | None = None,
        read: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> None:
        """``written`` encodes the value of a field as JSON, ``read`` decodes it; without them the value is JSON already."""
        defaults = {f.name: None if f.default is MISSING else f.default for f in fields(cls)}
        self._defaults = [defaults[name] for name in names]
        self._unsaid = [repeat(default) for default in self._defaults]
        self._written = {names.index(name): convert for name, convert in (written or {}).items()}
        self._read = {names.index(name): convert for name, convert in (read or {}).items()}
        self._of = attrgetter(*names)

    def pack(self, objects: Iterable[Any]) -> list[list[Any] | None]:
        """One column per field: None where all values are the default, a single value where all are equal, else the list
        of values. Trailing columns without a value are omitted."""
        packed: list[list[Any] | None] = []
        for place, values in enumerate(zip(*map(self._of, objects), strict=True)):
            if values.count(self._defaults[place]) == len(values):
                packed.append(None)
                continue
            column = list(values[:1] if values.count(values[0]) == len(values) else values)
            if (convert := self._written.get(place)) is not None:
                column = [convert(value) for value in column]
            packed.append(column)
        while packed and packed[-1] is None:
            packed.pop()
        return packed

    def fill(self, packed: Sequence[list[Any] | None], count: int) -> list[Iterable[Any]]:
        """The values of each field of ``count`` objects packed by this version or an older one; an endless iterator where
        all are equal. Raises ValueError for columns of another length."""
        filled: list[Iterable[Any]] = [*self._unsaid]
        for place, column in enumerate(packed[: len(filled)]):
            if column is not None:
                filled[place] = self._values(column, place, count)
        return filled

    def field(self, packed: Sequence[list[Any] | None], place: int, count: int) -> Iterable[Any]:
        """Those of the field at that place of the names."""
        column = packed[place] if place < len(packed) else None
        return self._unsaid[place] if column is None else self._values(column, place, count)

    def _values(self, column: list[Any], place: int, count: int) -> Iterable[Any]:
        if len(column) not in (1, count):
            raise ValueError(f"a column of {len(column)} values for {count} objects")
        if (convert := self._read.get(place)) is not None:
            column = [convert(value) for value in column]
        return column if len(column) == count else repeat(column[0])
