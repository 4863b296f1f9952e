"""``node-skew``: the same steps take longer on some nodes than on others.

Every execution is compared with the median of its own step, so that a node with longer steps is not taken for slow, and
executions of one run are compared with each other first, so that a run with more work does not count against its nodes.
Nodes of one pool (recognized by name) are also examined together: an older machine type affects all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from concertmaster.core import text
from concertmaster.core.known import median
from concertmaster.core.model import Category, Finding, Level, StepExecution
from concertmaster.core.rules.base import Evidence, Rule, gain_sentence, worth
from concertmaster.core.rules.performance.replays import scaled
from concertmaster.core.stats.grouped import grouped_shift

_LEAST = 8  # executions on each side
_CHANCE = 0.001  # probability that any node looks this slow by chance
_NOISE = 10.0  # seconds below which start-up and clock resolution distort the comparison


@dataclass(frozen=True, slots=True)
class _Row:
    """One execution: its run, its node, and its duration relative to the median of its step."""

    run: str
    execution: StepExecution
    node: str
    relative: float


@dataclass(frozen=True, slots=True)
class _Slow:
    """Nodes that are slower by the factor ``ratio``, with the number of executions on them and elsewhere."""

    name: str
    nodes: frozenset[str]
    ratio: float
    inside: int
    outside: int


def _rows(evidence: Evidence) -> list[_Row]:
    executions: list[_Row] = []
    for by_run in evidence.rows.succeeded.values():
        rows = [(run, e) for run, good in by_run.items() for e in good if e.node and (e.duration or 0.0) > 0]
        middle = median([e.duration or 0.0 for _, e in rows])
        if middle is not None and middle >= _NOISE and len({e.node for _, e in rows}) > 1:
            executions += [_Row(run, e, e.node or "", math.log((e.duration or middle) / middle)) for run, e in rows]
    return executions


def _pool(node: str) -> str:
    """A node's name without its unique suffix: ``gke-batch-1a2b-x7`` and the other nodes of its pool share the rest."""
    return node.rpartition("-")[0]


def _by_run(rows: list[_Row]) -> dict[str, list[float]]:
    by_run: dict[str, list[float]] = {}
    for row in rows:
        by_run.setdefault(row.run, []).append(row.relative)
    return by_run


def _shared(inside: list[_Row], outside: list[_Row], shift: float) -> bool:
    """Whether a pool is still slow, by half of its ``shift`` (log scale), without its slowest node."""
    levels = {n: median([r.relative for r in inside if r.node == n]) or 0.0 for n in sorted({r.node for r in inside})}
    slowest = max(levels, key=lambda n: levels[n])
    rest = grouped_shift(_by_run([r for r in inside if r.node != slowest]), _by_run(outside))
    return rest is None or rest.shift >= shift / 2


def _slowest(rows: list[_Row], least: float) -> _Slow | None:
    """The pool, else the node, that is significantly slower than the rest; None if none is."""
    nodes = {r.node for r in rows}
    groups = {n: frozenset((n,)) for n in sorted(nodes)}
    for pool in sorted({_pool(n) for n in nodes} - {""}):
        members = frozenset(n for n in nodes if _pool(n) == pool)
        if 1 < len(members) < len(nodes):
            groups[f"{pool}-*"] = members
    candidates: list[_Slow] = []
    for name, members in groups.items():
        inside = [r for r in rows if r.node in members]
        outside = [r for r in rows if r.node not in members]
        if len(inside) < _LEAST or len(outside) < _LEAST:
            continue
        shift = grouped_shift(_by_run(inside), _by_run(outside))
        if shift is None or shift.shift < math.log1p(least) or shift.p_value * len(groups) >= _CHANCE:
            continue
        if len(members) == 1 or _shared(inside, outside, shift.shift):
            candidates.append(_Slow(name, members, math.exp(shift.shift), len(inside), len(outside)))
    # The larger group first: a slow pool explains its nodes.
    return max(candidates, key=lambda s: (s.inside * math.log(s.ratio), s.name), default=None)


def _factors(evidence: Evidence, slow: _Slow) -> dict[str, dict[str, float]]:
    """By run and step, the factor by which its last pod would be shorter if the slow nodes were like the others."""
    out: dict[str, dict[str, float]] = {}
    for step, by_run in evidence.rows.succeeded.items():
        for run, rows in by_run.items():
            now = max(e.duration or 0.0 for e in rows)
            then = max((e.duration or 0.0) / (slow.ratio if e.node in slow.nodes else 1.0) for e in rows)
            if now > 0 and then < now:
                out.setdefault(run, {})[step] = then / now
    return out


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation for the significantly slower nodes, if they cost run time."""
    analysis = evidence.analysis
    if not analysis.enough:
        return
    rows = _rows(evidence)
    slow = _slowest(rows, evidence.settings.number("minSlowerPercent", 20.0) / 100)
    if slow is None:
        return
    replayed, _, _ = scaled(evidence.recent(), _factors(evidence, slow))
    gains = worth(replayed, evidence.settings.number("minGainPercent", 3.0))
    if gains is None:
        return
    share, seconds = gains
    steps = sorted({r.execution.step for r in rows if r.node in slow.nodes})
    noun = f"pool {slow.name}" if slow.name.endswith("*") else f"node {slow.name}"
    yield Finding(
        step=steps[0] if len(steps) == 1 else None,
        about="",
        action=f"Avoid {noun} for this workflow, or investigate why it is slower there",
        because=(
            f"the same steps take {text.percent(slow.ratio - 1)} longer there than elsewhere: {slow.inside}"
            " executions against"
            f" {slow.outside} {evidence.runs(len(analysis.runs))}, each compared with the median of its own step"
            f" ({text.listing(steps)})"
        ),
        otherwise=f"runs with pods there stay slower, by {text.duration(seconds.likely)} on average over all runs",
        current=f"{text.percent(slow.inside / (slow.inside + slow.outside))} of the executions run there",
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
