"""The analysis of one workflow: from its definition and run records to every figure that rules and reports use.

Pure orchestration. Each method lives in its own module; here it is decided which runs count for what:
durations from succeeded runs, rates from runs with a known outcome, sizes from every execution that was sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from concertmaster.core.analysis.cost import CostSummary, summarize_cost
from concertmaster.core.analysis.failures import FailureSummary, summarize_failures
from concertmaster.core.analysis.objectives import ObjectiveAssessment, evaluate_objectives, with_template
from concertmaster.core.analysis.pod_level import with_pods
from concertmaster.core.analysis.replay import CriticalShare, ExecutedRun, critical_share, time_split
from concertmaster.core.analysis.replay.executed import prepare
from concertmaster.core.analysis.score import Score, compute_score, efficiency_target
from concertmaster.core.analysis.usage import ContainerUsage, container_usage
from concertmaster.core.changepoint import Detection, detect
from concertmaster.core.model import Outcome, RunRecord, StepExecution, StepSpec, WorkflowDefinition, WorkflowGraph
from concertmaster.core.model.policy import AnalysisSettings, Policy, Pricing
from concertmaster.core.stats.summary import Summary, summarize


@dataclass(frozen=True, slots=True)
class Marks:
    """Plain marks beside the figures; each is None when it is unknown."""

    slow_outlier: bool | None = None  # mean above mean + 1 standard deviation of all steps' means
    inconsistent: bool | None = None  # coefficient of variation above the threshold
    over_allocated: bool | None = None
    under_allocated: bool | None = None


@dataclass(frozen=True, slots=True)
class StepAnalysis:
    """One step over all runs in the window.

    ``duration`` covers succeeded executions (seconds, start to end), ``waiting`` pod creation to scheduling and
    ``starting`` scheduling to the start of the main container. ``path`` tells how the step holds the run back. ``runs``
    had the step, in ``ran`` of them it was neither skipped nor taken from a cache.
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
    marks: Marks


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything known of one workflow in one window.

    ``runs`` are the records considered (oldest first); ``succeeded``, ``failed`` and ``unknown`` count their outcomes.
    ``executed`` are the succeeded runs as graphs, built once for every what-if the rules ask about.
    ``enough`` is False below ``policy.analysis.min_runs`` finished runs; recommendations need them, figures do not.
    """

    definition: WorkflowDefinition
    policy: Policy
    now: float
    runs: tuple[RunRecord, ...]
    executed: tuple[ExecutedRun, ...]
    succeeded: int
    failed: int
    unknown: int
    makespan: Summary
    queue: Summary
    steps: tuple[StepAnalysis, ...]
    trend: Detection
    cost: CostSummary
    objectives: tuple[ObjectiveAssessment, ...]
    score: Score
    enough: bool
    first_run: float | None
    last_run: float | None
    inferred: bool
    problems: tuple[str, ...]

    @property
    def options(self) -> AnalysisSettings:
        """The policy's window and thresholds."""
        return self.policy.analysis

    @property
    def pricing(self) -> Pricing:
        """The policy's prices."""
        return self.policy.pricing

    def presence(self, step: StepAnalysis, container: ContainerUsage) -> float:
        """Share of the runs in which the step's ``container`` was run, 0 to 1: those with the step, and where other steps
        share its place, theirs too."""
        return max(step.ran, len(container.runs)) / len(self.runs) if self.runs else 0.0

    @property
    def success_rate(self) -> float | None:
        """Share (0 to 1) of runs that succeeded among those with a known outcome."""
        known = self.succeeded + self.failed
        return self.succeeded / known if known else None

    def step(self, name: str) -> StepAnalysis | None:
        """The analysis of that step, or None."""
        return next((s for s in self.steps if s.step == name), None)

    @property
    def covered_seconds(self) -> float:
        """The span the runs stand for: the window, or less when only the newest ``max_runs`` of it were analysed."""
        window = self.options.window_seconds
        if len(self.runs) < self.options.max_runs or self.first_run is None:
            return window
        return min(window, self.now - self.first_run)


def _finished(runs: Sequence[RunRecord], options: AnalysisSettings, now: float) -> tuple[RunRecord, ...]:
    """Finished runs inside the window, oldest first, the newest ``max_runs`` of them."""
    finished = [
        r
        for r in runs
        if r.end is not None and now - options.window_seconds <= r.end <= now and r.outcome is not Outcome.RUNNING
    ]
    finished.sort(key=lambda r: (r.end or 0.0, r.run))
    return tuple(finished[-options.max_runs :])


def _executions(runs: Sequence[RunRecord]) -> dict[str, list[tuple[RunRecord, StepExecution]]]:
    by_step: dict[str, list[tuple[RunRecord, StepExecution]]] = {}
    for run in runs:
        for execution in run.steps:
            by_step.setdefault(execution.step, []).append((run, execution))
    return by_step


