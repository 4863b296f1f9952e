"""Fan-out items that pass through several steps independently: ``fan(0).clean`` waits for ``fan(0).extract`` alone.

A step inside a fan-out is not one barrier. Where two steps lie in the same fan-out, or where observed times show that each
item of one waited only for its own item of the other, the steps are split into one place per item, so that edges, critical
chain and replay follow the items. Rounds of a template that is retried as a whole are split in the same way: the second
round begins when the first has failed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from concertmaster.core.analysis.graph import topological_order
from concertmaster.core.analysis.replay.layout import Layout, RetriedTemplate
from concertmaster.core.model import UNNAMED_ITEM, Outcome, StepExecution

# Kubernetes timestamps are whole seconds: each of two can be off by one, so their difference by two.
CLOCK_TOLERANCE = 2.0
# A replay that deviates by this share from its own run applies limits that run did not have, e.g. after a template change.
SAME_RUN = 0.1

Group = tuple[str, ...]


class ItemRow(NamedTuple):
    """One execution that ran: its position in the record, when its pod was created and when it ended (unix seconds)."""

    position: int
    begin: float
    end: float
    execution: StepExecution


@dataclass(frozen=True, slots=True)
class ItemPlaces:
    """The steps of one run, with one place per item for steps of a shared fan-out. ``waits[i]``: places that place i may
    have to wait for; ``rows[i]``: its executions; ``index``: all places of a step."""

    names: Sequence[str]
    waits: Sequence[tuple[int, ...]]
    rows: Sequence[Sequence[ItemRow]]
    index: Mapping[str, tuple[int, ...]]


def places(layout: Layout, grouped: Sequence[Sequence[ItemRow]]) -> ItemPlaces:
    """``layout`` with its executions (``grouped`` by step), split by item where items proceed independently."""
    rounds = _rounds(layout, grouped)
    again = _again(layout, grouped, rounds)
    links = _links(layout, grouped, again)
    if not links and not again:
        return ItemPlaces(layout.names, layout.waits, grouped, layout.places)
    depth = _depths(links)
    for step, retried in again.items():
        depth[step] = max(depth.get(step, 0), retried.items + 1)
    built = _Built()
    for step, name in enumerate(layout.names):
        by_group: dict[Group | None, list[ItemRow]] = {}
        for row in grouped[step]:
            around = again.get(step)
            number = rounds.get(row.position, row.execution.attempt) if around is not None else 0
            group = _group(row, depth[step], around, number) if step in depth else None
            by_group.setdefault(group, []).append(row)
        for group, rows in (by_group or {None: []}).items():
            built.add(step, name, group, rows, () if again else _waits(built, layout, links, step, group, rows))
    if again:
        _wait_by_round(built, layout, links, again)
    return ItemPlaces(built.names, built.waits, built.rows, {n: tuple(p) for n, p in built.index.items()})


def _again(
    layout: Layout, grouped: Sequence[Sequence[ItemRow]], rounds: Mapping[int, int]
) -> dict[int, RetriedTemplate]:
    """Steps inside a template that was retried as a whole in this run."""
    twice = {
        around
        for around, rows in zip(layout.retried, grouped, strict=False)
        if around is not None and any(rounds.get(row.position, row.execution.attempt) for row in rows)
    }
    return {step: around for step, around in enumerate(layout.retried) if around is not None and around in twice}


def _rounds(layout: Layout, grouped: Sequence[Sequence[ItemRow]]) -> dict[int, int]:
    """By position of an execution: the number of its round, for those in templates in which attempts do not number them."""
    if not layout.nested:
        return {}
    inside: dict[tuple[RetriedTemplate, Group], list[ItemRow]] = {}
    for around, rows in zip(layout.retried, grouped, strict=False):
        if around is not None and around in layout.nested:
            for row in rows:
                inside.setdefault((around, _group(row, around.items)), []).append(row)
    rounds: dict[int, int] = {}
    for rows in inside.values():
        if any(row.execution.attempt for row in rows):
            rounds |= _numbered(sorted(rows, key=lambda row: row.begin))
    return rounds


def _numbered(rows: Sequence[ItemRow]) -> dict[int, int]:
    """Rounds of executions in order of their begin. A round begins when all of the one before has ended, and with
    executions that nothing but a new round repeats: those that had succeeded, or that waited for others than themselves."""
    parts: list[list[ItemRow]] = []
    latest = -math.inf
    for row in rows:
        if latest <= row.begin + CLOCK_TOLERANCE:
            parts.append([])
        parts[-1].append(row)
        latest = max(latest, row.end)
    found: dict[int, int] = {}
    last: dict[tuple[str, str | None], StepExecution] = {}
    number = 0
    for part in parts:
        if any(_repeated(row.execution, last.get((row.execution.step, row.execution.item))) for row in part):
            number += 1
            last.clear()
        for row in part:
            found[row.position] = number
            last[row.execution.step, row.execution.item] = row.execution
    return found


def _repeated(execution: StepExecution, before: StepExecution | None) -> bool:
    if before is None:
        return False
    return before.outcome is Outcome.SUCCEEDED or execution.after not in (None, (execution.step,))


def _wait_by_round(
    built: _Built, layout: Layout, links: Mapping[tuple[int, int], int], again: Mapping[int, RetriedTemplate]
) -> None:
    """Set what each place waits for, once all places are known: the first steps of a round wait for the previous round.
    Then sort the places topologically."""
    waits: list[tuple[int, ...]] = []
    for (step, group), rows in zip(built.origin, built.rows, strict=True):
        waited = _waits(built, layout, links, step, group, rows)
        around = again.get(step)
        if around is not None and group is not None and len(group) > around.items:
            inside = [s for s, other in again.items() if other == around]
            if not any(before in inside for before in layout.waits[step]):
                number = int(group[around.items])
                earlier = (*group[: around.items], str(number - 1))
                waited = (
                    (*waited, *(p for s in inside for p in built.by_prefix.get((s, earlier), ()))) if number else waited
                )
        waits.append(tuple(dict.fromkeys(waited)))
    order = topological_order(waits)
    places_in_order = [*order.order, *order.cyclic]
    new = {old: at for at, old in enumerate(places_in_order)}
    built.waits = [tuple(new[w] for w in waits[old] if new[w] < at) for at, old in enumerate(places_in_order)]
    built.names = [built.names[old] for old in places_in_order]
    built.rows = [built.rows[old] for old in places_in_order]
    built.index = {name: sorted(new[p] for p in at) for name, at in built.index.items()}


@dataclass(slots=True)
class _Built:
    """Places under construction; those of a step are indexed by the prefix of their group."""

    names: list[str] = field(default_factory=list)
    waits: list[tuple[int, ...]] = field(default_factory=list)
    rows: list[Sequence[ItemRow]] = field(default_factory=list)
    index: dict[str, list[int]] = field(default_factory=dict)
    of_step: dict[int, list[int]] = field(default_factory=dict)
    by_prefix: dict[tuple[int, Group], list[int]] = field(default_factory=dict)
    origin: list[tuple[int, Group | None]] = field(default_factory=list)

    def add(self, step: int, name: str, group: Group | None, rows: Sequence[ItemRow], waits: tuple[int, ...]) -> None:
        place = len(self.names)
        self.names.append(name)
        self.rows.append(rows)
        self.origin.append((step, group))
        self.waits.append(waits)
        self.index.setdefault(name, []).append(place)
        self.of_step.setdefault(step, []).append(place)
        if group is not None:
            for length in range(len(group) + 1):
                self.by_prefix.setdefault((step, group[:length]), []).append(place)


def _waits(
    built: _Built,
    layout: Layout,
    links: Mapping[tuple[int, int], int],
    step: int,
    group: Group | None,
    rows: Sequence[ItemRow],
) -> tuple[int, ...]:
    """Places that one item of a step, executed as ``rows``, waits for. A step that did not run for the item is replaced by
    its own dependencies."""
    positions: dict[int, None] = {}
    if group == ():  # the handler of a whole fan-out runs after those of its items
        positions.update(dict.fromkeys(p for p in built.of_step.get(step, ()) if built.origin[p][1]))
    todo = [(step, before) for before in reversed(layout.waits[step])]
    while todo:
        after, before = todo.pop()
        shared = links.get((after, before))
        if shared is None or group is None:
            positions.update(dict.fromkeys(built.of_step[before]))
            continue
        mine = built.by_prefix.get((before, group[:shared])) or _earlier(built, before, group, rows)
        if mine:
            positions.update(dict.fromkeys(mine))
        else:
            todo += [(before, earlier) for earlier in layout.waits[before]]
    return tuple(positions)


def _earlier(built: _Built, before: int, group: Group, rows: Sequence[ItemRow]) -> Sequence[int]:
    """Fallback when an item has no known name on either side: places of a step that ended before this one began."""
    there = built.of_step.get(before, ())
    if not any(
        level.startswith(UNNAMED_ITEM) for at in (group, *(built.origin[p][1] or () for p in there)) for level in at
    ):
        return ()
    begin = min((row.begin for row in rows), default=-math.inf) + CLOCK_TOLERANCE
    return [p for p in there if max((row.end for row in built.rows[p]), default=math.inf) <= begin]


def _links(
    layout: Layout, grouped: Sequence[Sequence[ItemRow]], again: Mapping[int, RetriedTemplate]
) -> dict[tuple[int, int], int]:
    """By (step, dependency): the number of nested items, outermost first, that the two share; a round of a retried
    template counts as one."""
    links: dict[tuple[int, int], int] = {}
    for step, (waits, shared) in enumerate(zip(layout.waits, layout.shared, strict=True)):
        if step not in again and not any(row.execution.item is not None for row in grouped[step]):
            continue
        for before, known in zip(waits, shared, strict=True):
            number = known if known is not None else int(_by_item(grouped[step], grouped[before]))
            number += step in again and again.get(before) == again[step]
            if number:
                links[step, before] = number
    return links


def _by_item(after: Sequence[ItemRow], before: Sequence[ItemRow]) -> bool:
    """Whether times contradict a barrier between two steps and agree with each item waiting only for its own."""
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


def _group(row: ItemRow, depth: int, around: RetriedTemplate | None = None, number: int = 0) -> Group:
    """The items of an execution, outermost first, with the ``number`` of its round of the template ``around``."""
    levels = list(row.execution.items)
    if around is not None:
        levels.insert(around.items, str(number))
    return tuple(levels[:depth])


def _depths(links: Mapping[tuple[int, int], int]) -> dict[int, int]:
    """For each linked step, the largest number of items shared within its group of linked steps."""
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
