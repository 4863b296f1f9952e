"""The resolved policy: every default filled in, and the profile merged over it. Pure.

Of a profile, objectives and extra metrics are merged over the policy, leaf by leaf; its inputs come before the policy's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

from concertmaster.api.models.analysis import AnalysisSpec
from concertmaster.api.models.apply import ApplySpec
from concertmaster.api.models.common import ExtraMetricSpec, InputSpec
from concertmaster.api.models.objectives import DurationByType, ObjectivesSpec, QuantileObjective, TargetUtilization
from concertmaster.api.models.policy import OptimizationPolicySpec, SizingSpec
from concertmaster.api.models.pricing import PricingSpec
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.policy import AnyPolicy, ref
from concertmaster.core.model import InputSource
from concertmaster.core.model.enums import ApplyMode, MetricRole, RuleMode
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.policy import (
    AnalysisSettings,
    ApplySettings,
    Bounds,
    ChangeWindow,
    Materiality,
    MetricsSettings,
    NotifySettings,
    Objectives,
    Policy,
    Pricing,
    Quantiles,
    Range,
    RuleSettings,
    VerifySettings,
)
from concertmaster.core.model.pricing import NodePrice
from concertmaster.core.model.scalars import DecimalAmount, Duration, Percent
from concertmaster.engines.registry import CLUSTER_KINDS

_T = TypeVar("_T")
_Default = TypeVar("_Default", float, None)


def resolve(
    profile: WorkflowProfile | None, policy: AnyPolicy | None, *, cluster_template_owners: Collection[str] = ()
) -> Policy:
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
    mode, notes = _mode(spec.apply.mode, profile, policy, cluster_template_owners)
    return Policy(
        source=ref(policy) if policy is not None else None,
        suspended=spec.suspend,
        notify=tuple(NotifySettings(n.receiver, n.chosen) for n in spec.notify),
        metrics=MetricsSettings(spec.metrics.per_workflow, spec.metrics.steps),
        metrics_source=spec.metrics_source,
        analysis=_analysis(spec.analysis, spec.sizing),
        objectives=objectives,
        pricing=replace(pricing, units=_in_currency(metrics.values()) | dict(pricing.units)),
        rules={rule.name: RuleSettings(rule.mode is RuleMode.ENABLED, dict(rule.settings)) for rule in spec.rules},
        extra_metrics=tuple(_extra_metric(metric) for metric in metrics.values()),
        inputs=tuple(_input(i) for i in (*(profile.spec.inputs if profile is not None else ()), *spec.inputs)),
        apply=_apply(spec.apply, mode),
        problems=(*problems, *unpriced),
        notes=notes,
    )


def _analysis(spec: AnalysisSpec, sizing: SizingSpec) -> AnalysisSettings:
    return AnalysisSettings(
        window_seconds=float(spec.window.seconds),
        min_runs=spec.min_runs,
        max_runs=max(spec.min_runs, spec.max_runs),
        score_weights=spec.score_weights.model_dump(),
        learning=spec.learning is RuleMode.ENABLED,
        materiality=Materiality(
            failed_runs=float(spec.materiality.failed_runs_per_month.value),
            run_share=spec.materiality.run_percent.share,
            run_minutes=float(spec.materiality.run_minutes_per_month.value),
            money=float(spec.materiality.money_per_month.value),
            cost_share=spec.materiality.cost_percent.share,
        ),
        max_failure=sizing.max_failure_percent.share,
    )


def _extra_metric(spec: ExtraMetricSpec) -> ExtraMetric:
    return ExtraMetric(spec.name, spec.query, spec.per, spec.unit, spec.role)


def _in_currency(metrics: Iterable[ExtraMetricSpec]) -> dict[str, float]:
    """Prices of metrics that are money already."""
    return {metric.name: 1.0 for metric in metrics if metric.role is MetricRole.COST}


def _input(spec: InputSpec) -> InputSource:
    return InputSource(
        spec.unit, spec.step, spec.parameter, spec.annotation, spec.env, spec.json_path, bool(spec.bytes_read)
    )


def _objectives(base: ObjectivesSpec, over: ObjectivesSpec | None) -> tuple[Objectives, tuple[str, ...]]:
    layers = (over, base) if over is not None else (base,)
    duration, slow = _quantiles("objectives.duration", [layer.duration for layer in layers])
    queue_time, late = _quantiles("objectives.queueTime", [layer.queue_time for layer in layers])
    utilization = [layer.target_utilization_percent or TargetUtilization() for layer in layers]
    default = Objectives()
    budgets = {budget.metric: float(budget.max_per_run.value) for layer in layers[::-1] for budget in layer.budgets}
    merged = Objectives(
        duration=duration,
        duration_by_type=_by_type(_first(layer.duration_by_type for layer in layers)),
        queue_time=queue_time,
        min_success=_share((layer.min_success_percent for layer in layers), default.min_success),
        max_step_failure=_share((layer.max_step_failure_percent for layer in layers), default.max_step_failure),
        max_cost_per_run=_number(_first(layer.max_cost_per_run for layer in layers)),
        min_throughput_per_hour=_number(_first(layer.min_throughput_per_hour for layer in layers)),
        min_cache_hit=_share((layer.min_cache_hit_percent for layer in layers), default.min_cache_hit),
        target_cpu_utilization=_share((target.cpu for target in utilization), None),
        target_memory_utilization=_share((target.memory for target in utilization), None),
        budgets=dict(sorted(budgets.items())),
    )
    return merged, (*slow, *late)


def _by_type(durations: DurationByType | None) -> dict[str, float]:
    if durations is None:
        return {}
    return {name: float(getattr(durations, name).seconds) for name in ("sequential", "parallel", "conditional")}


def _quantiles(path: str, layers: Iterable[QuantileObjective | None]) -> tuple[Quantiles, tuple[str, ...]]:
    """The merged quantiles, and a sentence when profile and policy together contradict each other."""
    known = [layer for layer in layers if layer is not None]
    p50, p95, p99 = (_first(getattr(layer, name) for layer in known) for name in ("p50", "p95", "p99"))
    steps = [(name, value) for name, value in (("p50", p50), ("p95", p95), ("p99", p99)) if value is not None]
    problems = tuple(
        f"{path}: {low} of {shorter} is longer than {high} of {longer} once policy and profile are merged; change one of"
        " them"
        for (low, shorter), (high, longer) in pairwise(steps)
        if shorter > longer
    )
    return Quantiles(_seconds(p50), _seconds(p95), _seconds(p99)), problems


def _pricing(spec: PricingSpec) -> tuple[Pricing, tuple[str, ...]]:
    """Prices; the built-in ones only for their own currency."""
    builtin = Pricing()
    foreign = spec.currency != builtin.currency
    needed = (("cpuCoreHour", spec.cpu_core_hour), ("memoryGiBHour", spec.memory_gib_hour))
    missing = [name for name, price in needed if price is None]
    problems: tuple[str, ...] = ()
    if foreign and missing:
        problems = (
            f"pricing: {' and '.join(missing)} must be set for {spec.currency}, the built-in prices are in"
            f" {builtin.currency}; compute cost is incomplete until then",
        )

    def price(set_: DecimalAmount | None, otherwise: float) -> float:
        return float(set_.value) if set_ is not None else 0.0 if foreign else otherwise

    pricing = Pricing(
        currency=spec.currency,
        cpu_core_hour=price(spec.cpu_core_hour, builtin.cpu_core_hour),
        gpu_hour=price(spec.gpu_hour, builtin.gpu_hour),
        memory_gib_hour=price(spec.memory_gib_hour, builtin.memory_gib_hour),
        volume_gib_month=price(spec.volume_gib_month, builtin.volume_gib_month),
        run_hour=float(spec.run_hour.value),
        failed_run=float(spec.failed_run.value),
        source=spec.source,
        nodes=tuple(
            NodePrice(
                n.instance_type, n.spot, _number(n.cpu_core_hour), _number(n.memory_gib_hour), _number(n.gpu_hour)
            )
            for n in spec.nodes
        ),
        units={unit.metric: float(unit.price.value) for unit in spec.units},
    )
    return pricing, problems


def _mode(
    mode: ApplyMode, profile: WorkflowProfile | None, policy: AnyPolicy | None, owners: Collection[str]
) -> tuple[ApplyMode, tuple[str, ...]]:
    """The mode in force, and why it is less than the policy's."""
    notes: list[str] = []
    if policy is not None and policy.spec.suspend and mode is not ApplyMode.RECOMMEND:
        notes.append(f"{ref(policy)} is suspended: nothing is changed")
        mode = ApplyMode.RECOMMEND
    target = profile.spec.workflow_ref if profile is not None else None
    if profile is not None and target is not None and target.kind in CLUSTER_KINDS:
        namespace = profile.metadata.namespace
        if mode is not ApplyMode.RECOMMEND and namespace not in owners:
            notes.append(
                f"{target.kind} {target.name} is shared by all namespaces and stays at Recommend: the"
                f" operator's configuration does not name {namespace} in clusterTemplateOwners"
            )
            mode = ApplyMode.RECOMMEND
    return mode, tuple(notes)


