"""The analysis of one workflow: from its definition and run records to the figures that rules and reports use.

Pure orchestration. Each method has its own module; this one selects the runs for each: durations from succeeded runs, rates
from runs with a known outcome, sizes from every sampled execution.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from concertmaster.core.analysis.cost.runs import (
    Component,
    Costs,
    CostSummary,
    components,
    steps_unseen,
    summarize_cost,
)
from concertmaster.core.analysis.nodes.delays import slow_nodes_of
from concertmaster.core.analysis.nodes.slow import SlowNodes
from concertmaster.core.analysis.objectives import (
    ObjectiveAssessment,
    WorkflowSummary,
    evaluate_objectives,
    with_template,
)
from concertmaster.core.analysis.pod_level import with_pods
from concertmaster.core.analysis.recent import last_level_change, recent_runs
from concertmaster.core.analysis.replay import ExecutedRuns, critical_share
from concertmaster.core.analysis.runs.changes import PointCause, point_causes
from concertmaster.core.analysis.runs.coverage import Span, covered_seconds, daily_rate
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.runs.requests import with_requests
from concertmaster.core.analysis.runs.run_rate import present_rate
from concertmaster.core.analysis.runs.starts import lateness
from concertmaster.core.analysis.score import Score, blocked, compute_score
from concertmaster.core.analysis.steps.step import StepAnalysis, analyze_steps
from concertmaster.core.analysis.usage import ContainerUsage, unsampled
from concertmaster.core.changepoint import Detection, Series
from concertmaster.core.known import success_rate
from concertmaster.core.model import Interval, Outcome, RunRecord, WorkflowDefinition
from concertmaster.core.model.daily import DailyRow
from concertmaster.core.model.policy import AnalysisSettings, Policy, Pricing
from concertmaster.core.stats.exact import all_within
from concertmaster.core.stats.summary import Summary, summarize

_SIGNIFICANCE = 0.001  # below which what only later runs have was added to the definition
_queue_time, _input_total = attrgetter("queue_time"), attrgetter("input_total")


@dataclass(frozen=True, slots=True)
class Analysis:
    """All figures of one workflow in one window.

    ``runs``: the records considered (oldest first); ``succeeded`` and ``failed`` count their outcomes. ``executed``:
    the succeeded runs as graphs, built once for all what-ifs of the rules. ``since``: when the last clear change of the
    makespan, or of a step that is much of it, came (unix seconds; -inf: all runs follow it), and ``recent``: those of
    ``executed`` since then, which show what a change gains from now on (``policy.analysis.min_runs`` or more; ``present``
    has those that did not succeed, too). ``enough`` is False below
    ``policy.analysis.min_runs`` finished runs; recommendations require them, figures do not. ``causes``: of the newest
    change points of ``trend``, oldest first. ``slow_nodes``: what they add is neither in ``trend`` nor in the trends of
    ``steps``; ``node_factors``: by run and step, what it would take elsewhere, as a share; ``node_delays``: seconds
    that they add to each run, by its name. ``covered_seconds``: the window, or the part of it that the runs cover where
    they began later.
    """

    definition: WorkflowDefinition
    policy: Policy
    now: float
    runs: tuple[RunRecord, ...]
    executed: ExecutedRuns
    since: float
    recent: ExecutedRuns
    succeeded: int
    failed: int
    makespan: Summary
    queue: Summary
    steps: tuple[StepAnalysis, ...]
    slow_nodes: SlowNodes | None
    node_factors: Mapping[str, Mapping[str, float]]
    node_delays: Mapping[str, float]
    trend: Detection
    causes: tuple[PointCause, ...]
    cost: CostSummary
    objectives: tuple[ObjectiveAssessment, ...]
    score: Score
    enough: bool
    covered_seconds: float
    costs: Costs = field(compare=False, repr=False)
    figures: RunFigures = field(compare=False, repr=False)

    @property
    def options(self) -> AnalysisSettings:
        """The policy's window and thresholds."""
        return self.policy.analysis

    @property
    def pricing(self) -> Pricing:
        """The policy's prices."""
        return self.policy.pricing

    @property
    def unknown(self) -> int:
        """How many of the runs have no known outcome."""
        return len(self.runs) - self.succeeded - self.failed

    @property
    def unseen(self) -> int:
        """How many of these may have failed or not."""
        return sum([r.unseen for r in self.runs])

    @property
    def first_run(self) -> float | None:
        """When the first run began (unix seconds)."""
        return min((r.start for r in self.runs if r.start is not None), default=None)

    @property
    def last_run(self) -> float | None:
        """When the last run ended (unix seconds)."""
        return max((r.end for r in self.runs if r.end is not None), default=None)

    @property
    def present(self) -> tuple[RunRecord, ...]:
        """The runs that ended ``since`` then: those to come cost, fail and wait as these do."""
        return tuple([r for r in self.runs if (r.end or 0.0) >= self.since])

    def held(self, container: ContainerUsage) -> tuple[Sequence[float], Sequence[float]]:
        """When the present runs with ``container`` ended (unix seconds), and the seconds for which it was reserved in each;
        of all runs where it is in none of them."""
        times, reserved = container.columns["time"], container.columns["reserved_seconds"]
        first = next((place for place, time in enumerate(times) if time >= self.since), 0)
        return times[first:], reserved[first:]

    @property
    def problems(self) -> tuple[str, ...]:
        """What of the workflow's definition could not be read or is not known."""
        return self.definition.graph.problems + self.definition.notes

    @property
    def components(self) -> tuple[Component, ...]:
        """Components of the mean cost per run, largest first."""
        key = "components", self.costs  # which keeps what is made under other prices apart
        return self.figures.of_all(key, self.runs, lambda: components(self.runs, self.costs))

    @property
    def cost_by_step(self) -> dict[str, float]:
        """Mean cost per run of the executions of each step, in currency units; steps without a price are left out."""
        priced = sum([self.costs.known(run) is not None for run in self.runs])
        totals: dict[str, float] = {}
        for part in self.components:
            if part.step is not None and (part.container is not None or part.per_run):
                totals[part.step] = totals.get(part.step, 0.0) + part.per_run * priced / len(self.runs)
        return totals

    def presence(self, step: StepAnalysis, container: ContainerUsage) -> float:
        """Share of the runs (0 to 1) in which ``container`` ran: those with the step and, where other steps share its
        resource settings, those with these steps; of the pods that have what is declared, those with any. Runs of which some
        steps were not seen do not tell about a step."""
        if not self.runs:
            return 0.0
        runs = self.since_added(container.columns["time"])
        if container.partial:
            return min(1.0, len(container.runs) / len(runs))
        lacking = self.figures.of_each(steps_unseen, runs)
        some = any(lacking) or len(runs) < len(self.runs)  # the step may have run before these, too
        whole = [run for run, lacks in zip(runs, lacking, strict=True) if not lacks] if some else ()
        ran = sum([step.step in steps for steps in self.figures.of_each(_ran, whole)]) / len(whole) if whole else 0.0
        return min(1.0, max(ran or step.ran / len(runs), len(container.runs) / len(runs)))

    def since_added(self, times: Sequence[float]) -> tuple[RunRecord, ...]:
        """The runs that tell how often something runs that did in those that ended at ``times``: where it is hardly chance
        that no earlier one has it, the definition gained it then, and the runs since then count; else all."""
        first = min(times, default=-math.inf)
        if not self.runs or (self.runs[0].end or 0.0) >= first:
            return self.runs  # as mostly: it ran in the oldest
        later = tuple([run for run in self.runs if run.end is not None and run.end >= first])
        if len(times) < self.options.min_runs or all_within(len(later), len(times), len(self.runs)) >= _SIGNIFICANCE:
            return self.runs
        return later

    @property
    def success_rate(self) -> float | None:
        """Succeeded share (0 to 1) of the runs; None where too few outcomes are known."""
        return success_rate(self.succeeded, self.failed, self.unseen)

    def step(self, name: str) -> StepAnalysis | None:
        """The analysis of that step; None if there is none."""
        return next((s for s in self.steps if s.step == name), None)

    @property
    def unsampled(self) -> bool:
        """Whether containers ran and none of them has usage samples."""
        return unsampled([c for s in self.steps for c in s.containers])


