"""What slow nodes add to runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from concertmaster.core.analysis.nodes.slow import SlowNodes, slow_nodes
from concertmaster.core.analysis.replay import ExecutedRun, WhatIf, replay
from concertmaster.core.analysis.replay.work import list_schedule
from concertmaster.core.analysis.runs.executions import executions_by_step
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import RunRecord, StepExecution


def slow_nodes_of(
    runs: Sequence[RunRecord], executed: Sequence[ExecutedRun], figures: RunFigures
) -> tuple[SlowNodes | None, Mapping[str, Mapping[str, float]], Mapping[str, float]]:
    """The slow nodes, and what they add to steps and to runs: factors as of ``elsewhere``, seconds as of ``delays``."""
    slow = slow_nodes(runs, figures)
    factors = elsewhere(runs, figures, slow) if slow is not None else {}
    return slow, factors, delays(executed, factors) if factors else {}


def delays(executed: Sequence[ExecutedRun], factors: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Seconds by which each run would be shorter, replayed, if each step took ``factors[run][step]`` times as long."""
    found = {}
    for run in executed:
        scales = tuple(factors.get(run.run, {}).items())
        if run.usable and scales:
            found[run.run] = max(0.0, run.replayed - replay(run, WhatIf(scales=scales)))
    return found


def elsewhere(runs: Sequence[RunRecord], figures: RunFigures, slow: SlowNodes) -> dict[str, dict[str, float]]:
    """By run and step, the factor by which it would be shorter if the slow nodes were like the others: its last item, with
    its retries, where all of them ran at once, else all pods one after the other in as many slots as they had.

    A pod of unknown node takes part as those of its step with a known one do on average, and one that was the longest of
    its run as the longest do, since these are more often on slow nodes."""
    out: dict[str, dict[str, float]] = {}
    for step, of_runs in figures.grouped(executions_by_step, runs).items():
        by_run = {of.run: of for of in of_runs if of.timed}
        known = [[e for e in of.timed if e.node is not None] for of in by_run.values()]
        usual = _average([e for rows in known for e in rows], slow)
        last = _average([max(rows, key=_seconds) for rows in known if rows], slow)
        for run, of in by_run.items():
            longest = max(of.timed, key=_seconds)
            rows = of.timed if len(of.timed) == len(of.ran) else [e for e in of.ran if e.duration is not None]
            pods = [
                _Pod(e, _seconds(e), _seconds(e) * _factor(e, slow, last if e is longest else usual))
                for e in sorted(rows, key=lambda e: (e.started or 0.0, e.uid or ""))
            ]
            now, then = _work(pods)
            if now > 0 and then < now:
                out.setdefault(run, {})[step] = then / now
    return out


class _Pod(NamedTuple):
    """A pod with the seconds it took, and those it would take elsewhere."""

    execution: StepExecution
    now: float
    then: float


def _work(pods: Sequence[_Pod]) -> tuple[float, float]:
    """Seconds of work that decide how long the step takes, now and elsewhere. ``pods``: of one run, by start."""
    items: dict[str | None, list[_Pod]] = {}
    for pod in pods:
        items.setdefault(pod.execution.item, []).append(pod)
    slots = _at_once(pods)
    if slots < len(items):
        alone: Sequence[Sequence[int]] = [()] * len(pods)  # none waits for another
        return (
            list_schedule([pod.now for pod in pods], alone, slots),
            list_schedule([pod.then for pod in pods], alone, slots),
        )
    spans = []
    for chain in items.values():
        now, then = sum(pod.now for pod in chain), sum(pod.then for pod in chain)
        idle = max(0.0, (chain[-1].execution.finished or 0.0) - (chain[0].execution.started or 0.0) - now)
        spans.append((idle + now, idle + then, idle))
    longest, _, idle = max(spans)
    return longest - idle, max(then for _, then, _ in spans) - idle


def _at_once(pods: Sequence[_Pod]) -> int:
    """How many of them ran at the same time at most."""
    ends: list[float] = []
    most = 1
    for e, *_ in pods:
        while ends and ends[0] <= (e.started or 0.0):
            heappop(ends)
        heappush(ends, e.finished or 0.0)
        most = max(most, len(ends))
    return most


def _factor(e: StepExecution, slow: SlowNodes, unknown: float) -> float:
    """What the execution would take elsewhere, in parts of what it took; ``unknown``: where its node is."""
    if e.node is None:
        return unknown
    return 1.0 / slow.ratio if slow.slows(e) else 1.0


def _average(known: Sequence[StepExecution], slow: SlowNodes) -> float:
    """``_factor`` over executions with a known node, by their time; 1 where there are none."""
    now = sum(map(_seconds, known))
    return sum(_seconds(e) * _factor(e, slow, 1.0) for e in known) / now if now > 0 else 1.0


def _seconds(e: StepExecution) -> float:
    return e.duration or 0.0