def _apply(spec: ApplySpec, mode: ApplyMode) -> ApplySettings:
    bounds, verify = spec.bounds, spec.verify
    return ApplySettings(
        mode=mode,
        allow=frozenset(spec.allow),
        max_risk=spec.max_risk,
        bounds=Bounds(
            cpu=Range(bounds.cpu.min.cores, bounds.cpu.max.cores),
            memory=Range(bounds.memory.min.bytes, bounds.memory.max.bytes),
            parallelism=Range(bounds.parallelism.min, bounds.parallelism.max),
            max_step=bounds.max_step_percent / 100,
        ),
        min_change=spec.min_change_percent / 100,
        cooldown_seconds=float(spec.cooldown.seconds),
        windows=tuple(ChangeWindow(w.schedule, w.time_zone, float(w.duration.seconds)) for w in spec.windows),
        max_in_flight=spec.max_in_flight,
        change_history_limit=spec.change_history_limit,
        verify=VerifySettings(
            min_runs=verify.min_runs,
            max_runs=max(verify.min_runs, verify.max_runs),
            max_age_seconds=float(verify.max_age.seconds),
            on_same=verify.on_same,
            on_inconclusive=verify.on_inconclusive,
        ),
        git_ops=spec.git_ops,
    )


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)


def _share(values: Iterable[Percent | None], default: _Default) -> float | _Default:
    first = _first(values)
    return first.share if first is not None else default


def _seconds(value: Duration | None) -> float | None:
    return float(value.seconds) if value is not None else None


def _number(value: DecimalAmount | None) -> float | None:
    return float(value.value) if value is not None else None
