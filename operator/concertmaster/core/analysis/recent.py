"""Since when runs show what a change of a workflow gains from now on: its last clear change."""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core.analysis.replay import ExecutedRuns
from concertmaster.core.analysis.runs.changes import longest
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.changepoint import Detection
from concertmaster.core.changepoint.clear import last_clear
from concertmaster.core.known import median
from concertmaster.core.model import RunRecord

MATERIAL_SHARE = 0.1  # share of the makespan: a smaller change hardly alters what a what-if gains


def last_level_change(
    timed: Sequence[RunRecord],
    executed: ExecutedRuns,
    trend: Detection,
    steps: Sequence[StepAnalysis],
    least: int,
    figures: RunFigures,
) -> float:
    """The last clear change (unix seconds) that at least ``least`` usable ones of the ``timed`` runs followed; -inf without
    one, which all follow.

    A step may change by much where the makespan does not: beside longer ones, or while others vary.
    """
    until = max((run.end or 0.0 for run in timed), default=0.0)
    changes = [last_clear(trend.points, MATERIAL_SHARE, until=until)]
    changed = [step for step in steps if last_clear(step.trend.points, MATERIAL_SHARE, len(steps), until)]
    spent = figures.of_each(longest, timed) if changed else ()
    makespan = median(run.makespan for run in timed)
    for step in changed:
        share = (median(seconds.get(step.step) for seconds in spent) or 0.0) / makespan if makespan else 0.0
        if share > 0.0:
            changes.append(last_clear(step.trend.points, MATERIAL_SHARE / share, len(steps), until))
    for time in sorted({change.time for change in changes if change is not None}, reverse=True):
        usable = [(run.end or 0.0) >= time for run, graph in zip(timed, executed, strict=True) if graph.usable]
        if sum(usable) >= least:
            return time
    return -math.inf


def recent_runs(timed: Sequence[RunRecord], executed: ExecutedRuns, since: float) -> ExecutedRuns:
    """The usable ones of the ``timed`` runs that ended since then; all where none is left out."""
    if since == -math.inf:
        return executed
    runs = zip(timed, executed, strict=True)
    return ExecutedRuns([graph for run, graph in runs if graph.usable and (run.end or 0.0) >= since])
