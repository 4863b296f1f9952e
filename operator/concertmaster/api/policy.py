"""Which policy is in force for a profile, and what it says once the profile's own wishes are merged in. Pure.

One policy wins as a whole: merging several would make it impossible to see where a value comes from. Only a profile's
objectives and extra metrics are merged over it, leaf by leaf.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from concertmaster.api.effective import (
    EffectiveAnalysis,
    EffectiveApply,
    EffectiveBounds,
    EffectiveObjectives,
    EffectivePolicy,
    EffectivePricing,
    EffectiveRule,
    EffectiveVerify,
    EffectiveWindow,
    PolicyRef,
    Quantiles,
)
from concertmaster.api.models.apply import Apply
from concertmaster.api.models.base import parse_time
from concertmaster.api.models.objectives import DurationByType, Objectives, QuantileObjective, TargetUtilization
from concertmaster.api.models.policy import (
    ClusterOptimizationPolicy,
    OptimizationPolicy,
    OptimizationPolicySpec,
    Pricing,
)
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.core.model.enums import ApplyMode, RuleMode
from concertmaster.core.model.scalars import Amount, Duration, Percent, human_duration

_T = TypeVar("_T")

AnyPolicy = OptimizationPolicy | ClusterOptimizationPolicy


@dataclass(frozen=True, slots=True)
class Loser:
    """A policy that selects the profile too but is not in force, with the reason as a sentence."""

    policy: PolicyRef
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The policy in force (None: no policy selects the profile), and those that lost, best first."""

    winner: AnyPolicy | None
    losers: tuple[Loser, ...] = ()


def ref(policy: AnyPolicy) -> PolicyRef:
    """The policy's name as a value."""
    return PolicyRef(policy.kind, policy.metadata.namespace, policy.metadata.name)


def rank(policy: AnyPolicy) -> tuple[bool, int, float, str]:
    """Sort key, best first: namespaced, then priority, then the older, then by name."""
    created = policy.metadata.creation_timestamp
    return (
        isinstance(policy, ClusterOptimizationPolicy),
        -policy.spec.priority,
        parse_time(created) if created else float("inf"),
        policy.metadata.name,
    )


def reaches(policy: AnyPolicy, namespace: str, namespace_labels: Mapping[str, str]) -> bool:
    """Whether a policy has a say in a namespace at all."""
    if isinstance(policy, ClusterOptimizationPolicy):
        selector = policy.spec.namespace_selector
        return selector is None or selector.matches(namespace_labels)
    return policy.metadata.namespace == namespace


def selects(policy: AnyPolicy, namespace: str, labels: Mapping[str, str], namespace_labels: Mapping[str, str]) -> bool:
    """Whether a policy is for a profile with these ``labels`` in this namespace."""
    selector = policy.spec.selector
    return reaches(policy, namespace, namespace_labels) and (selector is None or selector.matches(labels))


def select(
    profile: WorkflowProfile,
    policies: Iterable[OptimizationPolicy],
    cluster_policies: Iterable[ClusterOptimizationPolicy],
    namespace_labels: Mapping[str, str],
) -> Selection:
    """The policy in force for a profile among all policies there are.

    A suspended policy wins like any other: were it passed over, suspending a careful policy would hand its workflows
    to a bolder one.
    """
    namespace, labels = profile.metadata.namespace or "", profile.metadata.labels
    candidates: list[AnyPolicy] = [*policies, *cluster_policies]
    matching = sorted((p for p in candidates if selects(p, namespace, labels, namespace_labels)), key=rank)
    if not matching:
        return Selection(None)
    winner = matching[0]
    return Selection(winner, tuple(Loser(ref(other), _why(winner, other)) for other in matching[1:]))


def _why(winner: AnyPolicy, loser: AnyPolicy) -> str:
    name = ref(winner)
    if rank(winner)[0] != rank(loser)[0]:
        return f"{name} is in the profile's namespace and beats every cluster policy"
    if winner.spec.priority != loser.spec.priority:
        return f"{name} has the higher priority ({winner.spec.priority} over {loser.spec.priority})"
    if rank(winner)[2] != rank(loser)[2]:
        return f"{name} has the same priority and is older"
    return f"{name} has the same priority and age and comes first by name"


