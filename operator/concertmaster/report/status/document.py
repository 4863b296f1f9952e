"""The status document of a WorkflowProfile: what ``kubectl describe`` shows.

Everything is rounded here, before it is compared and written, so that a status changes only when its meaning does. The
document stays below 16 KiB (``size``): texts are clipped, and the least important recommendations give way to a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.core import text
from concertmaster.core.analysis.failures import FailureClass
from concertmaster.core.analysis.objectives import ObjectiveAssessment
from concertmaster.core.analysis.score import ScorePart
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.fleet.combined_gain import combined_gain
from concertmaster.core.fleet.materiality import value
from concertmaster.core.lifecycle import commands
from concertmaster.core.lifecycle.history import RecommendationHistory, TrackedRecommendation
from concertmaster.core.model import Recommendation
from concertmaster.core.model.enums import RecommendationState, RuleName
from concertmaster.core.model.recommendations import rule_of
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.core.schedules.starts import next_run
from concertmaster.core.times import iso
from concertmaster.report import impact as impacts
from concertmaster.report.overview import graph_line, overview
from concertmaster.report.status import caches, insights
from concertmaster.report.status import recommendation_log as remembered
from concertmaster.report.status.recommendation_log import clip
from concertmaster.report.status.size import STEPS, bounded

MAX_RECOMMENDATIONS = 5
OBJECTIVES = 12
ITEMS = 20

_FAILED = {
    FailureClass.OOM: "out of memory",
    FailureClass.EVICTION: "evicted",
    FailureClass.DEADLINE: "deadline exceeded",
    FailureClass.IMAGE_PULL: "image not pulled",
    FailureClass.APPLICATION: "application error",
    FailureClass.UNKNOWN: "reason unknown",
}
_ROUNDING = 0.2  # s^2, of durations between two times that are known to the second

Document = dict[str, Any]


def words(item: Recommendation, currency: str) -> Document:
    """The status entry of one recommendation, without its state. Evidence and the consequence of doing nothing are served
    by the operator (``explain``)."""
    return {
        "action": clip(item.action, 160),
        "because": clip(item.because, 400),
        "category": item.category.value,
        "confidence": f"{100 * item.confidence:.0f}",
        "current": clip(item.current, 160),
        "effort": item.effort.value,
        "expected": clip(item.expected, 400),
        "how": item.how if len(item.how) <= 1000 else clip(item.how, 1000),
        "impact": impacts.line(item.impact, currency),
        **({"items": [clip(str(i), 160) for i in item.items[:ITEMS]]} if item.items else {}),
        "proposed": clip(item.proposed, 160),
        "risk": item.risk.value,
        "severity": item.severity.value,
    }


def objective_line(assessment: ObjectiveAssessment) -> str:
    """One objective: verdict, figure, target and where the figure is going."""
    return f"{assessment.name}: {assessment.line}"


def _amount(value: float | None) -> str | None:
    if value is None or value < 0:
        return None
    return f"{value:.4f}".rstrip("0").rstrip(".") if value >= 0.01 else text.number(value)


def _percent(share: float | None) -> str | None:
    return None if share is None else text.percent(share, 1).removesuffix("%").removesuffix(".0")


def _summary(analysis: Analysis, active: Sequence[str], worth: float, target: str) -> Document:
    makespan, cost = analysis.makespan, analysis.cost
    figures: Document = {
        "costPerMonth": _amount(cost.per_month),
        "costPerRun": _amount(cost.per_run.total if cost.per_run else None),
        "currency": analysis.pricing.currency,
        "impact": max(1, round(worth)) if worth > 0.0 else None if active else 0,  # 0 would read as worth nothing
        "open": len(active),
        "p50": text.duration(makespan.p50) if makespan.count else None,
        "p95": text.duration(makespan.p95) if makespan.count else None,
        "p99": text.duration(makespan.p99) if makespan.count else None,
        "queueing": text.duration(analysis.queue.mean) if analysis.queue.mean is not None else None,
        "runsPerMonth": _amount(cost.runs_per_month),
        "successPercent": _percent(analysis.success_rate),
        "target": target,
        "top": clip(active[0], 60) if active else None,
    }
    return {k: v for k, v in figures.items() if v is not None}


def step_line(step: StepAnalysis) -> str:
    """One step in one line, what matters most first, as narrow screens cut its end: how often, how it fails, how long,
    what it costs the run, its marks, and how much it varies."""
    duration, failures, said = step.duration, step.failures, text.duration
    parts = [text.count(step.executions, "execution")]
    if failures.failed:
        several = len(failures.by_class) > 1
        classes = ", ".join(f"{count if several else ''} {_FAILED[kind]}".strip() for kind, count in failures.by_class)
        parts.append(f"{failures.failed} failed ({classes})")
    if duration.count:
        parts.append(f"p50 {said(duration.p50)}, p95 {said(duration.p95)}, p99 {said(duration.p99)}")
    if step.path is not None:
        parts.append(f"critical-path time {said(step.path.drag)}, critical in {text.percent(step.path.share)} of runs")
    marks = [
        name
        for name, mark in (
            ("slowOutlier", step.marks.slow_outlier),
            ("inconsistent", step.marks.inconsistent),
            (f"overAllocated ({', '.join(step.marks.over)})", step.marks.over_allocated),
            (f"underAllocated ({', '.join(step.marks.under)})", step.marks.under_allocated),
        )
        if mark
    ]
    if marks:
        parts.append(", ".join(marks))
    if duration.count:
        parts.append(f"mean {said(duration.mean)}, min {said(duration.minimum)}, max {said(duration.maximum)}")
    if duration.cv is not None and duration.variance is not None:
        least = f"below {_ROUNDING:g}" if duration.variance < _ROUNDING else text.number(duration.variance)
        parts.append(f"variance {least} s^2 (CV {duration.cv:.2f})")
    return clip(f"{step.step}: {'; '.join(parts)}", 400)


def _step_lines(analysis: Analysis) -> list[str]:
    """The twenty steps with the largest drag, in the order of the graph; names of the graph's others are left out."""
    seen = [s for s in analysis.steps if s.executions]
    heavy = sorted(seen, key=lambda s: -(s.path.drag if s.path is not None else 0.0))[:STEPS]
    return [step_line(s) for s in seen if s in heavy]


