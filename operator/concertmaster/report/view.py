"""One JSON-able view of an analysis, from which every printed form is made.

Machine fields carry numbers with the unit in their name; the printed forms add words. Unknown is ``null``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from concertmaster.core.analysis.cost.runs import AMOUNTS
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.changepoint import Detection
from concertmaster.core.known import median
from concertmaster.core.model import Edit, Interval, Recommendation
from concertmaster.core.stats.summary import Summary, summarize
from concertmaster.core.times import iso

View = dict[str, Any]


@lru_cache(maxsize=1 << 12, typed=True)  # whole seconds, requests and limits come again and again
def number(value: float | None, digits: int = 6) -> float | None:
    """A finite number rounded to ``digits`` significant digits, else None (JSON has no NaN)."""
    if value is None or not math.isfinite(value):
        return None
    if value == 0:
        return 0.0
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def summary_view(summary: Summary, *left_out: str) -> View:
    """A summary's figures, without those ``left_out``."""
    names = {"mean": "mean", "min": "minimum", "max": "maximum", "variance": "variance"}
    names |= {name: name for name in ("p50", "p95", "p99", "cv")}
    figures = {key: number(getattr(summary, name)) for key, name in names.items() if key not in left_out}
    return {"count": summary.count, **figures}


def _interval(interval: Interval | None) -> View | None:
    if interval is None:
        return None
    return {"low": number(interval.low), "likely": number(interval.likely), "high": number(interval.high)}


def _trend(trend: Detection) -> View:
    return {
        "changes": [
            {
                "since": iso(p.time),
                "ratio": number(p.ratio, 4),
                "low": number(p.low, 4),
                "high": number(p.high, 4),
                "direction": p.direction.value,
                "confidence": number(p.confidence, 4),
            }
            for p in trend.points
        ],
        "perWeekShare": _interval(trend.trend_per_week),
        "enough": trend.enough,
        "reason": trend.reason,
    }


def _container(container: ContainerUsage) -> View:
    peaks, means = container.known("memory_peak"), container.known("mean_cores")
    return {
        "name": container.name,
        "image": container.image,
        "cpuRequestCores": number(container.cpu_request),
        "cpuLimitCores": number(container.cpu_limit),
        "cpuMeanCores": number(sum(means) / len(means)) if means else None,
        "cpuUtilization": number(container.utilization("cpu"), 4),
        "throttledShare": number(median(container.known("throttled_share")), 4),
        "memoryRequestBytes": number(container.memory_request, 12),
        "memoryLimitBytes": number(container.memory_limit, 12),
        "memoryPeakBytes": number(max(peaks), 12) if peaks else None,
        "memoryUtilization": number(container.utilization("memory"), 4),
        "cpuSpread": _spread(means),
        "memorySpread": _spread(peaks),
        **_extended(container),
        "oomKilledRuns": sum(container.columns["oom_killed"]),
        "executions": container.executions,
        "coverage": number(container.coverage, 4),
        "ambiguous": container.ambiguous,
    }


def _extended(container: ContainerUsage) -> View:
    """GPUs and ephemeral storage, where the container holds any."""
    view: View = {}
    if container.gpu_request:
        used = container.known("gpus_used")
        view |= {
            "gpuResource": container.gpu_resource,
            "gpuRequest": number(container.gpu_request),
            "gpuMeanUsed": number(sum(used) / len(used)) if used else None,
            "gpuUtilization": number(container.utilization("gpu"), 4),
        }
    if container.storage_request or container.storage_limit:
        peaks = container.known("storage_peak")
        view |= {
            "storageRequestBytes": number(container.storage_request, 12),
            "storageLimitBytes": number(container.storage_limit, 12),
            "storagePeakBytes": number(max(peaks), 12) if peaks else None,
        }
    return view


def _spread(values: Sequence[float]) -> list[float | None] | None:
    """Least, quartiles and largest of the runs' values; None without any."""
    if not values:
        return None
    ordered = sorted(values)
    last = len(ordered) - 1
    return [number(ordered[round(share * last)], 6) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]


def _input(step: StepAnalysis, unit: str) -> View | None:
    """Sizes of what the step worked on, one per run; None where they are not known."""
    sizes = max((c.known("input_size") for c in step.containers), key=len, default=())
    if not sizes:
        return None
    seen = summarize(sizes)
    return {"unit": unit, "runs": seen.count, "p50": number(seen.p50, 12), "max": number(seen.maximum, 12)}


