"""``node-skew``: the same steps take longer on some nodes than on others.

Executions are compared by step, so that a node with longer steps is not taken for slow, and only with others of the same
run, so that runs with more work, or at busier hours, do not count against their nodes.
Nodes of one pool (recognized by name) are also examined together: an older machine type affects all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core import text
from concertmaster.core.arrays import Flags, Floats, Indices
from concertmaster.core.known import median
from concertmaster.core.model import Category, Finding, Level, StepExecution
from concertmaster.core.rules.base import Evidence, Rule, gain_sentence, worth
from concertmaster.core.rules.performance.replays import scaled
from concertmaster.core.stats.grouped import grouped_shift
from concertmaster.core.stats.robust import array_median

_LEAST = 8  # executions on each side, of runs with both
_CHANCE = 0.001  # probability that any node looks this slow by chance
_NOISE = 10.0  # seconds below which start-up and clock resolution distort the comparison


class _Rows(NamedTuple):
    """Executions: numbers of their run, step and node, and the logarithm of their duration, each of shape (n,)."""

    run: Indices
    step: Indices
    node: Indices
    value: Floats

    def where(self, rows: Flags) -> _Rows:
        """These rows only."""
        return _Rows(self.run[rows], self.step[rows], self.node[rows], self.value[rows])


@dataclass(frozen=True, slots=True)
class _Slow:
    """Nodes that are slower by the factor ``ratio``, with the number of runs that used them and others, and of the
    executions of these runs on them and elsewhere."""

    name: str
    nodes: frozenset[str]
    ratio: float
    runs: int
    inside: int
    outside: int


def _executions(evidence: Evidence) -> list[tuple[str, StepExecution]]:
    """With their run, of the steps that take long enough and run on several nodes."""
    executions: list[tuple[str, StepExecution]] = []
    for by_run in evidence.rows.succeeded.values():
        rows = [(run, e) for run, good in by_run.items() for e in good if e.node and (e.duration or 0.0) > 0]
        middle = median([e.duration or 0.0 for _, e in rows])
        if middle is not None and middle >= _NOISE and len({e.node for _, e in rows}) > 1:
            executions += rows
    return executions


def _pool(node: str) -> str:
    """A node's name without its unique suffix: ``gke-batch-1a2b-x7`` and the other nodes of its pool share the rest."""
    return node.rpartition("-")[0]


def _numbers(names: Sequence[str]) -> tuple[list[str], Indices]:
    """The different names in order, and the position of each name among them."""
    different = sorted(set(names))
    place = {name: k for k, name in enumerate(different)}
    return different, np.array([place[name] for name in names], dtype=np.intp)


def _compared(rows: _Rows, slow: Flags) -> _Rows:
    """The rows of runs and steps with some on ``slow`` nodes (by number) and some elsewhere, each relative to the middle of
    both levels of its step: the median of all is nearer to the side that has more of them."""
    # By step again: one may have been on both sides only in runs that were not.
    for by_step in (True, False, True):
        by, there = rows.step if by_step else rows.run, slow[rows.node]
        rows = rows.where(((np.bincount(by, there) > 0) & (np.bincount(by, ~there) > 0))[by])
    there = slow[rows.node]
    values = rows.value - (np.bincount(rows.run, rows.value) / np.maximum(np.bincount(rows.run), 1))[rows.run]
    for step in np.unique(rows.step):
        own = rows.step == step
        values[own] -= (array_median(values[own & there]) + array_median(values[own & ~there])) / 2
    return rows._replace(value=values)


def _shared(rows: _Rows, slow: Flags, shift: float) -> bool:
    """Whether a pool is still slow, by half of its ``shift`` (log scale), without its slowest node."""
    levels = {int(n): array_median(rows.value[rows.node == n]) for n in np.unique(rows.node[slow[rows.node]])}
    others = rows.where(rows.node != max(levels, key=lambda n: levels[n]))
    rest = grouped_shift(others.run, slow[others.node], others.value)
    return rest is not None and rest.shift >= shift / 2


