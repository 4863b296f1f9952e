"""What a step's duration and memory depend on: its input size and its number of pods.

Both relations are estimated from the observed runs. Input sizes come from live objects or extra metrics; numbers of pods
vary where a fan-out or a Job's parallelism changed between runs; where each pod has an item of its own, the number says how
much work there was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from concertmaster.core import arrays as np
from concertmaster.core.analysis.runs.executions import executions_by_step
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.steps.releases import Release, input_sizes, memory_peaks, memory_release
from concertmaster.core.analysis.usage import ContainerUsage, UsageColumns
from concertmaster.core.arrays import Floats
from concertmaster.core.model import RunRecord, StepExecution
from concertmaster.core.model.policy import AnalysisSettings
from concertmaster.core.sizing import (
    MIN_DAYS,
    MemorySize,
    MemoryUse,
    daily_growth,
    levels,
    memory_requests,
)
from concertmaster.core.sizing.trend import growth, order_z
from concertmaster.core.stats.least_squares import slope
from concertmaster.core.stats.regression import fit_memory, fit_runtime
from concertmaster.core.stats.scaleout import WorkerRecommendation, fit_scaleout, recommend_workers
from concertmaster.core.units import DAY, WEEK

MIN_RUNS = 8
# Smallest relative difference in duration for which a number of pods is recommended.
MIN_DIFFERENCE = 0.1
# Of the time of one pod over their number, both as logarithms: -1 where pods share the work of a step, 0 where each has an
# item of its own and more pods are more work.
_SHARED_SLOPE = -0.5
_SURE = 1.645  # standard errors by which the slope is steeper
_YEAR = 365 * DAY


@dataclass(frozen=True, slots=True)
class InputEffect:
    """Run time (s) and peak memory (bytes) of a step at its usual and at its largest input, in ``unit``; None for a figure
    that does not depend on the input. ``sizes``: memory requests by input, see ``memory_by_input``."""

    step: str
    usual_input: float
    largest_input: float
    seconds: tuple[float, float] | None
    memory: tuple[float, float] | None
    executions: int
    unit: str = "bytes"
    sizes: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class WidthEffect:
    """Run time of a step by number of pods: the numbers ``measured``, and the recommended one."""

    step: str
    measured: tuple[int, ...]
    recommended: WorkerRecommendation
    usual_pods: int
    usual_seconds: float


Succeeded = Mapping[str, Sequence[Sequence[StepExecution]]]
"""By step, its succeeded executions of each run that has any; empty where none has."""


def memory_size(container: ContainerUsage, options: AnalysisSettings) -> MemorySize | None:
    """Memory request (bytes) from the per-run peaks. An OOM-killed run counts with at least the limit it was killed at. The
    current request counts as set by people who know the step: a few runs do not override it. None for too few runs."""
    return memory_sizes([(container, True)], options)[0]


def memory_sizes(
    containers: Sequence[tuple[ContainerUsage, bool]], options: AnalysisSettings
) -> list[MemorySize | None]:
    """``memory_size`` of each container; with each whether people set its current request.

    After a release with a clear change of peaks, the size is that of the runs since, or of all as they would have been since
    if that is larger: few runs of a new image do not show the rare large ones. Where less is needed, it is at most that of
    all runs as they were.
    """
    releases = [memory_release(container, options.min_runs) for container, _ in containers]
    uses: list[MemoryUse] = []
    for (container, authors), release in zip(containers, releases, strict=True):
        current = container.memory_request if authors else None
        runs = container.where_known("memory_peak")
        uses.append(_use(runs, memory_peaks(runs), 0, current))
        if release is not None:
            uses.append(_use(runs, release.moved.values, release.moved.counted, current))
            uses.append(_use(runs, memory_peaks(runs), release.before, current))
    found = iter(memory_requests(uses, options.max_failure))
    return [next(found) if r is None else _since(r, next(found), next(found), next(found)) for r in releases]


def _use(runs: UsageColumns, peaks: Sequence[float] | Floats, first: int, current: float | None) -> MemoryUse:
    """What the ``runs`` from position ``first`` on say about the memory request."""
    inputs = input_sizes(runs)
    return MemoryUse(
        peaks[first:],
        runs["seconds"][first:],
        times=runs["time"][first:],
        inputs=None if inputs is None else inputs[first:],
        current_request=current,
    )


def _since(
    release: Release, every: MemorySize | None, moved: MemorySize | None, since: MemorySize | None
) -> MemorySize | None:
    """The size after a release, from those by all runs as they were, as they would have been since, and by those since."""
    if every is None or moved is None or since is None:
        return every
    request = max(moved.request, since.request)
    return replace(
        moved,
        request=min(request, every.request) if release.less else request,
        coverage_confidence=since.coverage_confidence,
        largest_recent_peak=since.largest_recent_peak,
    )


def memory_by_input(container: ContainerUsage, options: AnalysisSettings) -> tuple[tuple[float, float], ...]:
    """Requests by input: (largest input, request in bytes), ascending, each with headroom above the peaks. Empty when one
    request is enough, or when input sizes are unknown."""
    runs = container.where_known("memory_peak")
    inputs = input_sizes(runs)
    size = memory_size(container, options) if inputs is not None else None
    if size is None or size.model is None or inputs is None:
        return ()
    peaks, first = _peaks_now(container, options)
    return levels(size.model, np.array(inputs[first:]), peaks[first:], options.memory_headroom)


def _peaks_now(container: ContainerUsage, options: AnalysisSettings) -> tuple[Floats, int]:
    """Peaks (bytes) as they would be since the newest release with a clear change, and from which position on they count."""
    release = memory_release(container, options.min_runs)
    if release is not None:
        return release.moved.values, release.moved.counted
    return np.array(memory_peaks(container.where_known("memory_peak"))), 0


def memory_lasts_until(container: ContainerUsage, request: float, options: AnalysisSettings) -> float | None:
    """When (unix seconds) growing peaks reach ``request`` (bytes) if the recent trend continues; None when they do not
    grow, or when that is more than a year away."""
    peaks, first = _peaks_now(container, options)
    peaks = np.maximum(peaks[first:], 1.0)  # bytes: a sample may be of none
    times = np.array(container.where_known("memory_peak")["time"][first:])
    if times.size < MIN_RUNS:
        return None
    peaks_grow, last = growth(np.log(peaks), times, order_z(peaks)), float(times[-1])
    seconds = (last - float(times[0])) / (times.size - 1)
    recent = peaks[times > last - WEEK] if peaks_grow.by_week else peaks[-max(MIN_RUNS // 2, times.size // 4) :]
    return _reached(request, last, float(recent.max()), peaks_grow.per_run / seconds if seconds > 0.0 else 0.0)


def days_last_until(by_day: Mapping[int, float], request: float) -> float | None:
    """The same of the largest peaks (bytes) ``by_day`` (since 1970)."""
    if len(by_day) < MIN_DAYS:
        return None
    days, peaks = (np.array(column, dtype=np.float64) for column in zip(*sorted(by_day.items()), strict=True))
    per_day, last = daily_growth(np.log(peaks), days), float(days[-1])
    recent = float(peaks[days > last - WEEK / DAY].max())
    return _reached(request, (last + 1.0) * DAY, recent, (per_day or 0.0) / DAY)


def _reached(request: float, last: float, recent: float, growth: float) -> float | None:
    """When what is ``recent`` at the ``last`` time reaches the request with this ``growth`` of its logarithm a second, as
    sizes leave room for growth; None without growth, or more than a year later."""
    if growth <= 0.0:
        return None
    left = math.log(max(1.0, request / recent)) / growth
    return last + left if left <= _YEAR else None


def succeeded(runs: Sequence[RunRecord], figures: RunFigures) -> Succeeded:
    """Succeeded executions of all steps."""
    executions = figures.grouped(executions_by_step, runs)
    return {step: [of.succeeded for of in of_runs if of.succeeded] for step, of_runs in executions.items()}


def input_effect(by_step: Succeeded, step: str) -> InputEffect | None:
    """How the step depends on its input; None when it does not, or when too few input sizes are known."""
    rows = [
        e for of_run in by_step.get(step, ()) for e in of_run if e.input_size is not None and e.duration is not None
    ]
    if len(rows) < MIN_RUNS:
        return None
    inputs = [e.input_size or 0.0 for e in rows]
    fit = fit_runtime(inputs, [e.duration or 0.0 for e in rows])
    ends = [median(inputs), max(inputs)]
    seconds = fit.predict(ends) if fit.enough and fit.explained else None
    peaks = [
        (e.input_size or 0.0, max(m)) for e in rows if (m := [c.memory_peak for c in e.containers if c.memory_peak])
    ]
    memory = fit_memory([x for x, _ in peaks], [float(y) for _, y in peaks])
    sizes = memory.predict(ends) if memory.enough and memory.explained else None
    if seconds is None and sizes is None:
        return None
    return InputEffect(
        step,
        ends[0],
        ends[1],
        (float(seconds[0]), float(seconds[1])) if seconds is not None else None,
        (float(sizes[0]), float(sizes[1])) if sizes is not None else None,
        len(rows),
    )


def shares_work(runs: Sequence[Sequence[StepExecution]]) -> bool:
    """Whether more pods clearly take less time each, so that they share one amount of work; ``runs``: the timed executions
    of a step in each run. Otherwise their number follows what there is to do, and says nothing about speed."""
    pods = np.log(np.array([float(len(rows)) for rows in runs]))
    each = np.array([sum(e.duration or 0.0 for e in rows) / len(rows) for rows in runs])
    pods, each = pods[each > 0.0], np.log(each[each > 0.0])
    if pods.size < MIN_RUNS:
        return False
    per_pod = slope(pods, each)
    return per_pod.value + _SURE * per_pod.error < _SHARED_SLOPE


def width_effect(by_step: Succeeded, step: str) -> WidthEffect | None:
    """The recommended number of pods, when runs used several for the same work and the difference matters; else None."""
    of_runs = by_step.get(step, ())
    if all(len(rows) == 1 for rows in of_runs):
        return None
    timed = [[e for e in rows if e.started is not None and e.finished is not None] for rows in of_runs]
    timed = [rows for rows in timed if rows]
    widths = tuple(sorted({len(rows) for rows in timed}))
    if len(timed) < MIN_RUNS or len(widths) < 2 or not shares_work(timed):
        return None
    points = [(len(rows), max(e.finished or 0.0 for e in rows) - min(e.started or 0.0 for e in rows)) for rows in timed]
    model = fit_scaleout([float(n) for n, _ in points], [t for _, t in points])
    usual = round(median(n for n, _ in points))
    candidates = sorted({*widths, *(n for n in (2, 4, 8, 16, 32, 64) if n <= 2 * widths[-1])})
    recommended = recommend_workers(model, candidates)
    seconds = float(model.seconds([float(usual)])[0])
    if recommended.workers is None or recommended.seconds is None or not seconds > 0:
        return None
    if abs(recommended.seconds / seconds - 1) < MIN_DIFFERENCE:
        return None
    return WidthEffect(step, widths, recommended, usual, seconds)
