"""What slow nodes add to runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from concertmaster.core.analysis.nodes.slow import SlowNodes
from concertmaster.core.analysis.replay import ExecutedRun, WhatIf, replay
from concertmaster.core.analysis.runs.executions import executions_by_step
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import RunRecord, StepExecution


def delays(executed: Sequence[ExecutedRun], factors: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Seconds by which each run would be shorter, replayed, if each step took ``factors[run][step]`` times as long."""
    found = {}
    for run in executed:
        scales = tuple(factors.get(run.run, {}).items())
        if run.usable and scales:
            found[run.run] = max(0.0, run.replayed - replay(run, WhatIf(scales=scales)))
    return found


def elsewhere(runs: Sequence[RunRecord], figures: RunFigures, slow: SlowNodes) -> dict[str, dict[str, float]]:
    """By run and step, the factor by which its last pod would be shorter if the slow nodes were like the others. A pod of
    unknown node takes part as those of its step with a known one do on average, and one that was the longest of its run
    as the longest do, since these are more often on slow nodes."""
    out: dict[str, dict[str, float]] = {}
    for step, of_runs in figures.grouped(executions_by_step, runs).items():
        by_run = {of.run: of.timed for of in of_runs if of.timed}
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