def _slowest(executions: Sequence[tuple[str, StepExecution]], least: float) -> _Slow | None:
    """The pool, else the node, that is significantly slower than the rest; None if none is."""
    nodes, of_node = _numbers([e.node or "" for _, e in executions])
    rows = _Rows(
        _numbers([run for run, _ in executions])[1],
        _numbers([e.step for _, e in executions])[1],
        of_node,
        np.log(np.array([e.duration for _, e in executions], dtype=np.float64)),
    )
    groups = {n: frozenset((n,)) for n in nodes}
    for pool in sorted({_pool(n) for n in nodes} - {""}):
        members = frozenset(n for n in nodes if _pool(n) == pool)
        if 1 < len(members) < len(nodes):
            groups[f"{pool}-*"] = members
    candidates: list[_Slow] = []
    for name, members in groups.items():
        slow = np.array([n in members for n in nodes])
        compared = _compared(rows, slow)
        there = slow[compared.node]
        inside, outside = int(there.sum()), int((~there).sum())
        shift = grouped_shift(compared.run, there, compared.value) if min(inside, outside) >= _LEAST else None
        if shift is None or shift.shift < math.log1p(least) or shift.p_value * len(groups) >= _CHANCE:
            continue
        if len(members) == 1 or _shared(compared, slow, shift.shift):
            runs = np.unique(compared.run).size
            candidates.append(_Slow(name, members, math.exp(shift.shift), runs, inside, outside))
    # The larger group first: a slow pool explains its nodes.
    return max(candidates, key=lambda s: (s.inside * math.log(s.ratio), s.name), default=None)


def _factors(evidence: Evidence, slow: _Slow) -> dict[str, dict[str, float]]:
    """By run and step, the factor by which its last pod would be shorter if the slow nodes were like the others. A pod of
    unknown node takes part as those of its step with a known one do on average, and one that was the longest of its run
    as the longest do, since these are more often on slow nodes."""
    out: dict[str, dict[str, float]] = {}
    for step, by_run in evidence.rows.succeeded.items():
        known = [[e for e in rows if e.node is not None] for rows in by_run.values()]
        usual = _average([e for rows in known for e in rows], slow)
        last = _average([max(rows, key=_seconds) for rows in known if rows], slow)
        for run, rows in by_run.items():
            longest = max(rows, key=_seconds)
            now = _seconds(longest)
            then = max(_seconds(e) * _factor(e, slow, last if e is longest else usual) for e in rows)
            if now > 0 and then < now:
                out.setdefault(run, {})[step] = then / now
    return out


def _factor(e: StepExecution, slow: _Slow, unknown: float) -> float:
    """What the execution would take elsewhere, in parts of what it took; ``unknown``: where its node is."""
    if e.node is None:
        return unknown
    return 1.0 / slow.ratio if e.node in slow.nodes else 1.0


def _average(known: Sequence[StepExecution], slow: _Slow) -> float:
    """``_factor`` over executions with a known node, by their time; 1 where there are none."""
    now = sum(map(_seconds, known))
    return sum(_seconds(e) * _factor(e, slow, 1.0) for e in known) / now if now > 0 else 1.0


def _seconds(e: StepExecution) -> float:
    return e.duration or 0.0


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation for the significantly slower nodes, if they cost run time."""
    analysis = evidence.analysis
    if not analysis.enough:
        return
    executions = _executions(evidence)
    slow = _slowest(executions, evidence.settings.number("minSlowerPercent", 20.0) / 100)
    if slow is None:
        return
    replayed, _, _ = scaled(evidence.recent(), _factors(evidence, slow))
    gains = worth(replayed, evidence.settings.number("minGainPercent", 3.0))
    if gains is None:
        return
    share, seconds = gains
    there = [e for _, e in executions if e.node in slow.nodes]
    steps = sorted({e.step for e in there})
    noun = f"pool {slow.name}" if slow.name.endswith("*") else f"node {slow.name}"
    yield Finding(
        step=steps[0] if len(steps) == 1 else None,
        about="",
        action=f"Avoid {noun} for this workflow, or investigate why it is slower there",
        because=(
            f"the same steps take {text.percent(slow.ratio - 1)} longer there than elsewhere: {slow.inside}"
            " executions against"
            f" {slow.outside} {evidence.runs(slow.runs)} with pods on both, compared by step within each run"
            f" ({text.listing(steps)})"
        ),
        otherwise=f"runs with pods there stay slower, by {text.duration(seconds.likely)} on average",
        current=f"{text.percent(len(there) / len(executions))} of the executions run there",
        proposed="a nodeSelector or node affinity without it, or a repaired node",
        expected=gain_sentence(share, seconds),
        confidence=0.7,
        gain_seconds=seconds,
        gain_share=share,
        evidence=(
            f"nodes: {text.listing(sorted(slow.nodes), 5)}",
            "replayed with each execution there as fast as elsewhere",
        ),
    )


RULE = Rule(
    "node-skew",
    evaluate,
    Category.PERFORMANCE,
    Level.MEDIUM,
    tie_break=6,
    settings=("minGainPercent", "minSlowerPercent"),
)
