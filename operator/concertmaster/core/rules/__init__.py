"""The catalogue of rules, and the ranking of their recommendations."""

from __future__ import annotations

from collections.abc import Callable, Collection

from concertmaster.core import text
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.fast_init import fast_replace
from concertmaster.core.fleet.materiality import assess, value
from concertmaster.core.fleet.members import FleetMember, member
from concertmaster.core.fleet.workflows import Fleet
from concertmaster.core.model import Category, Recommendation, Severity
from concertmaster.core.model.policy import Policy, Pricing
from concertmaster.core.rules.base import Rule
from concertmaster.core.rules.conflicts import resolve
from concertmaster.core.rules.evidence import DataGaps, Evidence
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
from concertmaster.core.rules.resources import (
    budget,
    cpu_request,
    gpu_request,
    memory_request,
    right_size,
    sidecar_overhead,
    volume_size,
)
from concertmaster.core.rules.rows import Rows
from concertmaster.core.rules.scheduling import (
    demand_forecast,
    overlapping_runs,
    parallelism,
    queue_time,
    schedule_clash,
)

__all__ = [
    "RULES",
    "DataGaps",
    "Evidence",
    "Fleet",
    "FleetMember",
    "Rule",
    "member",
    "rank",
    "recommend",
    "settings_problems",
]

RULES: tuple[Rule, ...] = (
    failing_step.RULE,
    bottleneck.RULE,
    memory_request.RULE,
    cpu_request.RULE,
    parallelism.RULE,
    retry_policy.RULE,
    degradation.RULE,
    right_size.RULE,
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
    gpu_request.RULE,
    volume_size.RULE,
    sidecar_overhead.RULE,
    split_long_step.RULE,
    overlap_stages.RULE,
    schedule_clash.RULE,
    overlapping_runs.RULE,
    demand_forecast.RULE,
    best_practices.RULE,
)


def settings_problems(policy: Policy) -> list[str]:
    """Invalid rule entries of ``policy``: unknown rules, unknown settings, and values that are not numbers. The rest of the
    policy stays in force."""
    known: dict[str, tuple[str, ...]] = {rule.name: rule.settings for rule in RULES}
    problems = []
    for name, chosen in policy.rules.items():
        if name not in known:
            hint = text.meant(name, known, f"known rules: {', '.join(sorted(known))}")
            problems.append(f"rule {name} does not exist; {hint}")
            continue
        names = ", ".join(known[name]) or "none"
        problems += [
            f"rule {name} has no setting {setting}; its settings: {names}"
            for setting in chosen.settings
            if setting not in known[name]
        ]
        problems += [f"rule {name}, setting {problem}" for problem in chosen.problems()]
    return problems


def rank(
    items: list[Recommendation],
    pricing: Pricing,
    *,
    failing: bool = False,
    trust: Callable[[str], float] = lambda _: 1.0,
) -> list[Recommendation]:
    """Sorted by value per month (see ``fleet.materiality``), then by confidence times gain, by the rule's ``tie_break`` and
    by id, so that the order is stable. While runs are ``failing``, recommendations that only save money come after the
    others: cost is secondary for a workflow that does not work. ``trust``: the ledger's factor for the predictions of a
    rule, from how its earlier ones were verified."""
    order: dict[str, int] = {rule.name: rule.tie_break for rule in RULES}

    def key(item: Recommendation) -> tuple[int, float, float, int, str]:
        group = 0 if item.severity is Severity.CRITICAL else 3 if item.minor else 1
        if failing and item.category is Category.COST and not item.minor:
            group = 2
        worth = value(item.impact, pricing) * trust(item.rule)
        share = item.gain_share.likely if item.gain_share is not None else 0.0
        return group, -round(worth, 2), -round(share * item.confidence, 3), -order.get(item.rule, 0), item.id

    return sorted(items, key=key)


def _failing(analysis: Analysis) -> bool:
    rate = analysis.success_rate
    return rate is not None and rate < analysis.policy.objectives.min_success


def assessed(evidence: Evidence, published: Collection[str] = ()) -> list[Recommendation]:
    """The recommendations of all enabled rules for one workflow, each with its impact, in the order of the rules."""
    analysis = evidence.analysis
    items: list[Recommendation] = []
    rows = Rows(analysis)
    for rule in RULES:
        own = analysis.policy.rule(rule.name)
        if own.enabled:
            items.extend(rule.recommend(fast_replace(evidence, settings=own, shared=rows)))
    gone = {step for step in {item.step for item in items} if step is not None and no_longer_declared(analysis, step)}
    return [assess(item, analysis, published=item.id in published) for item in items if item.step not in gone]


def no_longer_declared(analysis: Analysis, step: str) -> bool:
    """Whether the step was removed or renamed: the definition declares none of that name, and all runs with one are known to
    be of earlier definitions (a run of the present one that has it shows a name that the definition does not tell)."""
    definition = analysis.definition
    if not definition.graph.steps or definition.fingerprint is None or definition.graph.declaring(step) is not None:
        return False
    marks = {r.fingerprint for r in analysis.runs if any(e.step == step for e in r.steps)}
    return marks.isdisjoint({None, definition.fingerprint})


def recommend(
    evidence: Evidence,
    *,
    trust: Callable[[str], float] = lambda _: 1.0,
    published: Collection[str] = (),
    settle: Callable[[list[Recommendation]], list[Recommendation]] = lambda items: items,
) -> list[Recommendation]:
    """All recommendations for one workflow, including minor ones, ranked and free of contradictions. Rules that compare
    workflows yield nothing without a fleet in the ``evidence``; the settings of the rules are added to it. ``trust``: see
    ``rank``; ``published``: ids published by the last analysis, which have lower thresholds; ``settle``: filter over
    several analyses."""
    analysis = evidence.analysis
    items = assessed(evidence, published)
    ranked = rank(settle(items), analysis.pricing, failing=_failing(analysis), trust=trust)
    # A published recommendation must not refer to a minor one, which is not shown.
    return resolve([i for i in ranked if not i.minor]) + [i for i in resolve(ranked) if i.minor]