def _step(step: StepAnalysis, unit: str, cost: float | None) -> View:
    return {
        "name": step.step,
        "dependsOn": list(step.spec.depends_on) if step.spec else [],
        "executions": step.executions,
        "runs": step.runs,
        "durationSeconds": summary_view(step.duration),
        "waitingSeconds": summary_view(step.waiting),
        "startingSeconds": summary_view(step.starting),
        "failedExecutions": step.failures.failed,
        "errorRate": number(step.failures.error_rate, 4),
        "failureClasses": {kind.value: count for kind, count in step.failures.by_class},
        "criticalShare": number(step.path.share, 4) if step.path else None,
        "dragSeconds": number(step.path.drag) if step.path else None,
        "marks": {
            "slowOutlier": step.marks.slow_outlier,
            "inconsistent": step.marks.inconsistent,
            "overAllocated": step.marks.over_allocated,
            "underAllocated": step.marks.under_allocated,
            "overAllocatedResources": list(step.marks.over),
            "underAllocatedResources": list(step.marks.under),
        },
        "trend": _trend(step.trend),
        "network": {
            "executions": step.network.executions,
            "receivedBytes": number(step.network.received, 12),
            "sentBytes": number(step.network.sent, 12),
            "bytesPerSecond": number(step.network.rate),
        }
        if step.network is not None
        else None,
        "input": _input(step, unit),
        "costPerRun": number(cost),
        "containers": [_container(c) for c in step.containers],
    }


def recommendation_view(item: Recommendation) -> View:
    """Everything known of one recommendation."""
    return {
        "id": item.id,
        "rule": item.rule,
        "step": item.step,
        "action": item.action,
        "because": item.because,
        "expected": item.expected,
        "otherwise": item.otherwise,
        "how": item.how,
        "category": item.category.value,
        "severity": item.severity.value,
        "risk": item.risk.value,
        "effort": item.effort.value,
        "current": item.current,
        "proposed": item.proposed,
        "confidence": number(item.confidence, 2),
        "gainSeconds": _interval(item.gain_seconds),
        "gainShare": _interval(item.gain_share),
        "savingPerMonth": _interval(item.saving_per_month),
        "failuresAvoidedShare": _interval(item.failures_avoided),
        "upperBound": item.upper_bound,
        "impact": {
            "runMinutesPerMonth": _interval(item.impact.run_minutes),
            "failedRunsPerMonth": _interval(item.impact.failed_runs),
            "moneyPerMonth": _interval(item.impact.money),
        },
        "minor": item.minor,
        "items": [str(i) for i in item.items],
        "edits": [_edit(e) for e in item.edits],
        "evidence": list(item.evidence),
        "automatic": item.automatic,
        "kustomize": item.kustomize,
        **({"snippet": item.snippet} if item.snippet else {}),
    }


def _edit(edit: Edit) -> View:
    held: View = {"holder": edit.holder} if edit.holder is not None else {}
    held |= {"sure": True} if edit.sure else {}
    return {"pointer": edit.pointer, "current": edit.current, "proposed": edit.proposed, **held}


def workflow_view(
    analysis: Analysis, recommendations: Sequence[Recommendation], minor: Sequence[Recommendation]
) -> View:
    """The whole analysis of one workflow. ``minor``: recommendations too small to be published."""
    cost = analysis.cost
    costs = analysis.cost_by_step
    key = analysis.definition.key
    return {
        "workflow": {"kind": key.kind, "namespace": key.namespace, "name": key.name},
        "engine": analysis.definition.engine.name,
        "graphInferred": analysis.definition.graph.inferred,
        "problems": list(analysis.problems),
        "analysedAt": iso(analysis.now),
        "windowSeconds": number(analysis.covered_seconds, 12),
        "firstRun": iso(analysis.first_run),
        "lastRun": iso(analysis.last_run),
        "runs": {
            "total": len(analysis.runs),
            "succeeded": analysis.succeeded,
            "failed": analysis.failed,
            "unknown": analysis.unknown,
            "limitedTo": analysis.options.max_runs if len(analysis.runs) >= analysis.options.max_runs else None,
            "needed": analysis.options.min_runs,
        },
        "successRate": number(analysis.success_rate, 4),
        "makespanSeconds": summary_view(analysis.makespan),
        "queueSeconds": summary_view(analysis.queue),
        "trend": _trend(analysis.trend),
        "cost": {
            "currency": analysis.pricing.currency,
            "perRun": {name: number(getattr(cost.per_run, name)) for name in AMOUNTS} if cost.per_run else None,
            "perMonth": number(cost.per_month),
            "runsPerMonth": number(cost.runs_per_month),
        },
        "objectives": [
            {
                "name": o.name,
                "target": o.target,
                "bound": o.bound,
                "actual": o.actual,
                "verdict": o.verdict.value,
                "margin": number(o.margin, 4),
                "trend": o.trend.value,
            }
            for o in analysis.objectives
        ],
        "score": analysis.score.total,
        "scoreParts": [
            {"name": p.name, "weight": p.weight, "value": number(p.value, 3), "why": p.why, "deducted": p.deducted}
            for p in analysis.score.parts
            if p.shown
        ],
        "steps": [_step(s, analysis.policy.input_unit(s.step), costs.get(s.step)) for s in analysis.steps],
        "recommendations": [recommendation_view(r) for r in recommendations],
        "minor": [recommendation_view(r) for r in minor],
    }
