"""What runs cost: requested, used and wasted, in the policy's currency.

Like the schedulers of cloud bills, a pod is charged for the larger of request and use over its life. Waste is the part
of the request that was not used, plus everything failed attempts took. Extra metrics with a price are added per run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from concertmaster.core.model import MetricRole, Outcome, RunRecord, StepExecution
from concertmaster.core.model.policy import Policy, Pricing

_GIB = 1024.0**3
_MONTH_SECONDS = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Amounts in currency units. ``unpriced_steps`` could not be priced because nothing is known of their size."""

    requested: float
    used: float
    wasted: float
    units: float
    total: float
    unpriced_steps: int = 0


@dataclass(frozen=True, slots=True)
class CostSummary:
    """Mean per run over the priced runs, and what a month of such runs costs (None without a rate of runs)."""

    runs: int
    per_run: Cost | None
    runs_per_month: float | None
    per_month: float | None


class ExecutionCost(NamedTuple):
    """One execution in currency units; a plain tuple because there are so many of them."""

    requested: float
    used: float
    wasted: float
    total: float


def execution_cost(execution: StepExecution, pricing: Pricing) -> ExecutionCost | None:
    """Cost of one execution, or None when neither its length nor its size is known."""
    seconds = execution.span
    if seconds is None:
        return None
    hours = seconds / 3600.0
    requested = used = charged = 0.0
    known = False
    for container in execution.containers:
        if container.init:
            continue
        if container.cpu_request is not None or container.cpu_seconds is not None:
            known = True
            reserved = (container.cpu_request or 0.0) * hours * pricing.cpu_core_hour
            consumed = (container.cpu_seconds or 0.0) / 3600.0 * pricing.cpu_core_hour
            requested, used, charged = requested + reserved, used + consumed, charged + max(reserved, consumed)
        peak = container.memory_peak
        if container.memory_request is not None or peak is not None:
            known = True
            reserved = (container.memory_request or 0.0) / _GIB * hours * pricing.memory_gib_hour
            consumed = (peak or 0.0) / _GIB * hours * pricing.memory_gib_hour
            requested, used, charged = requested + reserved, used + consumed, charged + max(reserved, consumed)
    if not known:
        return None
    failed = execution.outcome is Outcome.FAILED
    wasted = charged if failed else max(0.0, charged - used)
    return ExecutionCost(requested, used, wasted, charged)


def execution_units(execution: StepExecution, pricing: Pricing) -> float:
    """What the priced extra metrics of one execution cost (tokens, calls ...)."""
    return math.fsum(v * pricing.units[name] for name, v in execution.extra.items() if name in pricing.units)


def run_cost(run: RunRecord, pricing: Pricing) -> Cost | None:
    """Cost of a run: its executions plus priced extra metrics. None when no execution could be priced."""
    priced = [execution_cost(e, pricing) for e in run.steps]
    known = [c for c in priced if c is not None]
    units = sum([amount * pricing.units[name] for name, amount in run.extra.items() if name in pricing.units])
    if not known and not units:
        return None
    return Cost(
        requested=math.fsum([c.requested for c in known]),
        used=math.fsum([c.used for c in known]),
        wasted=math.fsum([c.wasted for c in known]),
        units=units,
        total=math.fsum([c.total for c in known]) + units,
        unpriced_steps=len(priced) - len(known),
    )


def cost_by_step(runs: Sequence[RunRecord], pricing: Pricing) -> dict[str, float]:
    """What all executions of each step cost together; steps that could not be priced are left out."""
    found: dict[str, float] = {}
    for run in runs:
        for execution in run.steps:
            cost, units = execution_cost(execution, pricing), execution_units(execution, pricing)
            if cost is not None or units:
                found[execution.step] = found.get(execution.step, 0.0) + units + (cost.total if cost else 0.0)
    return found


def runs_per_month(runs: Sequence[RunRecord]) -> float | None:
    """Rate of runs per 30 days from the spacing of their starts; None below two dated runs."""
    starts = sorted(r.start for r in runs if r.start is not None)
    if len(starts) < 2 or starts[-1] <= starts[0]:
        return None
    return (len(starts) - 1) / (starts[-1] - starts[0]) * _MONTH_SECONDS


def summarize_cost(runs: Sequence[RunRecord], pricing: Pricing) -> CostSummary:
    """Mean cost per run and the cost of a month at the observed rate."""
    costs = [c for c in (run_cost(r, pricing) for r in runs) if c is not None]
    rate = runs_per_month(runs)
    if not costs:
        return CostSummary(0, None, rate, None)
    n = len(costs)
    mean = Cost(
        requested=math.fsum(c.requested for c in costs) / n,
        used=math.fsum(c.used for c in costs) / n,
        wasted=math.fsum(c.wasted for c in costs) / n,
        units=math.fsum(c.units for c in costs) / n,
        total=math.fsum(c.total for c in costs) / n,
        unpriced_steps=max(c.unpriced_steps for c in costs),
    )
    return CostSummary(n, mean, rate, mean.total * rate if rate is not None else None)


@dataclass(frozen=True, slots=True)
class ItemRate:
    """Pieces of work by an extra metric with role Items: per run and per second of run time, and the cost of one (None:
    nothing is priced); medians."""

    unit: str
    per_run: float
    per_second: float
    cost: float | None
    currency: str


def item_rate(runs: Sequence[RunRecord], policy: Policy) -> ItemRate | None:
    """How fast runs work, and what a piece of work costs; None where no extra metric counts items."""
    metric = policy.metric(MetricRole.ITEMS)
    rows = [(r.extra[metric.name], r) for r in runs if r.extra.get(metric.name) and r.makespan] if metric else []
    if metric is None or not rows:
        return None
    costs = [c.total / n for n, r in rows if (c := run_cost(r, policy.pricing)) is not None]
    return ItemRate(
        metric.unit or metric.name,
        median(n for n, _ in rows),
        median(n / (r.makespan or 1.0) for n, r in rows),
        median(costs) if costs else None,
        policy.pricing.currency,
    )
