"""The analysis of one workflow as samples of time series, for a metrics source and its alerts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.fleet.combined_gain import combined_gain
from concertmaster.core.known import median, total
from concertmaster.core.lifecycle.history import RecommendationHistory
from concertmaster.core.model import Outcome, Recommendation, Severity, WorkflowKey
from concertmaster.core.model.enums import RecommendationState
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.core.stats.summary import Summary
from concertmaster.core.units import HOUR

PREFIX = "concertmaster_workflow_"
_QUANTILES = (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))

FAMILIES = {
    "duration_seconds": "Run time of succeeded runs in the window, by quantile.",
    "queue_seconds": "Longest wait of a run's pods for a node, by quantile.",
    "success_ratio": "Share of runs that succeeded among those with a known outcome.",
    "consecutive_failures": "Failed runs since the last one that succeeded.",
    "runs_per_month": "Runs in 30 days at the present rate.",
    "last_run_timestamp_seconds": "When the newest finished run ended.",
    "score": "Score, 0 to 100.",
    "cost": "Cost of 30 days at the present rate of runs, in currency units.",
    "waste": "Part of the cost of 30 days that is reserved or spent without use.",
    "waiting_hours": "Scheduling latency in hours over 30 days.",
    "saving": "Money that the open recommendations would save in 30 days, in currency units.",
    "saving_hours": "Run time that the open recommendations would save in 30 days, in hours.",
    "objective_met": "1 while an objective is met, 0 while it is missed; absent without data.",
    "open_recommendations": "Open recommendations, by severity.",
    "degradation_ratio": "Run time after the last change point over the one before, if it grew; else 1.",
    "change_timestamp_seconds": "When the run time last changed for good.",
    "step_seconds": "Duration of a step, by quantile.",
    "step_critical_share": "Share of the run time that a step adds to the critical path.",
    "step_cpu_used_cores": "CPU a step's containers use, median over runs.",
    "step_cpu_requested_cores": "CPU a step's containers request.",
    "step_memory_used_bytes": "Memory peak of a step's containers, median over runs.",
    "step_memory_requested_bytes": "Memory a step's containers request.",
}
RUN_LATE = ("run_late", "Runs in progress that are late or expected to end after their deadline.")
LABELS = {
    "duration_seconds": ("quantile",),
    "queue_seconds": ("quantile",),
    "cost": ("currency",),
    "waste": ("currency",),
    "saving": ("currency",),
    "objective_met": ("objective",),
    "open_recommendations": ("severity",),
    "step_seconds": ("step", "quantile"),
    "step_critical_share": ("step",),
    "step_cpu_used_cores": ("step",),
    "step_cpu_requested_cores": ("step",),
    "step_memory_used_bytes": ("step",),
    "step_memory_requested_bytes": ("step",),
}
COMMON_LABELS = ("namespace", "kind", "workflow")


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: the family's name without prefix, the values of ``LABELS`` in their order, and the value."""

    family: str
    value: float
    labels: tuple[str, ...] = ()


def samples(result: AnalysisResult, memory: RecommendationHistory) -> tuple[Sample, ...]:
    """Everything of one workflow that is known; what is not known has no sample."""
    analysis = result.analysis
    waiting = memory_of(memory)
    open_items = [r for r in result.recommendations if r.id in waiting]
    steps = sorted(analysis.steps, key=lambda s: -(s.path.seconds if s.path is not None else 0.0))
    made = [
        *_runs(analysis),
        *_money(analysis, open_items),
        *_state(analysis, open_items),
        *(s for step in steps[: analysis.policy.metrics.steps] for s in _step(step, analysis)),
    ]
    return tuple(s for s in made if math.isfinite(s.value))


def memory_of(memory: RecommendationHistory) -> frozenset[str]:
    """Ids of the recommendations that are open."""
    return frozenset(s.id for s in memory.tracked if s.state is RecommendationState.ACTIVE)


