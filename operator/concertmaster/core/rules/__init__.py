"""The catalogue of rules and how their advice is ranked."""

from __future__ import annotations

from collections.abc import Callable

from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.changes.ledger import corrected
from concertmaster.core.fleet.workflows import Fleet, FleetMember, member
from concertmaster.core.model import Category, Level, Recommendation, Severity
from concertmaster.core.rules.base import DataGaps, Evidence, Rule
from concertmaster.core.rules.conflicts import resolve
from concertmaster.core.rules.hygiene import best_practices, data_quality
from concertmaster.core.rules.performance import (
    batch_small_steps,
    bottleneck,
    cache_step,
    io_bound,
    node_skew,
    overlap_stages,
    parallel_steps,
    split_long_step,
    straggler,
    variance,
)
from concertmaster.core.rules.reliability import degradation, failing_step, objective_at_risk, retry_policy, timeout
from concertmaster.core.rules.resources import budget, cpu_request, memory_request, missing_requests, sidecar_overhead
from concertmaster.core.rules.rows import Rows
from concertmaster.core.rules.scheduling import demand_forecast, parallelism, queue_time, schedule_clash

__all__ = ["RULES", "DataGaps", "Evidence", "Fleet", "FleetMember", "Rule", "member", "rank", "recommend"]

RULES: tuple[Rule, ...] = (
    failing_step.RULE,
    bottleneck.RULE,
    memory_request.RULE,
    cpu_request.RULE,
    parallelism.RULE,
    retry_policy.RULE,
    degradation.RULE,
    missing_requests.RULE,
    data_quality.RULE,
    parallel_steps.RULE,
    straggler.RULE,
    timeout.RULE,
    variance.RULE,
    queue_time.RULE,
    batch_small_steps.RULE,
    cache_step.RULE,
    objective_at_risk.RULE,
    budget.RULE,
    io_bound.RULE,
    node_skew.RULE,
    sidecar_overhead.RULE,
    split_long_step.RULE,
    overlap_stages.RULE,
    schedule_clash.RULE,
    demand_forecast.RULE,
    best_practices.RULE,
)

_SEVERITY = {
    Severity.CRITICAL: 1.0,
    Severity.HIGH: 0.5,
    Severity.MEDIUM: 0.15,
    Severity.LOW: 0.05,
    Severity.INFO: 0.0,
}

# Work that may not get done is worth less than a line that can be pasted.
_EFFORT = {Level.LOW: 1.0, Level.MEDIUM: 0.8, Level.HIGH: 0.4}


def _weight(item: Recommendation, monthly_cost: float | None, factor: float) -> float:
    """Expected gain x confidence, less for more work. Time and money both count as shares of the whole, so that they
    can be compared; severity stands in where neither can be predicted (a killed run has no gain in seconds). A promise
    counts as much as the rule's earlier ones proved worth (``factor``)."""
    item = corrected(item, factor)
    share = item.gain_share.likely if item.gain_share is not None else 0.0
    if item.saving_per_month is not None and monthly_cost:
        share = max(share, item.saving_per_month.likely / monthly_cost)
    return max(share, _SEVERITY[item.severity]) * item.confidence * _EFFORT[item.effort]


def rank(
    items: list[Recommendation],
    monthly_cost: float | None,
    *,
    failing: bool = False,
    trust: Callable[[str], float] = lambda _: 1.0,
) -> list[Recommendation]:
    """What is severe first, then the largest expected gain x confidence; ties by the rule's order, then by id, so that
    the order never flickers. While runs are ``failing``, advice that only saves money stands last: nobody should tune
    the cost of a workflow that does not work. ``trust`` is the ledger's factor for a rule's promises here."""
    order = {rule.name: rule.tie_break for rule in RULES}

    def key(item: Recommendation) -> tuple[int, float, int, str]:
        group = 0 if item.severity in (Severity.CRITICAL, Severity.HIGH) else 1
        if failing and item.category is Category.COST:
            group = 2
        return group, -round(_weight(item, monthly_cost, trust(item.rule)), 3), -order.get(item.rule, 0), item.id

    return sorted(items, key=key)


def _failing(analysis: Analysis) -> bool:
    rate = analysis.success_rate
    return rate is not None and rate < analysis.policy.objectives.min_success


def recommend(
    analysis: Analysis,
    profile: str,
    *,
    gaps: DataGaps | None = None,
    fleet: Fleet | None = None,
    trust: Callable[[str], float] = lambda _: 1.0,
) -> list[Recommendation]:
    """All recommendations for one workflow, ranked and free of contradictions. Rules that compare
    workflows stay silent without a ``fleet``. ``trust``: see ``rank``."""
    recommendations: list[Recommendation] = []
    rows = Rows(analysis)
    for rule in RULES:
        own = analysis.policy.rule(rule.name)
        if own.enabled:
            recommendations.extend(rule.recommend(Evidence(analysis, profile, own, gaps or DataGaps(), fleet, rows)))
    return resolve(rank(recommendations, analysis.cost.per_month, failing=_failing(analysis), trust=trust))