def _runs(analysis: Analysis, next_expected: float | None) -> Document:
    figures: Document = {
        "failed": analysis.failed,
        "firstStart": iso(analysis.first_run),
        "lastEnd": iso(analysis.last_run),
        "limitedTo": analysis.options.max_runs if len(analysis.runs) >= analysis.options.max_runs else None,
        "nextExpected": iso(next_expected),
        "observed": len(analysis.runs),
        "succeeded": analysis.succeeded,
        "unknown": analysis.unknown,
    }
    return {k: v for k, v in figures.items() if v is not None}


def document(
    result: AnalysisResult,
    memory: RecommendationHistory,
    *,
    policy: str | None = None,
    data_until: float | None = None,
    records: Mapping[str, str] | None = None,
) -> Document:
    """The status without conditions and observedGeneration, which belong to the caller.

    ``memory`` has the state of each recommendation of the ``result``, and earlier ones; ``records`` what is known of each
    rule's predictions. Minor recommendations are only counted.

    The first five that are Active are shown in full. Where they leave room, what was implemented lately, dismissed or
    became obsolete follows; the rest is remembered in short.
    """
    analysis, minor = result.analysis, result.minor
    key = analysis.definition.key
    next_expected = next_run(analysis.definition, analysis.now)
    ranked = sorted(memory.tracked, key=lambda s: _ORDER.index(s.state))
    active = [s for s in ranked if s.state is RecommendationState.ACTIVE]
    full = [s for s in ranked if "how" in s.words][:MAX_RECOMMENDATIONS]  # the others were kept in short form
    current = {r.id: r for r in result.recommendations}
    open_ = [current[s.id] for s in active if s.id in current]
    status: Document = {
        "advice": overview(analysis, open_, minor, result.profile, next_expected),
        "caches": caches.entries(result.insights.caches),
        "dataUntil": iso(data_until),
        "graph": clip(graph_line(analysis.definition.graph) or "", 400) or None,
        "insights": [clip(line, 400) for line in insights.lines(result)[:10]],
        "minor": len(minor),
        "moreRecommendations": sum(s not in full for s in active),
        "objectives": [clip(objective_line(o), 160) for o in analysis.objectives[:OBJECTIVES]],
        "policy": policy,
        "recommendations": [_in_full(s, result, records or {}) for s in full],
        "remaining": remembered.remaining([s for s in ranked if s not in full]),
        "results": [remembered.outcome(o) for o in memory.outcomes],
        "runs": _runs(analysis, next_expected),
        "score": analysis.score.total,
        "scoreParts": _score_parts(result),
        "steps": _step_lines(analysis),
        "summary": _summary(
            analysis,
            [str(s.words.get("action", s.id)) for s in active],
            value(combined_gain((r.id, r.impact) for r in open_), analysis.pricing),
            f"{key.kind}/{key.name}",
        ),
    }
    empty = [k for k in ("caches", "remaining", "results") if not status[k]]
    return bounded({k: v for k, v in status.items() if v is not None and k not in empty})


_ORDER = (
    RecommendationState.ACTIVE,
    RecommendationState.IMPLEMENTED,
    RecommendationState.DISMISSED,
    RecommendationState.OBSOLETE,
)


def _in_full(tracked: TrackedRecommendation, result: AnalysisResult, records: Mapping[str, str]) -> Document:
    entry = remembered.entry_of(tracked, records.get(rule_of(tracked.id)))
    if tracked.state is not RecommendationState.ACTIVE:  # its command was for another state of things
        entry["how"] = commands.explain(result.profile, result.analysis.definition.key.namespace, tracked.id)
    return entry


def _score_parts(result: AnalysisResult) -> list[str]:
    parts = [_score_part(p) for p in result.analysis.score.parts if p.shown]
    parts += [
        f"best practices: {item.current}; missing: {item.proposed.removeprefix('set ')}"
        for item in result.minor
        if item.rule == RuleName.BEST_PRACTICES
    ]
    return [clip(part, 160) for part in parts]


def _score_part(part: ScorePart) -> str:
    if part.value is None:
        return f"{part.name}: unknown, {part.why}"
    if part.deducted:
        return f"{part.name}: -{round(part.weight * (1 - part.value))}, {part.why}"
    return f"{part.name}: {round(part.weight * part.value)} of {part.weight}, {part.why}"