def _runs(analysis: Analysis) -> Iterator[Sample]:
    yield from _quantiles("duration_seconds", analysis.makespan)
    yield from _quantiles("queue_seconds", analysis.queue)
    yield from _known("success_ratio", analysis.success_rate)
    yield from _known("last_run_timestamp_seconds", analysis.last_run)
    yield from _known("runs_per_month", analysis.cost.runs_per_month)
    if analysis.runs:
        yield Sample("consecutive_failures", _failures(analysis))
    rate = analysis.cost.runs_per_month
    if analysis.queue.mean is not None and rate is not None:
        yield Sample("waiting_hours", analysis.queue.mean * rate / HOUR)


def _failures(analysis: Analysis) -> float:
    failed = 0
    for run in reversed(analysis.runs):
        if run.outcome is Outcome.SUCCEEDED:
            break
        failed += run.outcome is Outcome.FAILED
    return float(failed)


def _money(analysis: Analysis, items: Sequence[Recommendation]) -> Iterator[Sample]:
    currency = (analysis.pricing.currency,)
    yield from _known("cost", analysis.cost.per_month, currency)
    rate, per_run = analysis.cost.runs_per_month, analysis.cost.per_run
    if per_run is not None and rate is not None:
        yield Sample("waste", per_run.wasted * rate, currency)
    worth = combined_gain((r.id, r.impact) for r in items)
    yield Sample("saving", worth.money.likely if worth.money is not None else 0.0, currency)
    yield Sample("saving_hours", worth.run_minutes.likely / 60.0 if worth.run_minutes is not None else 0.0)


def _state(analysis: Analysis, items: Sequence[Recommendation]) -> Iterator[Sample]:
    yield from _known("score", analysis.score.total)
    for o in analysis.objectives:
        if o.verdict is not ObjectiveResult.UNKNOWN:
            # Without what stands in brackets, such as the step that fails most at present: it would change the series.
            yield Sample("objective_met", float(o.verdict is ObjectiveResult.MET), (o.name.partition(" (")[0],))
    by_severity = Counter(r.severity for r in items)
    for severity in Severity:
        yield Sample("open_recommendations", by_severity[severity], (severity.value,))
    points = analysis.trend.points
    last = points[-1] if points else None
    grown = last is not None and math.isfinite(last.ratio) and last.ratio > 1.0
    yield Sample("degradation_ratio", last.ratio if last is not None and grown else 1.0)
    if last is not None:
        yield Sample("change_timestamp_seconds", last.time)


def _step(step: StepAnalysis, analysis: Analysis) -> Iterator[Sample]:
    name = (step.step,)
    for quantile, field in _QUANTILES[:2]:
        yield from _known("step_seconds", getattr(step.duration, field), (step.step, quantile))
    if step.path is not None and analysis.makespan.mean:
        yield Sample("step_critical_share", min(1.0, step.path.seconds / analysis.makespan.mean), name)
    rows = step.containers
    yield from _known("step_cpu_requested_cores", total(c.cpu_request for c in rows), name)
    yield from _known("step_memory_requested_bytes", total(c.memory_request for c in rows), name)
    yield from _known("step_cpu_used_cores", total(median(c.known("mean_cores")) for c in rows), name)
    yield from _known("step_memory_used_bytes", total(median(c.known("memory_peak")) for c in rows), name)


def _quantiles(family: str, summary: Summary) -> Iterator[Sample]:
    for quantile, field in _QUANTILES:
        yield from _known(family, getattr(summary, field), (quantile,))


def _known(family: str, value: float | None, labels: tuple[str, ...] = ()) -> Iterator[Sample]:
    if value is not None:
        yield Sample(family, float(value), labels)


def head(family: str, about: str) -> str:
    """The two lines before a family's samples."""
    return f"# HELP {PREFIX}{family} {about}\n# TYPE {PREFIX}{family} gauge\n"


def line(key: WorkflowKey, sample: Sample) -> str:
    """One sample in the text format of Prometheus."""
    pairs = zip(COMMON_LABELS, (key.namespace, key.kind, key.name), strict=True)
    own = zip(LABELS.get(sample.family, ()), sample.labels, strict=True)
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in (*pairs, *own))
    return f"{PREFIX}{sample.family}{{{inside}}} {sample.value!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
