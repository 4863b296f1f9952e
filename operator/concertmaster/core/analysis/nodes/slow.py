"""Nodes on which the same steps take longer than on others.

Executions are compared by step, so that a node with longer steps is not taken for slow, and only with others of the same
run, so that runs with more work, or at busier hours, do not count against their nodes, and with those before and behind
them in time, so that a step that takes longer since it was moved there does not.
Nodes of one pool (recognized by name), of one instance type and of one family of these are also examined together: an older
machine type affects all of them, and an autoscaler keeps no node long enough to be examined alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.arrays import Flags, Floats, Indices
from concertmaster.core.known import median
from concertmaster.core.model import Interval, RunRecord, StepExecution
from concertmaster.core.stats.exact import is_over_beyond_pauses
from concertmaster.core.stats.grouped import (
    grouped_differences,
    grouped_medians,
    grouped_shift,
    grouped_shifts,
    within_groups,
)
from concertmaster.core.stats.robust import array_median, mad_sigma

MIN_SLOWDOWN = 0.2  # share by which executions take longer there
_MIN_EXECUTIONS = 8  # executions on each side, of runs with both
_SIGNIFICANCE = 0.001  # probability that any node looks this slow by chance
_SIDE = 0.01  # probability that it looks slower than before, or than behind, by chance
_CLEAR = 4.0  # standard errors (of means) by which a step must differ from the others to count as unaffected
_NEAR = 6  # executions of a step, before and after one of it, whose time it would take elsewhere
_ADDRESS = re.compile(r"ip(?:-\d{1,3}){4}\b")
_GENERATION = re.compile(r"[a-z]+\d[a-z0-9]*[.-]")
_NOISE = 10.0  # seconds below which start-up and clock resolution distort the comparison


@dataclass(frozen=True, slots=True)
class SlowNodes:
    """Nodes that are slower by the factor ``ratio``, with the number of runs that used them and others, and of the
    executions of these runs on them and elsewhere. ``off``: from the logarithm of the ratio to the ends of its 90% interval.
    ``title``: ``node node-3``, ``pool batch-*``, ``instance type m4.large`` or ``instance types m4.*``; ``types``: the
    instance types meant by the last two. ``unaffected``: steps that clearly take no longer there, since they wait for
    something else. ``over``: the newest runs have no pods there, or none that take longer."""

    title: str
    nodes: frozenset[str]
    ratio: float
    off: float
    runs: int
    inside: int
    outside: int
    types: tuple[str, ...] = ()
    unaffected: frozenset[str] = frozenset()
    over: bool = False

    def slows(self, e: StepExecution) -> bool:
        """Whether the execution took longer than it would have elsewhere."""
        return e.node in self.nodes and e.step not in self.unaffected

    @property
    def error(self) -> Interval:
        """What the nodes add to an execution, in parts of what the ratio says, for the error of that ratio."""
        ends = [(self.ratio - math.exp(side * self.off)) / (self.ratio - 1.0) for side in (1.0, -1.0)]
        return Interval(ends[0], 1.0, ends[1])

    def lost(self, e: StepExecution) -> float:
        """Seconds that the execution took longer than it would have elsewhere."""
        return (e.duration or 0.0) * (1.0 - 1.0 / self.ratio) if self.slows(e) else 0.0


class _Rows(NamedTuple):
    """Executions: numbers of their run, step and node, and the logarithm of their duration, each of shape (n,)."""

    run: Indices
    step: Indices
    node: Indices
    value: Floats

    def where(self, rows: Flags | Indices) -> _Rows:
        """These rows only."""
        return _Rows(self.run[rows], self.step[rows], self.node[rows], self.value[rows])


def slow_nodes(runs: Sequence[RunRecord], figures: RunFigures, least: float = MIN_SLOWDOWN) -> SlowNodes | None:
    """The pool, else the node, on which steps of these runs take significantly longer, by the share ``least`` or more; None
    if there is none."""
    executions = comparable(runs, figures)
    slow = _slowest(executions, [run.run for run in runs], least) if executions else None
    return slow and replace(slow, unaffected=_unaffected(executions, slow))


class NodeExecution(NamedTuple):
    """A succeeded execution of a step: its run, node, seconds (> 0), and the instance type of the node (None: unknown)."""

    step: str
    run: str
    node: str
    seconds: float
    instance_type: str | None


def comparable(runs: Sequence[RunRecord], figures: RunFigures) -> list[NodeExecution]:
    """The executions of the steps that take long enough and run on several nodes."""
    executions: list[NodeExecution] = []
    for rows in figures.grouped(_on_nodes, runs).values():
        middle = median([row.seconds for row in rows])
        if middle is not None and middle >= _NOISE and len({row.node for row in rows}) > 1:
            executions += rows
    return executions


def _on_nodes(run: RunRecord) -> list[NodeExecution]:
    """The succeeded executions of a run whose node and duration are known."""
    found: list[NodeExecution] = []
    for e in run.steps:
        node = e.node
        if node and e.outcome.timed and (seconds := e.duration):
            found.append(NodeExecution(e.step, run.run, node, seconds, e.instance_type))
    return found


def pool_of(node: str) -> str:
    """A node's pool, by its name without the unique suffix, which the other nodes share: ``gke-batch-1a2b-*``; empty
    where the name has none, or is an address, as on EKS."""
    rest = "" if _ADDRESS.match(node) else node.rpartition("-")[0]
    return f"{rest}-*" if rest else ""


def _family(instance_type: str) -> str:
    """The types of its generation, as AWS and Google Cloud write it: ``instance types m4.*``, ``instance types n1-*``."""
    generation = _GENERATION.match(instance_type)
    return f"instance types {generation.group()}*" if generation else ""


def _numbers(names: Sequence[str]) -> tuple[list[str], Indices]:
    """The different names in order, and the position of each name among them."""
    different = sorted(set(names))
    place = {name: k for k, name in enumerate(different)}
    return different, np.array([place[name] for name in names], dtype=np.intp)


def _beside(rows: _Rows, slow: Flags) -> _Rows:
    """The rows of runs with any on ``slow`` nodes (by number), of steps with some there and some elsewhere in any run."""
    there, every = np.flatnonzero(slow[rows.node]), np.bincount(rows.step)
    inside = np.bincount(rows.step[there], minlength=every.size)
    met = np.zeros(int(rows.run.max()) + 1, dtype=bool)
    met[rows.run[there]] = True
    near = rows.where(np.flatnonzero(met[rows.run]))  # few of many rows where there are many nodes
    return near.where(((inside > 0) & (inside < every))[near.step])


def _compared(rows: _Rows, slow: Flags) -> tuple[_Rows, Floats]:
    """The rows of runs and steps with some on ``slow`` nodes (by number) and some elsewhere, each relative to the others of
    its step that ran elsewhere at about that time; and those relative to others before it, and behind it, shape (2, n). A
    step may take longer since it came to be on a node, without its fault."""
    rows = _beside(rows, slow)
    # By step again: one may have been on both sides only in runs that were not.
    for by_step in (False, True):
        by, there = rows.step if by_step else rows.run, slow[rows.node]
        rows = rows.where(((np.bincount(by, there) > 0) & (np.bincount(by, ~there) > 0))[by])
    values = within_groups(rows.run, rows.value)
    sides = _apart(rows.step, rows.run, values, ~slow[rows.node])
    known = np.flatnonzero(np.isfinite(sides).all(axis=0))
    return rows._replace(value=sides.mean(axis=0)).where(known), sides[:, known]


def _apart(step: Indices, run: Indices, values: Floats, elsewhere: Flags) -> Floats:
    """Each value less the median of the ``_NEAR`` others of its step that ran ``elsewhere`` up to then, and of those from
    then on, shape (2, n); NaN without any."""
    found = np.full((2, values.size), np.nan)
    order = np.lexsort((run, step))
    for own in np.split(order, np.flatnonzero(np.diff(step[order])) + 1):
        others = own[elsewhere[own]]
        if not others.size:
            continue
        places = np.searchsorted(run[others], run[own], side="right"), np.searchsorted(run[others], run[own])
        for k, away in enumerate((np.arange(-_NEAR - 1, 0), np.arange(_NEAR + 1))):
            near = places[k][:, None] + away
            at = others[np.clip(near, 0, others.size - 1)]
            known = (near >= 0) & (near < others.size) & (at != own[:, None])
            some = np.flatnonzero(known.any(axis=1))
            found[k, own[some]] = values[own][some] - np.nanmedian(np.where(known, values[at], np.nan)[some], axis=1)
    return found


def _shared(rows: _Rows, slow: Flags, parts: Indices, shift: float) -> bool:
    """Whether a group of nodes is still slow, by half of its ``shift`` (log scale), without the slowest of its ``parts``:
    the nodes of a pool, the types of a family."""
    part, there = parts[rows.node], slow[rows.node]
    slowest = np.nanargmax(grouped_medians(part[there], rows.value[there]))
    others = rows.where(part != slowest)
    rest = grouped_shift(others.run, slow[others.node], others.value)
    return rest is not None and rest.shift >= shift / 2


def _unaffected(executions: Sequence[NodeExecution], slow: SlowNodes) -> frozenset[str]:
    """The steps that take longer there by less than half of what others do (log scale), clear of the error of medians."""
    logs: dict[str, tuple[list[float], list[float]]] = {}
    for e in executions:
        logs.setdefault(e.step, ([], []))[e.node in slow.nodes].append(math.log(e.seconds))
    found = set()
    for step, sides in logs.items():
        outside, inside = (np.asarray(side) for side in sides)
        if min(inside.size, outside.size) >= _MIN_EXECUTIONS:
            error = math.hypot(*(mad_sigma(side) / math.sqrt(side.size) for side in (inside, outside)))
            if array_median(inside) - array_median(outside) + _CLEAR * error < math.log(slow.ratio) / 2:
                found.add(step)
    return frozenset(found)


def _slowest(executions: Sequence[NodeExecution], runs: Sequence[str], least: float) -> SlowNodes | None:
    """The pool, else the node, that is significantly slower than the rest; None if none is. ``runs``: oldest first."""
    place = {run: k for k, run in enumerate(runs)}
    nodes, of_node = _numbers([e.node for e in executions])
    rows = _Rows(
        np.array([place[e.run] for e in executions], dtype=np.intp),
        _numbers([e.step for e in executions])[1],
        of_node,
        np.log(np.array([e.seconds for e in executions], dtype=np.float64)),
    )
    centred = rows.value - grouped_medians(rows.step, rows.value)[rows.step]
    known = {e.node: e.instance_type for e in executions if e.instance_type}
    types = [known.get(node, "") for node in nodes]
    named = [f"instance type {kind}" if kind else "" for kind in types]
    own, of_type = np.arange(len(nodes)), _numbers(named)[1]
    groupings = [  # the titles of groups, the group of each node, and what must not be slow alone
        ([f"node {node}" for node in nodes], own, own),
        (*_numbers([pool and f"pool {pool}" for pool in map(pool_of, nodes)]), own),
        (*_numbers(named), own),
        (*_numbers([_family(kind) for kind in types]), of_type),
    ]
    examined = [_examined(titles, of, of is own) for titles, of, _ in groupings]
    groups = sum(int(np.count_nonzero(allowed)) for allowed in examined)
    candidates: list[SlowNodes] = []
    for (titles, of, parts), allowed in zip(groupings, examined, strict=True):
        for k in np.flatnonzero(allowed & _roughly(rows, centred, of[of_node], least)).tolist():
            found = _clearly(rows, of == k, parts, least, _SIGNIFICANCE / groups)
            if found is not None:
                members = np.flatnonzero(of == k).tolist()
                kinds = sorted({types[n] for n in members}) if titles[k].startswith("instance") else ()
                names, over = frozenset(nodes[n] for n in members), _over(rows, of == k, math.log(found[0]))
                candidates.append(SlowNodes(titles[k], names, *found, tuple(kinds), over=over))
    # The larger group first: a slow pool explains its nodes.
    return max(candidates, key=lambda s: s.inside * math.log(s.ratio), default=None)


def _examined(titles: Sequence[str], of: Indices, single: bool) -> Flags:
    """Which groups of nodes (``of``: that of each node, by number) are compared with the others: each ``single`` node, and
    of what has a title several nodes that are not all of them."""
    sizes = np.bincount(of)
    return np.array([bool(title) for title in titles]) & (single | ((sizes > 1) & (sizes < of.size)))


def _roughly(rows: _Rows, centred: Floats, of: Indices, least: float) -> Flags:
    """Which groups of nodes (``of``: that of each row, by number) may be slower by ``least`` (a share), as far as a rough
    comparison of values ``centred`` by step tells: most are as fast as the others, or with an autoscaler hardly used."""
    used = np.bincount(of)
    enough = (used >= _MIN_EXECUTIONS) & (used <= of.size - _MIN_EXECUTIONS)
    return np.asarray(enough & (grouped_shifts(rows.run, of, centred) >= math.log1p(least) / 2))


def _clearly(
    rows: _Rows, slow: Flags, parts: Indices, least: float, chance: float
) -> tuple[float, float, int, int, int] | None:
    """Figures of ``slow`` nodes (by number; see ``SlowNodes``) if they are slower by ``least`` (a share) or more, which
    happens less often than ``chance`` where nodes are alike. ``parts``: what each node is part of; one alone is no group."""
    compared, sides = _compared(rows, slow)
    there = slow[compared.node]
    inside, outside = int(there.sum()), int((~there).sum())
    if min(inside, outside) < _MIN_EXECUTIONS:
        return None
    shift, *both = (grouped_shift(compared.run, there, values) for values in (compared.value, *sides))
    if shift is None or shift.shift < math.log1p(least) or shift.p_value >= chance:
        return None
    if any(side is None or side.p_value >= _SIDE for side in both):
        return None
    if np.count_nonzero(slow) > 1 and not _shared(compared, slow, parts, shift.shift):
        return None
    return math.exp(shift.shift), shift.off, np.unique(compared.run).size, inside, outside


def _over(rows: _Rows, slow: Flags, shift: float) -> bool:
    """Whether none of the newest runs shows that the ``slow`` nodes (by number) are, by half of the ``shift`` (log scale):
    they were removed, or repaired. Runs with all pods there do not show it."""
    compared, _ = _compared(rows, slow)
    slower = grouped_differences(compared.run, slow[compared.node], compared.value)
    used = np.bincount(rows.run, slow[rows.node]) > 0
    known = np.flatnonzero(np.bincount(rows.run) > 0)
    apart = np.append(slower, np.full(used.size - slower.size, np.nan))
    shows = [bool(apart[run] >= shift / 2) for run in known.tolist() if not used[run] or math.isfinite(apart[run])]
    return is_over_beyond_pauses(shows)