def resolve(
    profile: WorkflowProfile | None, policy: AnyPolicy | None, *, cluster_template_owners: Collection[str] = ()
) -> EffectivePolicy:
    """What is in force for ``profile`` under ``policy``; either may be absent, then the defaults hold.

    ``cluster_template_owners`` are the namespaces whose profiles may have a ClusterWorkflowTemplate changed: without
    that, one namespace could make the operator change what all others run.
    """
    spec = policy.spec if policy is not None else OptimizationPolicySpec()
    objectives, problems = _objectives(spec.objectives, profile.spec.objectives if profile is not None else None)
    pricing, unpriced = _pricing(spec.pricing)
    metrics = {metric.name: metric for metric in spec.extra_metrics}
    if profile is not None:
        metrics |= {metric.name: metric for metric in profile.spec.extra_metrics}
    apply, notes = _apply(spec.apply, profile, policy, cluster_template_owners)
    return EffectivePolicy(
        source=ref(policy) if policy is not None else None,
        suspended=spec.suspend,
        metrics_source=spec.metrics_source,
        analysis=EffectiveAnalysis(
            window_seconds=float(spec.analysis.window.seconds),
            min_runs=spec.analysis.min_runs,
            max_runs=max(spec.analysis.min_runs, spec.analysis.max_runs),
            score_weights=spec.analysis.score_weights.model_dump(),
        ),
        objectives=objectives,
        pricing=pricing,
        rules={rule.name: EffectiveRule(rule.mode is RuleMode.ENABLED, dict(rule.settings)) for rule in spec.rules},
        extra_metrics=tuple(metrics.values()),
        apply=apply,
        problems=(*problems, *unpriced),
        notes=notes,
    )


def _objectives(base: Objectives, over: Objectives | None) -> tuple[EffectiveObjectives, tuple[str, ...]]:
    layers = (over, base) if over is not None else (base,)
    duration, slow = _quantiles("objectives.duration", [layer.duration for layer in layers])
    queue_time, late = _quantiles("objectives.queueTime", [layer.queue_time for layer in layers])
    utilization = [layer.target_utilization_percent or TargetUtilization() for layer in layers]
    default = EffectiveObjectives()
    merged = EffectiveObjectives(
        duration=duration,
        duration_by_type=_by_type(_first(layer.duration_by_type for layer in layers)),
        queue_time=queue_time,
        min_success=_share((layer.min_success_percent for layer in layers), default.min_success),
        max_step_failure=_share((layer.max_step_failure_percent for layer in layers), default.max_step_failure),
        max_cost_per_run=_number(_first(layer.max_cost_per_run for layer in layers)),
        min_throughput_per_hour=_number(_first(layer.min_throughput_per_hour for layer in layers)),
        min_cache_hit=_share((layer.min_cache_hit_percent for layer in layers), default.min_cache_hit),
        target_cpu_utilization=_optional_share(target.cpu for target in utilization),
        target_memory_utilization=_optional_share(target.memory for target in utilization),
        budgets={budget.metric: float(budget.max_per_run.value) for layer in layers[::-1] for budget in layer.budgets},
    )
    return merged, (*slow, *late)


def _by_type(found: DurationByType | None) -> dict[str, float]:
    if found is None:
        return {}
    return {name: float(getattr(found, name).seconds) for name in ("sequential", "parallel", "conditional")}


def _quantiles(path: str, layers: Iterable[QuantileObjective | None]) -> tuple[Quantiles, tuple[str, ...]]:
    """The merged quantiles, and a sentence when profile and policy together contradict each other."""
    known = [layer for layer in layers if layer is not None]
    merged = Quantiles(
        p50=_seconds(_first(layer.p50 for layer in known)),
        p95=_seconds(_first(layer.p95 for layer in known)),
        p99=_seconds(_first(layer.p99 for layer in known)),
    )
    steps = [(name, value) for name in ("p50", "p95", "p99") if (value := getattr(merged, name)) is not None]
    problems = tuple(
        f"{path}: {low} of {human_duration(shorter)} is longer than {high} of {human_duration(longer)} once policy and"
        f" profile are merged; change one of them"
        for (low, shorter), (high, longer) in pairwise(steps)
        if shorter > longer
    )
    return merged, problems


