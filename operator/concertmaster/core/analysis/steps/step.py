"""One step over all runs of a window: duration, failures, usage and trend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from concertmaster.core.analysis.failures import FailureSummary, summarize_failures
from concertmaster.core.analysis.replay import CriticalShare
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.runs.usage import by_step, usage_of
from concertmaster.core.analysis.steps.network import NetworkUse, network_use
from concertmaster.core.analysis.usage import (
    ContainerUsage,
    container_usage,
    utilizations,
)
from concertmaster.core.changepoint import Detection
from concertmaster.core.changepoint.detect import Series, detect_many
from concertmaster.core.model import Outcome, RunRecord, StepExecution, StepSpec, WorkflowGraph
from concertmaster.core.model.policy import AnalysisSettings, Pricing
from concertmaster.core.stats.summary import Summary, summarize


@dataclass(frozen=True, slots=True)
class StepFlags:
    """Flags beside the figures; None when unknown."""

    slow_outlier: bool | None = None  # mean above mean + 1 standard deviation of all steps' means
    inconsistent: bool | None = None  # coefficient of variation above the threshold
    over_allocated: bool | None = None
    under_allocated: bool | None = None
    over: tuple[str, ...] = ()  # resources that are over-allocated: cpu, memory, gpu, ephemeral-storage
    under: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepAnalysis:
    """One step over all runs in the window.

    ``duration``: succeeded executions, start to end; ``waiting``: pod creation to scheduling; ``starting``: scheduling to
    start of the main container; seconds. ``path``: how the step delays the run. ``runs`` contained the step; in ``ran`` of
    them it was neither skipped nor cached.
    """

    step: str
    spec: StepSpec | None
    executions: int
    runs: int
    ran: int
    duration: Summary
    waiting: Summary
    starting: Summary
    failures: FailureSummary
    containers: tuple[ContainerUsage, ...]
    path: CriticalShare | None
    trend: Detection
    marks: StepFlags
    network: NetworkUse | None = None
    pricing: Pricing = field(default_factory=Pricing)  # mean over the nodes it ran on


def analyze_steps(
    runs: Sequence[RunRecord],
    graph: WorkflowGraph,
    paths: Mapping[str, CriticalShare],
    options: AnalysisSettings,
    pricing: Pricing,
    figures: RunFigures,
) -> tuple[StepAnalysis, ...]:
    """All steps of ``runs`` (finished, oldest first), those of the graph first. ``paths``: how each step delays the runs."""
    usages = by_step(figures.of_each(usage_of, runs))
    rows = _executions(runs)
    names = [s.name for s in graph.steps]
    names += sorted(rows.keys() - set(names))
    columns = _collected(runs, figures)
    collected = [columns.get(name) or _Collected() for name in names]
    trends = detect_many([c.series() for c in collected])
    durations = [summarize(c.durations) for c in collected]
    means = summarize([d.mean for d in durations])
    steps: list[StepAnalysis] = []
    for name, own, duration, trend in zip(names, collected, durations, trends, strict=True):
        of_runs, executions = rows.get(name, ([], []))
        containers = container_usage(graph.declaring(name), usages.get(name, {}))
        steps.append(
            StepAnalysis(
                step=name,
                spec=graph.step(name),
                executions=len(executions),
                runs=len(set(of_runs)),
                ran=len(own.ran),
                duration=duration,
                waiting=summarize(own.waiting),
                starting=summarize(own.starting),
                failures=summarize_failures(zip(of_runs, executions, strict=True)),
                containers=containers,
                path=paths.get(name),
                trend=trend,
                marks=_marks(duration, containers, means, options),
                network=network_use(executions),
                pricing=pricing.mean(executions),
            )
        )
    return tuple(steps)


def _executions(runs: Sequence[RunRecord]) -> dict[str, tuple[list[str], list[StepExecution]]]:
    """By step its executions, and the name of the run of each."""
    by_step: dict[str, tuple[list[str], list[StepExecution]]] = {}
    for run in runs:
        name = run.run
        for execution in run.steps:
            rows = by_step.get(execution.step)
            if rows is None:
                rows = by_step[execution.step] = [], []
            rows[0].append(name)
            rows[1].append(execution)
    return by_step


@dataclass(slots=True)
class _Collected:
    """The executions of a step as columns. ``ran``: number of runs in which it was neither skipped nor cached; ``per_run``:
    for each run with a timed execution, its end, its longest execution and its input."""

    durations: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    starting: list[float] = field(default_factory=list)
    ran: set[str] = field(default_factory=set)
    per_run: dict[str, tuple[float, float, float | None]] = field(default_factory=dict)

    def series(self) -> Series:
        """Ends (unix seconds), durations (s) and inputs (None unless all are known), oldest first."""
        rows = sorted(self.per_run.values(), key=itemgetter(0))
        sizes = [row[2] for row in rows]
        inputs = sizes if sizes and None not in sizes else None
        return Series([row[0] for row in rows], [row[1] for row in rows], inputs)


class _Times(NamedTuple):
    """One execution: step; its duration if it counts, pod creation to scheduling, and scheduling to start, in seconds
    (None: unknown); whether it was neither skipped nor cached; input size."""

    step: str
    seconds: float | None
    waiting: float | None
    starting: float | None
    ran: bool
    size: float | None


_times = partial(tuple.__new__, _Times)


def _times_of(run: RunRecord) -> list[_Times]:
    """Times of all executions of a run."""
    times: list[_Times] = []
    for e in run.steps:
        created, scheduled, started, finished, outcome = e.created, e.scheduled, e.started, e.finished, e.outcome
        seconds = waiting = starting = None
        if scheduled is not None:
            if created is not None:
                waiting = scheduled - created if scheduled > created else 0.0
            if started is not None:
                starting = started - scheduled if started > scheduled else 0.0
        if started is not None and finished is not None and (outcome is Outcome.SUCCEEDED or outcome is Outcome.ENDED):
            seconds = finished - started if finished > started else 0.0
        ran = outcome is not Outcome.SKIPPED and outcome is not Outcome.CACHED
        times.append(_times((e.step, seconds, waiting, starting, ran, e.input_size)))
    return times


def _collected(runs: Sequence[RunRecord], figures: RunFigures) -> dict[str, _Collected]:
    """Executions by step."""
    columns: dict[str, _Collected] = {}
    for run, times in zip(runs, figures.of_each(_times_of, runs), strict=True):
        name, end = run.run, run.end or 0.0
        for step, seconds, waiting, starting, ran, size in times:
            own = columns.get(step)
            if own is None:
                own = columns[step] = _Collected()
            if waiting is not None:
                own.waiting.append(waiting)
            if starting is not None:
                own.starting.append(starting)
            if ran:
                own.ran.add(name)
            if seconds is None:
                continue
            own.durations.append(seconds)
            known = own.per_run.get(name)
            if known is not None:
                seconds, size = max(known[1], seconds), size if size is not None else known[2]
            own.per_run[name] = end, seconds, size
    return columns


def _marks(
    duration: Summary, containers: Sequence[ContainerUsage], means: Summary, options: AnalysisSettings
) -> StepFlags:
    slow = None
    if duration.mean is not None and means.count >= 3 and means.mean is not None and means.variance is not None:
        slow = duration.mean > means.mean + means.variance**0.5
    cv = duration.cv
    used = utilizations(containers)
    over = tuple(r for r, shares in used.items() if any(u < options.over_allocated for u in shares))
    under = tuple(r for r, shares in used.items() if r != "gpu" and any(u > options.under_allocated for u in shares))
    known = any(used.values())
    return StepFlags(
        slow_outlier=slow,
        inconsistent=cv > options.high_variance_cv if cv is not None and duration.count >= 3 else None,
        over_allocated=bool(over) if known else None,
        under_allocated=bool(under) if known else None,
        over=over,
        under=under,
    )
