"""What all archives have in common: their rows, and what the operator asks of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from concertmaster.core.units import MIB

PAGE = 500
"""Rows of one answer, without their objects."""
MAX_BYTES = 32 * MIB
"""Maximum size of one archived object as text; 10,000 nodes of Argo take about 10 MB."""


@dataclass(frozen=True, slots=True)
class ArchiveRow:
    """One archived run without its object. ``ended``: seconds by the clock of its archive, comparable with those of
    others; ``labels``: those that name what it was created from; ``over``: whether the run has ended; ``created`` and
    ``finished``: as its object says (unix seconds), where ``ended`` is another time; ``place``: where its archive finds
    it."""

    uid: str
    namespace: str
    name: str
    ended: float
    labels: Mapping[str, str] = field(default_factory=dict)
    over: bool = True
    created: float | None = None
    finished: float | None = None
    place: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ArchivePage:
    """Rows in the order they were requested. ``more``: there may be further ones."""

    rows: Sequence[ArchiveRow]
    more: bool


def quoted(table: str) -> str:
    """A table's name, with its schema where it has one, as statements have it; letters, digits and underscores only."""
    return ".".join(f'"{part}"' for part in table.split("."))


def labels_of(values: object) -> dict[str, str]:
    """Labels of an answer, which are the text of a JSON object or nothing."""
    found = json.loads(values) if isinstance(values, str) else {}
    return {str(name): str(value) for name, value in found.items()}


class ArchiveTable(Protocol):
    """Archived runs of one kind, of one cluster. Every call is one statement, and raises ArchiveError."""

    def newest(self, namespaces: Collection[str]) -> float | None:
        """When the last archived run of these namespaces ended; None when there are none."""

    def page(
        self,
        namespaces: Collection[str],
        since: float,
        until: float,
        *,
        after: ArchiveRow | None = None,
        newest_first: bool = True,
    ) -> ArchivePage:
        """Runs of these namespaces that ended in [``since``, ``until``]; those after the cursor ``after``, in the requested
        order."""

    def described(self, row: ArchiveRow) -> ArchiveRow | None:
        """A row with what only its object says of it; None for one that is gone."""

    def reference(self, row: ArchiveRow) -> Any:
        """The template reference of a row's object, decoded; None where there is none."""

    def document(self, row: ArchiveRow) -> tuple[str | None, int]:
        """The object of a row, with those that belong to it, as JSON and its size in bytes; None instead where it is above
        ``MAX_BYTES``, or was deleted meanwhile (0 bytes). The limit holds in the server: nothing larger is sent."""

    def close(self) -> None:
        """Close the connection; the next call makes another one."""