def _step(
    name: str,
    graph: WorkflowGraph,
    rows: Sequence[tuple[RunRecord, StepExecution]],
    path: CriticalShare | None,
) -> StepAnalysis:
    durations: list[float] = []
    waiting: list[float] = []
    starting: list[float] = []
    per_run: dict[str, tuple[float, float, float | None]] = {}
    for run, execution in rows:
        created, scheduled, started = execution.created, execution.scheduled, execution.started
        if scheduled is not None and created is not None:
            waiting.append(max(0.0, scheduled - created))
        if started is not None and scheduled is not None:
            starting.append(max(0.0, started - scheduled))
        seconds = execution.duration
        if not execution.outcome.timed or seconds is None:
            continue
        durations.append(seconds)
        time, longest, size = per_run.get(run.run, (run.end or 0.0, 0.0, None))
        size = execution.input_size if execution.input_size is not None else size
        per_run[run.run] = (time, max(longest, seconds), size)
    series = sorted(per_run.values(), key=lambda v: v[0])
    sizes = [v[2] for v in series]
    inputs = [v for v in sizes if v is not None] if all(v is not None for v in sizes) and sizes else None
    return StepAnalysis(
        step=name,
        spec=graph.step(name),
        executions=len(rows),
        runs=len({r.run for r, _ in rows}),
        ran=len({r.run for r, e in rows if e.outcome not in (Outcome.SKIPPED, Outcome.CACHED)}),
        duration=summarize(durations),
        waiting=summarize(waiting),
        starting=summarize(starting),
        failures=summarize_failures((r.run, e) for r, e in rows),
        containers=container_usage(graph.declaring(name), rows),
        path=path,
        trend=detect([v[0] for v in series], [v[1] for v in series], inputs=inputs),
        marks=Marks(),
    )


def _marks(step: StepAnalysis, means: Summary, options: AnalysisSettings) -> Marks:
    """``means``: summary of all steps' mean durations."""
    slow = None
    if step.duration.mean is not None and means.count >= 3 and means.mean is not None and means.variance is not None:
        slow = step.duration.mean > means.mean + means.variance**0.5
    cv = step.duration.cv
    memory = [u for u in (c.memory_utilization for c in step.containers) if u is not None]
    cpu = [u for u in (c.cpu_utilization for c in step.containers) if u is not None]
    both = memory + cpu
    return Marks(
        slow_outlier=slow,
        inconsistent=cv > options.high_variance_cv if cv is not None and step.duration.count >= 3 else None,
        over_allocated=any(u < options.over_allocated for u in both) if both else None,
        under_allocated=any(u > options.under_allocated for u in both) if both else None,
    )


def analyze(
    definition: WorkflowDefinition,
    runs: Sequence[RunRecord],
    *,
    now: float,
    policy: Policy | None = None,
) -> Analysis:
    """Analyse the finished runs of one workflow that ended within the window before ``now`` (unix seconds)."""
    policy = policy or Policy()
    policy = replace(policy, objectives=with_template(policy.objectives, definition.graph))
    options, pricing = policy.analysis, policy.pricing
    definition, finished = with_pods(definition, _finished(runs, options, now))
    good = [r for r in finished if r.outcome.timed and r.makespan is not None]
    by_step = _executions(finished)
    replayable = tuple(prepare(good, definition.graph))
    on_path = critical_share(replayable, definition.graph)
    names = [s.name for s in definition.graph.steps]
    names += sorted(name for name in by_step if name not in set(names))
    bare = [_step(name, definition.graph, by_step.get(name, []), on_path.get(name)) for name in names]
    means = summarize([s.duration.mean for s in bare])
    steps = tuple(replace(s, marks=_marks(s, means, options)) for s in bare)
    makespan = summarize([r.run_time for r in good if r.run_time is not None])
    queue = summarize([w for w in (r.queue_time for r in finished) if w is not None])
    cost = summarize_cost(finished, pricing)
    succeeded = sum(r.outcome is Outcome.SUCCEEDED for r in finished)
    failed = sum(r.outcome is Outcome.FAILED for r in finished)
    trend = detect(
        [r.end or 0.0 for r in good], [r.makespan or 0.0 for r in good], inputs=[r.input_total for r in good]
    )
    verdicts = evaluate_objectives(
        policy.objectives,
        finished,
        steps_failures={s.step: s.failures for s in steps},
        makespan=makespan,
        queue=queue,
        cost=cost,
        utilization=_utilization(steps),
        pricing=pricing,
        metrics=policy.extra_metrics,
    )
    target = efficiency_target([c for s in steps for c in s.containers], policy)
    ends = [r.end for r in finished if r.end is not None]
    return Analysis(
        definition=definition,
        policy=policy,
        now=now,
        runs=finished,
        executed=replayable,
        succeeded=succeeded,
        failed=failed,
        unknown=len(finished) - succeeded - failed,
        makespan=makespan,
        queue=queue,
        steps=steps,
        trend=trend,
        cost=cost,
        objectives=verdicts,
        score=compute_score(
            finished,
            makespan=makespan,
            queue=queue,
            cost=cost,
            trend=trend,
            policy=policy,
            target=target,
            blocked=_blocked(replayable),
        ),
        enough=sum(r.outcome.over for r in finished) >= options.min_runs,
        first_run=min((r.start for r in finished if r.start is not None), default=None),
        last_run=max(ends, default=None),
        inferred=definition.graph.inferred,
        problems=definition.graph.problems + definition.notes,
    )


def _blocked(runs: Sequence[ExecutedRun]) -> float:
    """Mean seconds per run that the critical path waited for a slot or lost to failed attempts."""
    splits = [split for split in (time_split(run) for run in runs) if split is not None]
    return sum(s.limit + s.retry for s in splits) / len(splits) if splits else 0.0


def _utilization(steps: Sequence[StepAnalysis]) -> tuple[float | None, float | None]:
    """Requested-weighted CPU and memory utilisation of all steps (0 to 1), None where unknown."""
    figures: list[float | None] = []
    for kind in ("cpu", "memory"):
        weight = used = 0.0
        for step in steps:
            for container in step.containers:
                request = container.cpu_request if kind == "cpu" else container.memory_request
                share = container.cpu_utilization if kind == "cpu" else container.memory_utilization
                if request and share is not None:
                    seconds = sum(r.seconds for r in container.runs)
                    weight += request * seconds
                    used += request * seconds * share
        figures.append(used / weight if weight > 0 else None)
    return figures[0], figures[1]
