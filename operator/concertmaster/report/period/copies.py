"""Copies of a workflow in several namespaces, as each tenant has of one template, as one line of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from concertmaster.api.views.fleet import CostGroup, Degradation, ObjectiveRow
from concertmaster.core import text
from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.report.costs.groups import MAX_GROUPS, summed

Alike = TypeVar("Alike", Degradation, ObjectiveRow)


@dataclass(frozen=True, slots=True)
class Line(Generic[Alike]):
    """The first of rows that are alike. ``more``: what follows the name of its workflow where other namespaces have one."""

    row: Alike
    more: str

    @property
    def name(self) -> str:
        """The workflow and the number of other namespaces."""
        return f"{self.row.namespace}/{self.row.workflow or self.row.profile}{self.more}"


def degradations(rows: Iterable[Degradation]) -> list[Line[Degradation]]:
    """Those of one recommendation as one."""
    return _lines((d.recommendation, d) for d in rows)


def objectives(rows: Iterable[ObjectiveRow]) -> list[Line[ObjectiveRow]]:
    """Those that are not met, of one objective with the same verdict as one; the first of rows is the one furthest from its
    target."""
    return _lines(((o.name, o.verdict), o) for o in rows if o.verdict != ObjectiveResult.MET)


def met(rows: Iterable[ObjectiveRow]) -> int:
    """How many objectives are met."""
    return sum(o.verdict == ObjectiveResult.MET for o in rows)


def _lines(rows: Iterable[tuple[Hashable, Alike]]) -> list[Line[Alike]]:
    alike: dict[Hashable, dict[str, Alike]] = {}
    for what, row in rows:
        # The profiles of copies have one name; two workflows of a namespace never do.
        alike.setdefault((what, row.profile, row.workflow), {}).setdefault(row.namespace, row)
    found = []
    for copies in alike.values():
        first, *others = copies.values()
        found.append(Line(first, _more(len(others))))
    return found


def costs(groups: Sequence[CostGroup]) -> Sequence[CostGroup]:
    """Groups called ``namespace/...`` with those of the same name in other namespaces added up; the most expensive first."""
    own = [group.name.partition("/")[2] for group in groups]
    copies = Counter(zip(own, (group.currency for group in groups), strict=True))
    named = (
        g.model_copy(update={"name": _together(g.name.partition("/")[0], name, copies[name, g.currency])})
        for name, g in zip(own, groups, strict=True)
    )
    return summed(named)[:MAX_GROUPS]


def _together(namespace: str, name: str, namespaces: int) -> str:
    """What the sum over a workflow and its copies is called; ``namespace/name`` of one without any."""
    return f"{name} in {namespaces} namespaces" if namespaces > 1 else f"{namespace}/{name}"


def _more(others: int) -> str:
    return f" and {text.count(others, 'more namespace')}" if others else ""
