"""One step over all runs of a window: duration, failures, usage and trend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from statistics import median
from typing import NamedTuple

from concertmaster.core.analysis.failures import FailureSummary, summarize_failures
from concertmaster.core.analysis.nodes.slow import SlowNodes
from concertmaster.core.analysis.replay import CriticalShare
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.runs.usage import ContainerInRun, usage_of
from concertmaster.core.analysis.usage import (
    ContainerUsage,
    container_usage,
    utilizations,
)
from concertmaster.core.changepoint import Detection, Series, detect_many
from concertmaster.core.fast_init import fast_init
from concertmaster.core.known import known
from concertmaster.core.model import ContainerSpec, Outcome, RunRecord, StepExecution, StepSpec, WorkflowDefinition
from concertmaster.core.model.policy import AnalysisSettings, Pricing
from concertmaster.core.stats.summary import Summary, summarize


@fast_init
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
class NetworkUse:
    """Medians over the ``executions`` of a step of which it is known: bytes received and sent, and bytes per second."""

    executions: int
    received: float
    sent: float
    rate: float | None


@fast_init
@dataclass(frozen=True, slots=True)
class StepAnalysis:
    """One step over all runs in the window.

    ``duration``: succeeded executions, start to end; ``waiting``: pod creation to scheduling; ``starting``: scheduling to
    start of the main container; seconds. ``path``: how the step delays the run. ``runs`` contained the step; in ``ran`` of
    them it was neither skipped nor cached. ``inits``: its init containers that end before its ``containers`` start.
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
    inits: tuple[ContainerUsage, ...] = ()

    def declared(self, container: ContainerUsage) -> ContainerSpec | None:
        """The container as the definition declares it; None where it does not."""
        return next((c for c in self.spec.sized if c.name == container.name), None) if self.spec is not None else None


def analyze_steps(
    runs: Sequence[RunRecord],
    definition: WorkflowDefinition,
    paths: Mapping[str, CriticalShare],
    options: AnalysisSettings,
    pricing: Pricing,
    figures: RunFigures,
    makespans: Series,
    slow: SlowNodes | None,
) -> tuple[tuple[StepAnalysis, ...], Detection]:
    """All steps of ``runs`` (finished, oldest first), those of the graph first, and the changes of the runs' ``makespans``:
    detected along with those of the steps, they take a fifth of the time. ``paths``: how each step delays the runs. What
    ``slow`` nodes add is no change of a step."""
    graph = definition.graph
    usages: dict[str, dict[str, Sequence[ContainerInRun]]] = {}
    for (step, container), of_runs in figures.grouped(usage_of, runs).items():
        usages.setdefault(step, {})[container] = of_runs
    rows = {step: _Columns(*zip(*of_step, strict=True)) for step, of_step in figures.grouped(_times_of, runs).items()}
    specs = {s.name: s for s in graph.steps}
    names = [*specs, *sorted(rows.keys() - specs.keys())]
    columns = [rows.get(name, _EMPTY_COLUMNS) for name in names]
    trend_of_runs, *trends = detect_many([makespans, *(c.series(slow) for c in columns)])
    durations = [summarize(known(c.seconds)) for c in columns]
    means = summarize([d.mean for d in durations])
    steps: list[StepAnalysis] = []
    for name, own, duration, trend in zip(names, columns, durations, trends, strict=True):
        spec = specs.get(name)
        ran = container_usage(spec or graph.declaring(name), usages.get(name, {}), definition.fingerprint)
        containers = tuple(c for c in ran if not c.init)
        steps.append(
            StepAnalysis(
                step=name,
                spec=spec,
                executions=len(own.executions),
                runs=len(set(own.runs)),
                ran=len({run for run, did in zip(own.runs, own.ran, strict=True) if did}),
                duration=duration,
                waiting=summarize(known(own.waiting)),
                starting=summarize(known(own.starting)),
                failures=summarize_failures(own.runs, own.executions),
                containers=containers,
                path=paths.get(name),
                trend=trend,
                marks=_marks(duration, containers, means, options),
                network=_network_use(own.executions),
                pricing=pricing.mean(own.executions),
                inits=tuple(c for c in ran if c.init),
            )
        )
    return tuple(steps), trend_of_runs


_Times = tuple[str, str, float, StepExecution, float | None, float | None, float | None, bool, float | None]
"""One execution: its fields in the order of ``_Columns``; a plain tuple because there are many of them."""