def _pricing(pricing: Pricing) -> tuple[EffectivePricing, tuple[str, ...]]:
    """Prices; the built-in ones only for their own currency."""
    builtin = EffectivePricing()
    foreign = pricing.currency != builtin.currency
    cpu, memory = _number(pricing.cpu_core_hour), _number(pricing.memory_gib_hour)
    missing = [name for name, price in (("cpuCoreHour", cpu), ("memoryGiBHour", memory)) if price is None]
    problems: tuple[str, ...] = ()
    if foreign and missing:
        problems = (
            f"pricing: {' and '.join(missing)} must be set for {pricing.currency}, the built-in prices are in"
            f" {builtin.currency}; compute cost is incomplete until then",
        )
    return (
        EffectivePricing(
            currency=pricing.currency,
            cpu_core_hour=cpu if cpu is not None or foreign else builtin.cpu_core_hour,
            memory_gib_hour=memory if memory is not None or foreign else builtin.memory_gib_hour,
            units={unit.metric: float(unit.price.value) for unit in pricing.units},
        ),
        problems,
    )


def _apply(
    apply: Apply, profile: WorkflowProfile | None, policy: AnyPolicy | None, owners: Collection[str]
) -> tuple[EffectiveApply, tuple[str, ...]]:
    notes: list[str] = []
    mode = apply.mode
    if policy is not None and policy.spec.suspend and mode is not ApplyMode.RECOMMEND:
        notes.append(f"{ref(policy)} is suspended: nothing is changed")
        mode = ApplyMode.RECOMMEND
    target = profile.spec.workflow_ref if profile is not None else None
    if profile is not None and target is not None and target.kind == "ClusterWorkflowTemplate":
        namespace = profile.metadata.namespace
        if mode is not ApplyMode.RECOMMEND and namespace not in owners:
            notes.append(
                f"ClusterWorkflowTemplate {target.name} is shared by all namespaces and stays at Recommend: the"
                f" operator's configuration does not name {namespace} in clusterTemplateOwners"
            )
            mode = ApplyMode.RECOMMEND
    bounds, verify = apply.bounds, apply.verify
    effective = EffectiveApply(
        mode=mode,
        allow=frozenset(apply.allow),
        max_risk=apply.max_risk,
        bounds=EffectiveBounds(
            cpu_min=bounds.cpu.min.cores,
            cpu_max=bounds.cpu.max.cores,
            memory_min=bounds.memory.min.bytes,
            memory_max=bounds.memory.max.bytes,
            parallelism_min=bounds.parallelism.min,
            parallelism_max=bounds.parallelism.max,
            max_step=bounds.max_step_percent / 100,
        ),
        min_change=apply.min_change_percent / 100,
        cooldown_seconds=float(apply.cooldown.seconds),
        windows=tuple(EffectiveWindow(w.schedule, w.time_zone, float(w.duration.seconds)) for w in apply.windows),
        max_in_flight=apply.max_in_flight,
        change_history_limit=apply.change_history_limit,
        verify=EffectiveVerify(
            min_runs=verify.min_runs,
            max_runs=verify.max_runs,
            max_age_seconds=float(verify.max_age.seconds),
            on_same=verify.on_same,
            on_inconclusive=verify.on_inconclusive,
        ),
        git_ops=apply.git_ops,
    )
    return effective, tuple(notes)


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)


def _share(values: Iterable[Percent | None], default: float) -> float:
    first = _first(values)
    return first.share if first is not None else default


def _optional_share(values: Iterable[Percent | None]) -> float | None:
    first = _first(values)
    return first.share if first is not None else None


def _seconds(value: Duration | None) -> float | None:
    return float(value.seconds) if value is not None else None


def _number(value: Amount | None) -> float | None:
    return float(value.value) if value is not None else None
