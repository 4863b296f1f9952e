"""Evaluation of objectives: verdict, margin and trend of each.

Missing data gives Unknown, never Met: an objective that cannot be evaluated is not met. So do failures of a step that are
too few to tell. The trend compares the newer half of the runs with the older half, using the tests that verify changes:
Steady means no significant difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from concertmaster.core import text
from concertmaster.core.analysis.cost.runs import Costs, CostSummary
from concertmaster.core.analysis.failures import FailureSummary
from concertmaster.core.analysis.pattern import workflow_type
from concertmaster.core.analysis.usage import ContainerUsage, weighted_utilization
from concertmaster.core.changepoint import Detection
from concertmaster.core.known import success_rate
from concertmaster.core.model import Outcome, RunRecord, WorkflowGraph
from concertmaster.core.model.enums import MetricRole, Verdict
from concertmaster.core.model.policy import Objectives, Policy, Quantiles, budget_of
from concertmaster.core.stats.comparison import MIN_RUNS, direction
from concertmaster.core.stats.exact import fisher, shift
from concertmaster.core.stats.summary import Summary

LEVEL = 0.05  # significance level of the test of two proportions
# These have score parts of their own.
COUNTED_ELSEWHERE = ("success", "step failure", "CPU utilization", "memory utilization")
_DURATIONS = frozenset(f"duration {percentile}" for percentile in ("p50", "p95", "p99"))
_ENDED = (Outcome.SUCCEEDED, Outcome.CACHED, Outcome.FAILED)  # executions that count for a step's failure rate
_NO_FIGURE = "unknown"
Show = Callable[[float], str]


class ObjectiveResult(StrEnum):
    """Whether an objective is met."""

    MET = "Met"
    MISSED = "Missed"
    UNKNOWN = "Unknown"


class Trend(StrEnum):
    """Direction in which the measured value is moving."""

    IMPROVING = "Improving"
    STEADY = "Steady"
    DEGRADING = "Degrading"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class ObjectiveAssessment:
    """One objective. ``margin``: relative distance to the target, positive when better than the target."""

    name: str
    target: str
    actual: str
    verdict: ObjectiveResult
    margin: float | None
    trend: Trend = Trend.UNKNOWN
    bound: str = "<="  # how the measured value must compare with the target

    @property
    def kind(self) -> str:
        """Its name without the step, metric or template in parentheses."""
        return self.name.partition(" (")[0]

    @property
    def of_duration(self) -> bool:
        """Whether it is one on the run time."""
        return self.kind in _DURATIONS

    @property
    def known(self) -> bool:
        """Whether there is a figure, be it of too few attempts for a verdict."""
        return self.actual != _NO_FIGURE

    @property
    def line(self) -> str:
        """Verdict, figure, target and where the figure is going, each named where it is unknown."""
        figures = f"(target {self.bound} {self.target})"
        if self.verdict is ObjectiveResult.UNKNOWN:
            return f"{self.verdict}, {self.actual if self.known else 'no data'} {figures}"
        going = "trend unknown" if self.trend is Trend.UNKNOWN else self.trend.lower()
        return f"{self.verdict}, {self.actual} {figures}, {going}"


def _going(values: Iterable[float | None], *, smaller_is_better: bool = True) -> Trend:
    """Trend from the older to the newer half of the values (oldest first); missing ones are left out."""
    known = [v for v in values if v is not None]
    half = len(known) // 2
    if half < MIN_RUNS:
        return Trend.UNKNOWN
    verdict = direction(known[:half], known[half:])
    if verdict not in (Verdict.WORSE, Verdict.IMPROVED):
        return Trend.STEADY
    return Trend.IMPROVING if (verdict is Verdict.IMPROVED) == smaller_is_better else Trend.DEGRADING


def _rate(good: Sequence[bool]) -> Trend:
    """Trend of a success share; also tests the newest third and quarter, since half of the runs may hide a bad week."""
    half = len(good) // 2
    older, newer = good[:half], good[half:]
    p = fisher(sum(older), len(older) - sum(older), sum(newer), len(newer) - sum(newer))
    if p is None or half < MIN_RUNS:
        return Trend.UNKNOWN
    if p >= LEVEL:
        changed = shift(good, LEVEL)
        if changed is None:
            return Trend.STEADY
        return Trend.IMPROVING if changed[1] else Trend.DEGRADING
    return Trend.IMPROVING if sum(newer) / len(newer) > sum(older) / len(older) else Trend.DEGRADING


def _verdict(
    name: str, target: float, actual: float | None, show: Show, trend: Trend, *, smaller_is_better: bool
) -> ObjectiveAssessment:
    bound = "<=" if smaller_is_better else ">="
    if actual is None:
        return ObjectiveAssessment(name, show(target), _NO_FIGURE, ObjectiveResult.UNKNOWN, None, trend, bound)
    distance = target - actual if smaller_is_better else actual - target
    verdict = ObjectiveResult.MET if distance >= 0 else ObjectiveResult.MISSED
    margin = distance / target if target else None
    return ObjectiveAssessment(name, show(target), show(actual), verdict, margin, trend, bound)


_at_most, _at_least = (partial(_verdict, smaller_is_better=smaller) for smaller in (True, False))


class WorkflowSummary(NamedTuple):
    """What objectives and score are judged by. ``runs``: finished, oldest first; ``makespan`` and ``queue``: seconds;
    ``step_failures``: by step."""

    runs: Sequence[RunRecord]
    makespan: Summary
    queue: Summary
    trend: Detection
    cost: CostSummary
    costs: Costs
    containers: Sequence[ContainerUsage]
    step_failures: Mapping[str, FailureSummary]


def with_template(objectives: Objectives, graph: WorkflowGraph) -> Objectives:
    """The objectives, with the duration template of the workflow's type filled in when no duration objective is set."""
    kind = workflow_type(graph).value
    template = objectives.duration_by_type.get(kind)
    if template is None or objectives.duration != Quantiles():
        return objectives
    return replace(objectives, duration=Quantiles(p50=template), duration_note=f"template for {kind} workflows")


