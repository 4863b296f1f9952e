"""OptimizationPolicy and ClusterOptimizationPolicy: what is expected of workflows, and what the operator may do about it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from concertmaster.api.models.analysis import AnalysisSpec
from concertmaster.api.models.apply import ApplySpec
from concertmaster.api.models.base import ApiModel, CustomResource, Line80, Line400, ShortName, rule, schema
from concertmaster.api.models.common import (
    Condition,
    ExtraMetricSpec,
    InputSpec,
    LabelSelector,
    conditions_field,
    inputs_field,
    observed_generation_field,
)
from concertmaster.api.models.discover import Discover
from concertmaster.api.models.objectives import ObjectivesSpec
from concertmaster.api.models.pricing import PricingSpec
from concertmaster.core.model.enums import NotifyEvent, RuleMode
from concertmaster.core.model.scalars import DecimalAmount, Percent


class RuleSpec(ApiModel):
    """Changes one rule's behavior. A name or setting that does not exist is reported in the condition Ready."""

    mode: RuleMode = Field(
        default=RuleMode.ENABLED, description="Whether the rule is evaluated.", examples=["Disabled"]
    )
    name: ShortName = Field(description="Name of the rule.", examples=["timeout"])
    settings: dict[str, Annotated[str, StringConstraints(max_length=128)]] = Field(
        default_factory=dict,
        max_length=20,
        description="Settings of the rule by name, as strings; the rule's page lists them.",
        examples=[{"headroomPercent": "50"}],
    )


class SizingSpec(ApiModel):
    """Constraints on recommended sizes."""

    max_failure_percent: Percent = Field(
        default=Percent("1"),
        description="Largest expected share of attempts that fail with a recommended memory request; half of it where runs "
        "take four hours or more.",
        examples=["0.5"],
        json_schema_extra=schema(unit="percent"),
    )


class MetricsSpec(ApiModel):
    """Per-workflow series on the operator's /metrics."""

    per_workflow: bool = Field(
        default=False,
        description="Whether run time, success, score, cost, waste, savings, objectives and late runs of each workflow are "
        "served, for at most 5000 workflows of the operator; about 25 series each.",
        examples=[True],
    )
    steps: int = Field(
        default=5,
        ge=0,
        le=20,
        description="Number of steps per workflow with their own series, largest critical-path time first; 7 series "
        "each.",
        examples=[10],
        json_schema_extra=schema(unit="steps, 0 to 20"),
    )


class NotifySpec(ApiModel):
    """Tells a receiver of events about the workflows under this policy."""

    events: tuple[NotifyEvent, ...] = Field(
        default=(),  # not the list of today: the API server would store it, and policies would lack later events
        min_length=1,
        max_length=10,
        description="Events to send: slower runs, missed objectives, late runs, changes that wait for approval, were "
        "applied, kept, rolled back or left to people, and a weekly digest. The same event is sent at most once a day.",
        examples=[["RunLate", "WeeklyDigest"]],
        json_schema_extra=schema(unique=True, default="all of them"),
    )
    receiver: ShortName = Field(
        description="Name of a receiver of the operator's configuration. Never a URL.", examples=["team-data"]
    )

    @property
    def chosen(self) -> frozenset[NotifyEvent]:
        """The events to send."""
        return frozenset(self.events or NotifyEvent)


class OptimizationPolicySpec(ApiModel):
    """Objectives of the selected workflows, and what the operator may change."""

    analysis: AnalysisSpec = Field(
        default=AnalysisSpec(), description="Window and thresholds of the analysis.", examples=[{"window": "30d"}]
    )
    apply: ApplySpec = Field(
        default=ApplySpec(), description="What the operator may change automatically.", examples=[{"mode": "Approve"}]
    )
    discover: tuple[Discover, ...] = Field(
        default=(),
        max_length=20,
        description="Targets for which profiles are created, named after kind and target, with the target's labels.",
        examples=[[{"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate"}]],
    )
    extra_metrics: tuple[ExtraMetricSpec, ...] = Field(
        default=(),
        max_length=20,
        description="Custom metrics per run or step, for every profile this policy selects.",
        examples=[[{"name": "tokens", "query": "sum by (run) (last_over_time(llm_tokens_total[$window]))"}]],
        json_schema_extra=schema(list_map="name"),
    )
    inputs: tuple[InputSpec, ...] = inputs_field()
    metrics: MetricsSpec = Field(
        default=MetricsSpec(),
        description="Per-workflow series on the operator's /metrics.",
        examples=[{"perWorkflow": True}],
    )
    metrics_source: ShortName = Field(
        default="default",
        description="Name of a metrics source of the operator's configuration. Never a URL.",
        examples=["thanos"],
    )
    notify: tuple[NotifySpec, ...] = Field(
        default=(),
        max_length=5,
        description="Receivers outside the cluster that are notified of events about the workflows under this policy.",
        examples=[[{"receiver": "team-data", "events": ["RunLate"]}]],
        json_schema_extra=schema(list_map="receiver"),
    )
    objectives: ObjectivesSpec = Field(
        default=ObjectivesSpec(),
        description="Objectives of the runs.",
        examples=[{"duration": {"p95": "30m"}}],
    )
    pricing: PricingSpec = Field(
        default=PricingSpec(), description="Prices of resources.", examples=[{"cpuCoreHour": "0.031"}]
    )
    priority: int = Field(
        default=0,
        ge=-1_000_000,
        le=1_000_000,
        description="Precedence when several policies select a profile: the higher priority, then the older policy, then "
        "the name. A policy of the namespace always takes precedence over a cluster policy.",
        examples=[100],
    )
    rules: tuple[RuleSpec, ...] = Field(
        default=(),
        max_length=50,
        description="Settings of rules, one entry per rule.",
        examples=[[{"name": "timeout", "settings": {"headroomPercent": "50"}}]],
        json_schema_extra=schema(list_map="name"),
    )
    selector: LabelSelector | None = Field(
        default=None,
        description="Selector of profiles by label.",
        examples=[{"matchLabels": {"team": "data"}}],
        json_schema_extra=schema(default="every profile in reach"),
    )
    sizing: SizingSpec = Field(
        default=SizingSpec(),
        description="Constraints on recommended sizes.",
        examples=[{"maxFailurePercent": "0.5"}],
    )
    suspend: bool = Field(
        default=False,
        description="Whether discovery and changes under this policy are stopped. Analysis continues; no other one applies.",
        examples=[True],
    )


