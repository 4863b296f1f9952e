"""Objectives with a verdict and a margin each.

Missing data gives the verdict Unknown, never Met: an objective nobody could check is not reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from concertmaster.core import text
from concertmaster.core.cost import CostSummary, runs_per_month
from concertmaster.core.failures import FailureSummary
from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.options import Objectives
from concertmaster.core.stats.summary import Summary


class Verdict(StrEnum):
    """Whether an objective is reached."""

    MET = "Met"
    MISSED = "Missed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class ObjectiveVerdict:
    """One objective. ``margin`` is the relative distance to the target: positive when better than asked."""

    name: str
    target: str
    actual: str
    verdict: Verdict
    margin: float | None


def _at_most(name: str, target: float, actual: float | None, show: object) -> ObjectiveVerdict:
    return _verdict(name, target, actual, show, smaller_is_better=True)


def _at_least(name: str, target: float, actual: float | None, show: object) -> ObjectiveVerdict:
    return _verdict(name, target, actual, show, smaller_is_better=False)


def _verdict(
    name: str, target: float, actual: float | None, show: object, *, smaller_is_better: bool
) -> ObjectiveVerdict:
    assert callable(show)
    if actual is None:
        return ObjectiveVerdict(name, str(show(target)), "unknown", Verdict.UNKNOWN, None)
    distance = target - actual if smaller_is_better else actual - target
    return ObjectiveVerdict(
        name,
        str(show(target)),
        str(show(actual)),
        Verdict.MET if distance >= 0 else Verdict.MISSED,
        distance / target if target else None,
    )


def evaluate_objectives(
    wanted: Objectives,
    runs: Sequence[RunRecord],
    *,
    steps_failures: Mapping[str, FailureSummary],
    makespan: Summary,
    queue: Summary,
    cost: CostSummary,
    utilization: tuple[float | None, float | None],
) -> tuple[ObjectiveVerdict, ...]:
    """A verdict for every objective that was set, in a fixed order."""
    found: list[ObjectiveVerdict] = []
    for name, target, actual in (
        ("duration p50", wanted.duration_p50, makespan.p50),
        ("duration p95", wanted.duration_p95, makespan.p95),
        ("duration p99", wanted.duration_p99, makespan.p99),
        ("queue time p95", wanted.queue_p95, queue.p95),
    ):
        if target is not None:
            found.append(_at_most(name, target, actual, text.duration))
    known = [r for r in runs if r.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)]
    if wanted.min_success is not None:
        share = sum(r.outcome is Outcome.SUCCEEDED for r in known) / len(known) if known else None
        found.append(_at_least("success", wanted.min_success, share, _percent))
    if wanted.max_step_failure is not None:
        rates = {s: f.error_rate for s, f in steps_failures.items() if f.error_rate is not None}
        worst = max(rates, key=lambda s: (rates[s], s), default=None)
        found.append(
            _at_most(
                f"step failure ({worst})" if worst else "step failure",
                wanted.max_step_failure,
                rates[worst] if worst else None,
                _percent,
            )
        )
    if wanted.max_cost_per_run is not None:
        actual = cost.per_run.total if cost.per_run else None
        found.append(_at_most("cost per run", wanted.max_cost_per_run, actual, lambda v: f"{v:.4g}"))
    if wanted.min_throughput_per_hour is not None:
        monthly = runs_per_month(runs)
        actual = monthly / 720.0 if monthly is not None else None
        found.append(_at_least("throughput per hour", wanted.min_throughput_per_hour, actual, lambda v: f"{v:.3g}"))
    hits = [e.cache_hit for r in runs for e in r.steps if e.cache_hit is not None]
    if wanted.min_cache_hit is not None and hits:  # a workflow without a cache has nothing to hit
        found.append(_at_least("cache hits", wanted.min_cache_hit, sum(hits) / len(hits), _percent))
    for name, target, actual in (
        ("CPU utilization", wanted.target_cpu_utilization, utilization[0]),
        ("memory utilization", wanted.target_memory_utilization, utilization[1]),
    ):
        if target is not None:
            found.append(_at_least(name, target, actual, _percent))
    for budget in wanted.budgets:
        amounts = [r.extra[budget.metric] for r in runs if budget.metric in r.extra]
        worst_amount = max(amounts) if amounts else None
        found.append(_at_most(f"{budget.metric} per run", budget.max_per_run, worst_amount, lambda v: f"{v:.6g}"))
    return tuple(found)


def _percent(share: float) -> str:
    return text.percent(share, 1)
