"""Fan-out items that go through several steps on their own: ``fan(0).clean`` waits for ``fan(0).extract`` alone.

A step inside a fan-out is not one barrier. Where two steps lie inside the same fan-out, or where the observed times say
that each item of one waited for its own item of the other only, the steps are taken apart into one place per item, so that
edges, critical chain and replay follow the items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from concertmaster.core.analysis.replay.layout import Layout
from concertmaster.core.model import ITEM_JOIN, StepExecution

# Kubernetes writes whole seconds: two stamps of the same instant can differ by one, a difference of two by two.
CLOCK_TOLERANCE = 2.0

Group = tuple[str, ...]


class Row(NamedTuple):
    """One execution that ran: its position in the record, when its pod came into being and when it ended."""

    position: int
    begin: float
    end: float
    execution: StepExecution


@dataclass(frozen=True, slots=True)
class Places:
    """The steps of one run, those of a shared fan-out once per item. ``waits[i]`` are the places that place i may have to
    wait for, ``rows[i]`` its executions, ``index`` all places of a step."""

    names: Sequence[str]
    waits: Sequence[tuple[int, ...]]
    rows: Sequence[Sequence[Row]]
    index: Mapping[str, tuple[int, ...]]


def places(layout: Layout, grouped: Sequence[Sequence[Row]]) -> Places:
    """``layout`` with its executions, ``grouped`` by step, taken apart by item where items go their own ways."""
    links = _links(layout, grouped)
    if not links:
        return Places(layout.names, layout.waits, grouped, layout.places)
    depth = _depths(links)
    built = _Built()
    for step, name in enumerate(layout.names):
        by_group: dict[Group | None, list[Row]] = {}
        for row in grouped[step]:
            by_group.setdefault(_group(row, depth[step]) if step in depth else None, []).append(row)
        for group, rows in (by_group or {None: []}).items():
            built.add(step, name, group, rows, _waits(built, layout, links, step, group))
    return Places(built.names, built.waits, built.rows, {n: tuple(p) for n, p in built.index.items()})


@dataclass(slots=True)
class _Built:
    """Places as they are made, with those of a step by the beginning of their group."""

    names: list[str] = field(default_factory=list)
    waits: list[tuple[int, ...]] = field(default_factory=list)
    rows: list[Sequence[Row]] = field(default_factory=list)
    index: dict[str, list[int]] = field(default_factory=dict)
    of_step: dict[int, list[int]] = field(default_factory=dict)
    by_prefix: dict[tuple[int, Group], list[int]] = field(default_factory=dict)

    def add(self, step: int, name: str, group: Group | None, rows: Sequence[Row], waits: tuple[int, ...]) -> None:
        place = len(self.names)
        self.names.append(name)
        self.rows.append(rows)
        self.waits.append(waits)
        self.index.setdefault(name, []).append(place)
        self.of_step.setdefault(step, []).append(place)
        if group is not None:
            for length in range(len(group) + 1):
                self.by_prefix.setdefault((step, group[:length]), []).append(place)


def _waits(
    built: _Built, layout: Layout, links: Mapping[tuple[int, int], int], step: int, group: Group | None
) -> tuple[int, ...]:
    """Places that one item of a step waits for. A step that did not run for the item passes on what it waits for."""
    found: dict[int, None] = {}
    todo = [(step, before) for before in reversed(layout.waits[step])]
    while todo:
        after, before = todo.pop()
        shared = links.get((after, before))
        if shared is None or group is None:
            found.update(dict.fromkeys(built.of_step[before]))
            continue
        mine = built.by_prefix.get((before, group[:shared]))
        if mine is not None:
            found.update(dict.fromkeys(mine))
        else:
            todo += [(before, earlier) for earlier in layout.waits[before]]
    return tuple(found)


def _links(layout: Layout, grouped: Sequence[Sequence[Row]]) -> dict[tuple[int, int], int]:
    """By (step, step it waits for): the number of items, outermost first, the two have in common."""
    links: dict[tuple[int, int], int] = {}
    for step, (waits, shared) in enumerate(zip(layout.waits, layout.shared, strict=True)):
        if not any(row.execution.item is not None for row in grouped[step]):
            continue
        for before, known in zip(waits, shared, strict=True):
            number = known if known is not None else int(_by_item(grouped[step], grouped[before]))
            if number:
                links[step, before] = number
    return links


def _by_item(after: Sequence[Row], before: Sequence[Row]) -> bool:
    """Whether times contradict a barrier between two steps and agree with each item waiting for its own only."""
    ends: dict[Group, float] = {}
    for row in before:
        group = _group(row, 1)
        ends[group] = max(ends.get(group, row.end), row.end)
    if len(ends) < 2 or () in ends:
        return False
    barrier = max(ends.values())
    first: dict[Group, float] = {}
    for row in after:
        group = _group(row, 1)
        first[group] = min(first.get(group, row.begin), row.begin)
    return (
        any(begin + CLOCK_TOLERANCE < barrier for begin in first.values())
        and first.keys() <= ends.keys()
        and all(begin + CLOCK_TOLERANCE >= ends[group] for group, begin in first.items())
    )


def _group(row: Row, depth: int) -> Group:
    item = row.execution.item
    return tuple(item.split(ITEM_JOIN)[:depth]) if item is not None else ()


def _depths(links: Mapping[tuple[int, int], int]) -> dict[int, int]:
    """By step of a link, the largest number of items shared anywhere among the steps linked with it."""
    root: dict[int, int] = {}

    def find(step: int) -> int:
        while root.setdefault(step, step) != step:
            root[step] = root[root[step]]
            step = root[step]
        return step

    for after, before in links:
        root[find(after)] = find(before)
    most: dict[int, int] = {}
    for (after, _), number in links.items():
        most[find(after)] = max(most.get(find(after), 0), number)
    return {step: most[find(step)] for step in list(root)}