def evaluate_objectives(policy: Policy, workflow: WorkflowSummary) -> tuple[ObjectiveAssessment, ...]:
    """The assessment of every objective that is set, in a fixed order."""
    objectives, runs = policy.objectives, workflow.runs
    return (
        *_durations(objectives, runs, workflow.makespan, workflow.queue),
        *_failures(objectives, runs, workflow.step_failures),
        *_rates(objectives, runs, workflow.cost, workflow.costs),
        *_cache_hits(objectives, runs),
        *_by_role(objectives, runs, {m.role: m.name for m in reversed(policy.extra_metrics)}),
        *_utilization(objectives, runs, workflow.containers),
        *_budgets(objectives, runs),
    )


def _durations(
    objectives: Objectives, runs: Sequence[RunRecord], makespan: Summary, queue: Summary
) -> Iterator[ObjectiveAssessment]:
    label = f" ({objectives.duration_note})" if objectives.duration_note else ""
    for name, quantiles, summary, values in (
        ("duration", objectives.duration, makespan, (r.makespan for r in runs if r.outcome.timed)),
        ("queue time", objectives.queue_time, queue, (r.queue_time for r in runs)),
    ):
        targets = list(quantiles.targets())
        trend = _going(values) if targets else Trend.UNKNOWN
        for quantile, _, target in targets:
            note = label if (name, quantile) == ("duration", "p50") else ""
            yield _at_most(f"{name} {quantile}{note}", target, getattr(summary, quantile), text.duration, trend)


def _failures(
    objectives: Objectives, runs: Sequence[RunRecord], steps_failures: Mapping[str, FailureSummary]
) -> Iterator[ObjectiveAssessment]:
    """Success rate of the runs, and failure rate of the step that fails most."""
    known = [r for r in runs if r.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)]
    good = [r.outcome is Outcome.SUCCEEDED for r in known]
    unseen = sum([r.unseen for r in runs])
    share = success_rate(sum(good), len(good) - sum(good), unseen)
    yield _at_least("success", objectives.min_success, share, _percent, Trend.UNKNOWN if share is None else _rate(good))
    target = objectives.max_step_failure
    rates = {s: f.error_rate for s, f in steps_failures.items() if f.error_rate is not None}
    missed = {s for s in rates if steps_failures[s].exceeds(target)}
    worst = max(rates, key=lambda s: (s in missed, rates[s], s), default=None)
    ended = [e for r in known for e in r.steps if e.step == worst and e.outcome in _ENDED]
    name = f"step failure ({worst})" if worst and rates[worst] else "step failure"  # no step is the worst of none
    trend = _rate([e.outcome is not Outcome.FAILED for e in ended])
    found = _at_most(name, target, rates[worst] if worst else None, _percent, trend)
    if worst is not None and worst not in missed and found.verdict is ObjectiveResult.MISSED:
        figure = f"{found.actual} of {text.count(steps_failures[worst].known, 'attempt')}, too few to tell"
        found = replace(found, actual=figure, verdict=ObjectiveResult.UNKNOWN, margin=None)
    yield found


