"""The largest amounts of a day, by step: what rare large runs need is known from them once these runs are gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from concertmaster.core.analysis.pod_level import with_pods
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.runs.usage import usage_of
from concertmaster.core.analysis.shared.volumes import claim_name
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.core.model.daily import DailyPeaks
from concertmaster.core.units import DAY

Largest = dict[tuple[str, str], float]
"""By step and name, see ``DailyPeaks``."""


def largest_by_day(runs: Sequence[RunRecord], figures: RunFigures) -> dict[int, Largest]:
    """By the UTC day on which the ``runs`` ended, as far as they did."""
    by_day: dict[int, list[RunRecord]] = {}
    for run in runs:
        if run.end is not None and run.outcome is not Outcome.RUNNING:
            by_day.setdefault(int(run.end // DAY), []).append(run)
    return {day: figures.of_all(("largest", day), ended, partial(_largest, ended)) for day, ended in by_day.items()}


def daily_peaks(definition: WorkflowDefinition, runs: Sequence[RunRecord]) -> DailyPeaks:
    """The same of runs that are all at hand, some of which are not analysed."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for day, largest in largest_by_day(with_pods(definition, runs)[1], RunFigures()).items():
        for place, amount in largest.items():
            found.setdefault(place, {})[day] = amount
    return DailyPeaks(found)


def _largest(runs: Sequence[RunRecord]) -> Largest:
    found: Largest = {}
    for run in runs:
        for step, name, amount in _amounts(run):
            if amount is not None and amount > found.get((step, name), 0.0):
                found[step, name] = amount
    return found


def _amounts(run: RunRecord) -> Iterator[tuple[str, str, float | None]]:
    for place, *_, usage in usage_of(run):
        step, container = place
        yield step, f"memory/{container}", usage.memory_peak
        if usage.oom_killed:  # it needed more than it had
            yield step, f"memory/{container}", usage.memory_floor
        yield step, f"cpu/{container}", usage.mean_cores
        yield step, f"storage/{container}", usage.storage_peak
    for e in run.steps:
        if e.outcome.timed:
            yield e.step, "seconds", e.duration
        for volume in e.volumes:
            yield e.step, f"volume/{claim_name(run, volume.claim)[0]}", volume.used