def _ran(run: RunRecord) -> frozenset[str]:
    """The steps that ran."""
    return frozenset(
        {e.step for e in run.steps if e.outcome is not Outcome.SKIPPED and e.outcome is not Outcome.CACHED}
    )


def _finished(runs: Sequence[RunRecord], options: AnalysisSettings, now: float) -> tuple[RunRecord, ...]:
    """Finished runs inside the window, oldest first, the newest ``max_runs`` of them."""
    finished = [
        r
        for r in runs
        if r.end is not None and now - options.window_seconds <= r.end <= now and r.outcome is not Outcome.RUNNING
    ]
    finished.sort(key=lambda r: (r.end or 0.0, r.run))
    return tuple(finished[-options.max_runs :])


def analyze(
    definition: WorkflowDefinition,
    runs: Sequence[RunRecord],
    *,
    now: float,
    policy: Policy | None = None,
    figures: RunFigures | None = None,
    blind: Sequence[Span] = (),
    days: Sequence[DailyRow] = (),
) -> Analysis:
    """Analyse the finished runs of one workflow that ended within the window before ``now`` (unix seconds). ``figures``:
    cache of earlier analyses of the same records, extended by this one. ``blind``: spans (unix seconds) in which runs may
    have come that were not seen. ``days``: what is counted of all runs by day, where these are the newest of them."""
    policy, figures = policy or Policy(), figures or RunFigures()
    policy = replace(policy, objectives=with_template(policy.objectives, definition.graph))
    options, pricing = policy.analysis, policy.pricing
    finished = with_requests(definition, _finished(runs, options, now), figures)
    definition, finished = with_pods(definition, finished)
    timed = [r for r in finished if r.outcome.timed and r.makespan is not None]
    executed = _executed(definition, finished, timed, figures)
    on_path = critical_share(executed, definition.graph)
    slow, factors, delayed = slow_nodes_of(finished, executed, figures)
    makespans = _makespans(timed, delayed, figures)
    steps, trend = analyze_steps(finished, definition, on_path, options, pricing, figures, makespans, slow)
    costs, counted = figures.costs(pricing), None
    if len(finished) >= options.max_runs:
        counted = daily_rate(days, finished, now, blind)
    rate = present_rate(finished, now, definition, blind) if counted is None else Interval(counted, counted, counted)
    since = last_level_change(timed, executed, trend, steps, options.min_runs, figures)
    summary = WorkflowSummary(
        runs=finished,
        makespan=summarize([r.run_time for r in timed if r.run_time is not None]),
        queue=summarize([w for w in figures.of_each(_queue_time, finished) if w is not None]),
        trend=trend,
        cost=summarize_cost(finished, costs, rate),
        costs=costs,
        containers=[c for s in steps for c in s.containers],
        step_failures={s.step: s.failures for s in steps},
    )
    objectives = evaluate_objectives(policy, summary)
    outcomes = Counter(r.outcome for r in finished)
    return Analysis(
        definition=definition,
        policy=policy,
        now=now,
        runs=finished,
        executed=executed,
        since=since,
        recent=recent_runs(timed, executed, since),
        succeeded=outcomes[Outcome.SUCCEEDED],
        failed=outcomes[Outcome.FAILED],
        makespan=summary.makespan,
        queue=summary.queue,
        steps=steps,
        slow_nodes=slow,
        node_factors=factors,
        node_delays=delayed,
        trend=trend,
        causes=point_causes(timed, trend.points, figures, definition.graph),
        cost=summary.cost,
        objectives=objectives,
        score=compute_score(policy, summary, objectives, blocked(executed, figures)),
        enough=sum(r.outcome.over for r in finished) >= options.min_runs,
        covered_seconds=covered_seconds(finished, now, options.window_seconds, options.min_runs),
        costs=costs,
        figures=figures,
    )


def _executed(
    definition: WorkflowDefinition, finished: Sequence[RunRecord], timed: Sequence[RunRecord], figures: RunFigures
) -> ExecutedRuns:
    """The ``timed`` runs as graphs, each with the delay of its start where the schedule tells it."""
    executed = figures.executed(timed, definition.graph)
    late = lateness(definition, finished, figures)
    return ExecutedRuns([replace(run, late=late.get(run.run, 0.0)) for run in executed] if late else executed)


def _makespans(timed: Sequence[RunRecord], delayed: Mapping[str, float], figures: RunFigures) -> Series:
    """The makespans of the ``timed`` runs without the seconds by which slow nodes ``delayed`` them."""
    spans = [(r.makespan or 0.0) - delayed.get(r.run, 0.0) for r in timed]
    return Series([r.end or 0.0 for r in timed], spans, figures.of_each(_input_total, timed))
