"""Nodes whose clocks differ from that of the control plane.

Nodes stamp starts and ends of containers, the control plane stamps creation and binding. A start before its pod's creation
shows a clock that is behind. One that is ahead shows where a pod was created before the end of the one it waited for, which
otherwise means that it did not wait: it is a clock if that happens on some nodes only, and their containers also started
as late after their binding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from concertmaster.core import text
from concertmaster.core.analysis.replay.run import ExecutedRun
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.known import largest, upper_median
from concertmaster.core.model import RunRecord, WorkflowGraph

# Timestamps have a resolution of one second, and clocks in a healthy cluster agree to within a second.
CLOCK_SECONDS = 5.0
_MIN_PODS = 3  # pods with dependents, on the nodes that are ahead and on others
_MIN_AHEAD_SHARE = 0.5  # of those on a node that is ahead end after the creation of a dependent
_MAX_LATE_SHARE = 0.1  # of those on others


class _Step(NamedTuple):
    """A step in a run: creation of its first pod and end of its last (unix seconds), and of the latter the node and the
    seconds from its binding to its start."""

    created: float
    finished: float
    node: str
    starting: float


def behind(runs: Sequence[RunRecord], figures: RunFigures) -> str:
    """A sentence on nodes whose clocks are behind; empty if none is known to be."""
    found: dict[str, list[float]] = {}
    for of_run in figures.of_each(_behind, runs):
        for node, seconds in of_run:
            found.setdefault(node, []).append(seconds)
    if not found:
        return ""
    worst = max(found, key=lambda node: max(found[node]))
    pods = text.count(sum(map(len, found.values())), "pod")
    return (
        f"the clock of {text.listing(sorted(found), 3)} is behind by up to {text.duration(max(found[worst]))}: "
        f"{pods} started before they existed; keep the nodes' clocks in step (NTP)"
    )


def _behind(run: RunRecord) -> list[tuple[str, float]]:
    """(node, seconds) for each pod of the run that started before it was created or bound."""
    return [
        (e.node or "an unknown node", bound - e.started)
        for e in run.steps
        if e.started is not None
        and (bound := largest((e.created, e.scheduled))) is not None
        and bound - e.started > CLOCK_SECONDS
    ]


def ahead(graph: WorkflowGraph, runs: Sequence[RunRecord], executed: Sequence[ExecutedRun], figures: RunFigures) -> str:
    """A sentence on nodes whose clocks are ahead; empty if none is known to be. ``executed``: graphs of the runs, of which
    one at least must contradict the declared graph."""
    if not any(run.problems for run in executed):
        return ""
    waits = {s.name: s.depends_on for s in graph.steps if s.depends_on}
    daemons = {s.name for s in graph.steps if s.daemon}
    late: dict[str, list[float]] = {}
    for steps in figures.of_each(_steps, runs):
        for step, names in waits.items():
            own = steps.get(step)
            earlier = [steps[name] for name in names if name in steps and name not in daemons]
            if own is not None and earlier:
                last = max(earlier, key=lambda s: s.finished)
                over = last.finished - own.created
                late.setdefault(last.node, []).append(over if last.starting >= over - CLOCK_SECONDS else 0.0)
    return _said(late)


def _said(late: Mapping[str, Sequence[float]]) -> str:
    """``late``: by node, how long after the creation of a dependent its pods ended (s)."""
    over = {node: [s for s in seconds if CLOCK_SECONDS < s < math.inf] for node, seconds in late.items()}
    nodes = sorted(n for n, found in over.items() if len(found) >= max(_MIN_PODS, _MIN_AHEAD_SHARE * len(late[n])))
    others = [s for node, seconds in late.items() if node not in nodes for s in seconds]
    if not nodes or len(others) < _MIN_PODS or sum(s > CLOCK_SECONDS for s in others) > _MAX_LATE_SHARE * len(others):
        return ""
    found = [s for node in nodes for s in over[node]]
    return (
        f"the clock of {text.listing(nodes, 3)} is ahead by about {text.duration(upper_median(found))}:"
        f" {text.count(len(found), 'pod')} ended after pods that waited for them were created, so gains that are replayed"
        " from these runs are too small; keep the nodes' clocks in step (NTP)"
    )


def _steps(run: RunRecord) -> dict[str, _Step]:
    """The steps of the run whose pods have known times and nodes."""
    found: dict[str, _Step] = {}
    for e in run.steps:
        bound = e.scheduled if e.scheduled is not None else e.created
        if e.created is None or bound is None or e.started is None or e.finished is None or e.node is None:
            continue
        one, known = _Step(e.created, e.finished, e.node, e.started - bound), found.get(e.step)
        if known is None:
            found[e.step] = one
        else:
            last = one if one.finished > known.finished else known
            found[e.step] = last._replace(created=min(one.created, known.created))
    return found