_CLUSTER_RULES = [
    rule(
        "has(self.namespaceSelector) || !has(self.discover)"
        " || !self.discover.exists(d, has(d.kind) && d.kind == 'ClusterWorkflowTemplate')",
        "discovering ClusterWorkflowTemplate needs namespaceSelector: each selected namespace gets a profile of its own",
    )
]


class ClusterOptimizationPolicySpec(OptimizationPolicySpec):
    """The same for profiles of many namespaces."""

    model_config = ConfigDict(json_schema_extra=schema(rules=_CLUSTER_RULES))

    namespace_selector: LabelSelector | None = Field(
        default=None,
        description="Selector of the namespaces this policy applies to, by label.",
        examples=[{"matchLabels": {"concertmaster.dev/optimize": "true"}}],
        json_schema_extra=schema(default="all namespaces the operator watches"),
    )


class TotalsStatus(ApiModel):
    """What the published recommendations under the policy are worth together."""

    failed_runs_per_month: DecimalAmount | None = Field(
        default=None, description="Failed runs avoided.", examples=["12"]
    )
    minor: int | None = Field(
        default=None, ge=0, description="Recommendations below the materiality thresholds.", examples=[40]
    )
    money_per_month: Line80 | None = Field(default=None, description="Money saved, by currency.", examples=["124 USD"])
    recommendations: int | None = Field(default=None, ge=0, description="Active recommendations.", examples=[9])
    run_hours_per_month: DecimalAmount | None = Field(
        default=None, description="Run time saved, in hours.", examples=["210"]
    )
    workflows: int | None = Field(default=None, ge=0, description="Workflows with a recommendation.", examples=[7])


class PolicyStatus(ApiModel):
    """What the policy does at present."""

    changes_in_flight: int | None = Field(default=None, ge=0, description="Changes under verification.", examples=[1])
    conditions: tuple[Condition, ...] = conditions_field("Ready, MetricsAvailable, WriteAccess")
    discovered_profiles: int | None = Field(
        default=None, ge=0, description="Profiles created by this policy's discovery.", examples=[12]
    )
    matched_profiles: int | None = Field(
        default=None, ge=0, description="Profiles this policy applies to.", examples=[14]
    )
    observed_generation: int | None = observed_generation_field()
    top: tuple[Line400, ...] = Field(
        default=(),
        max_length=10,
        description="Most valuable recommendations under the policy, in that order.",
        examples=[
            ["demo/etl right-size: 12.5 USD a month (confidence 90%, effort Low, risk Low); Right-size 3 requests"]
        ],
    )
    totals: TotalsStatus | None = Field(
        default=None,
        description="Value of all recommendations under the policy in 30 days; absent before a profile of it is analyzed.",
        examples=[{"recommendations": 9, "runHoursPerMonth": "210"}],
    )


_STATUS_EXAMPLE = {"matchedProfiles": 14}


class OptimizationPolicy(CustomResource):
    """Objectives of the workflows of one namespace, and what the operator may change."""

    kind: Literal["OptimizationPolicy"] = "OptimizationPolicy"
    spec: OptimizationPolicySpec = Field(
        description="Objectives of the selected workflows, and what the operator may change.",
        examples=[{"objectives": {"duration": {"p95": "30m"}}}],
    )
    status: PolicyStatus | None = Field(
        default=None,
        description="Current effect of the policy, written by the operator.",
        examples=[_STATUS_EXAMPLE],
    )


class ClusterOptimizationPolicy(CustomResource):
    """Objectives of the workflows of many namespaces, and what the operator may change."""

    kind: Literal["ClusterOptimizationPolicy"] = "ClusterOptimizationPolicy"
    spec: ClusterOptimizationPolicySpec = Field(
        description="Objectives of the selected workflows, and what the operator may change.",
        examples=[{"objectives": {"minSuccessPercent": "99"}}],
    )
    status: PolicyStatus | None = Field(
        default=None,
        description="Current effect of the policy, written by the operator.",
        examples=[_STATUS_EXAMPLE],
    )
