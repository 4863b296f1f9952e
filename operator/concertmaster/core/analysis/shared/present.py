"""What runs cost from now on: as much as those since the last clear change of run times (``Analysis.recent``)."""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.model import RunRecord


def present_runs(analysis: Analysis) -> Sequence[RunRecord]:
    """All runs that began since the first of the recent ones, with those that did not succeed."""
    if analysis.recent is analysis.executed:
        return analysis.runs
    names = {run.run for run in analysis.recent}
    first = min((run.start for run in analysis.runs if run.run in names and run.start is not None), default=0.0)
    return [run for run in analysis.runs if (run.start or 0.0) >= first]


def present_held(analysis: Analysis, container: ContainerUsage) -> tuple[Sequence[float], Sequence[float]]:
    """When the present runs with ``container`` ended (unix seconds), and the seconds for which it was reserved in each; of
    all runs where it is in none of them."""
    times, held = container.columns["time"], container.columns["reserved_seconds"]
    if analysis.recent is analysis.executed:
        return times, held
    ends = {run.end for run in present_runs(analysis)}
    kept = [(time, seconds) for time, seconds in zip(times, held, strict=True) if time in ends]
    return ([time for time, _ in kept], [seconds for _, seconds in kept]) if kept else (times, held)