def _times_of(run: RunRecord) -> list[_Times]:
    """All executions of a run."""
    times: list[_Times] = []
    name, end = run.run, run.end or 0.0
    succeeded, ended, skipped, cached = Outcome.SUCCEEDED, Outcome.ENDED, Outcome.SKIPPED, Outcome.CACHED
    for e in run.steps:
        created, scheduled, started, finished, outcome = e.created, e.scheduled, e.started, e.finished, e.outcome
        seconds = waiting = starting = None
        if scheduled is not None:
            if created is not None:
                waiting = scheduled - created if scheduled > created else 0.0
            if started is not None:
                starting = started - scheduled if started > scheduled else 0.0
        if started is not None and finished is not None and (outcome is succeeded or outcome is ended):
            seconds = finished - started if finished > started else 0.0
        ran = outcome is not skipped and outcome is not cached
        times.append((e.step, name, end, e, seconds, waiting, starting, ran, e.input_size))
    return times


class _Columns(NamedTuple):
    """All executions of a step: name and end of the run of each; its duration if it counts, pod creation to scheduling, and
    scheduling to start, in seconds (None: unknown); whether it was neither skipped nor cached; input size."""

    steps: Sequence[str]
    runs: Sequence[str]
    ends: Sequence[float]
    executions: Sequence[StepExecution]
    seconds: Sequence[float | None]
    waiting: Sequence[float | None]
    starting: Sequence[float | None]
    ran: Sequence[bool]
    sizes: Sequence[float | None]

    def series(self, slow: SlowNodes | None) -> Series:
        """Ends of the runs (unix seconds), durations (s) without what ``slow`` nodes add, and inputs (None unless all are
        known), oldest first; of a run with several executions the longest duration."""
        if slow is not None:
            rows_of = zip(self.seconds, self.executions, strict=True)
            return self._replace(seconds=[s and s - slow.lost(e) for s, e in rows_of]).series(None)
        if len(set(self.runs)) < len(self.runs):
            rows = self._longest()
        else:
            columns = zip(self.ends, self.seconds, self.sizes, strict=True)
            rows = [(end, seconds, size) for end, seconds, size in columns if seconds is not None]
        rows.sort(key=itemgetter(0))
        sizes = [row[2] for row in rows]
        inputs = sizes if sizes and None not in sizes else None
        return Series([row[0] for row in rows], [row[1] for row in rows], inputs)

    def _longest(self) -> list[tuple[float, float, float | None]]:
        by_run: dict[str, tuple[float, float, float | None]] = {}
        for run, end, seconds, size in zip(self.runs, self.ends, self.seconds, self.sizes, strict=True):
            if seconds is not None:
                other = by_run.get(run)
                if other is not None:
                    seconds, size = max(other[1], seconds), size if size is not None else other[2]
                by_run[run] = end, seconds, size
        return list(by_run.values())


_EMPTY_COLUMNS = _Columns(*[()] * len(_Columns._fields))


def _network_use(executions: Sequence[StepExecution]) -> NetworkUse | None:
    """None when it is known for none of them."""
    rows = [e for e in executions if e.network_receive_bytes is not None or e.network_transmit_bytes is not None]
    if not rows:
        return None
    rates = [(e.network_bytes or 0.0) / e.duration for e in rows if e.duration]
    received = median(e.network_receive_bytes or 0.0 for e in rows)
    sent = median(e.network_transmit_bytes or 0.0 for e in rows)
    return NetworkUse(len(rows), received, sent, median(rates) if rates else None)


def _marks(
    duration: Summary, containers: Sequence[ContainerUsage], means: Summary, options: AnalysisSettings
) -> StepFlags:
    slow = None
    if duration.mean is not None and means.count >= 3 and means.mean is not None and means.variance is not None:
        slow = duration.mean > means.mean + means.variance**0.5
    cv = duration.cv
    used = utilizations(containers)
    over = tuple([r for r, of in used.items() if of and min(of) < options.over_allocated])
    under = tuple([r for r, of in used.items() if of and max(of) > options.under_allocated and r != "gpu"])
    known = any(used.values())
    return StepFlags(
        slow_outlier=slow,
        inconsistent=cv > options.high_variance_cv if cv is not None and duration.count >= 3 else None,
        over_allocated=bool(over) if known else None,
        under_allocated=bool(under) if known else None,
        over=over,
        under=under,
    )