def _rates(
    objectives: Objectives, runs: Sequence[RunRecord], cost: CostSummary, costs: Costs
) -> Iterator[ObjectiveAssessment]:
    """Cost per run, and runs per hour."""
    if objectives.max_cost_per_run is not None:
        actual = cost.per_run.total if cost.per_run else None
        trend = _going(c.total if (c := costs.run(r)) is not None else None for r in runs)
        name, most, currency = "cost per run", objectives.max_cost_per_run, costs.pricing.currency
        yield _at_most(name, most, actual, lambda v: f"{text.number(v, 4)} {currency}", trend)
    if objectives.min_throughput_per_hour is not None:
        monthly = cost.runs_per_month
        actual = monthly / 720.0 if monthly is not None else None
        starts = sorted(r.start for r in runs if r.start is not None)
        trend = _going(b - a for a, b in pairwise(starts))  # shorter intervals mean higher throughput
        yield _at_least("throughput per hour", objectives.min_throughput_per_hour, actual, text.number, trend)


def _cache_hits(objectives: Objectives, runs: Sequence[RunRecord]) -> Iterator[ObjectiveAssessment]:
    hits = [e.cache_hit for r in runs for e in r.steps if e.cache_hit is not None]
    if hits:  # without a cache there is nothing to assess
        yield _at_least("cache hits", objectives.min_cache_hit, sum(hits) / len(hits), _percent, _rate(hits))


def _by_role(
    objectives: Objectives, runs: Sequence[RunRecord], names: Mapping[MetricRole | None, str]
) -> Iterator[ObjectiveAssessment]:
    """Cache hit and error rates measured by extra metrics; metrics without values are skipped."""
    if (hits := names.get(MetricRole.CACHE_HITS)) is not None:
        shares = [r.extra[hits] / 100.0 for r in runs if hits in r.extra]
        if shares:
            trend = _going(shares, smaller_is_better=False)
            mean = sum(shares) / len(shares)
            yield _at_least(f"cache hits ({hits})", objectives.min_cache_hit, mean, _percent, trend)
    errors, items = names.get(MetricRole.ERRORS), names.get(MetricRole.ITEMS)
    if errors is not None and items is not None:
        pairs = [(r.extra[errors], r.extra[items]) for r in runs if errors in r.extra and r.extra.get(items)]
        if pairs:
            rate = sum(e for e, _ in pairs) / sum(n for _, n in pairs)
            trend = _going(e / n for e, n in pairs)
            yield _at_most(f"{errors} per item", objectives.max_step_failure, rate, _percent, trend)


def _utilization(
    objectives: Objectives, runs: Sequence[RunRecord], containers: Sequence[ContainerUsage]
) -> Iterator[ObjectiveAssessment]:
    for name, target, resource in (
        ("CPU utilization", objectives.target_cpu_utilization, "cpu"),
        ("memory utilization", objectives.target_memory_utilization, "memory"),
    ):
        if target is not None:
            trend = _going((_used_share(r, resource) for r in runs), smaller_is_better=False)
            yield _at_least(name, target, weighted_utilization(containers, resource), _percent, trend)


def _budgets(objectives: Objectives, runs: Sequence[RunRecord]) -> Iterator[ObjectiveAssessment]:
    for metric, most in objectives.budgets.items():
        amounts = [r.extra[metric] for r in runs if metric in r.extra]
        name, largest = f"{budget_of(metric)} per run", max(amounts, default=None)
        yield _at_most(name, most, largest, lambda v: text.number(v, 6), _going(amounts))


def _used_share(run: RunRecord, resource: str) -> float | None:
    """CPU used, or memory peak, as a share of what the pods of the run requested, weighted by duration; None where either
    is unknown."""
    rows: list[tuple[float, float]] = []
    for e in run.steps:
        for c in e.containers:
            of_cpu = resource == "cpu"
            used, request = (c.cpu_seconds, c.cpu_request) if of_cpu else (c.memory_peak, c.memory_request)
            if not c.init and used is not None and request and e.duration:
                rows.append((used if of_cpu else used * e.duration, request * e.duration))
    reserved = sum(r for _, r in rows)
    return sum(used for used, _ in rows) / reserved if reserved else None


def _percent(share: float) -> str:
    return text.percent(share, 1)
