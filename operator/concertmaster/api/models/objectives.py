"""Objectives: what a workflow is expected to reach. Policies and profiles share them; a profile overrides leaf by leaf.

No leaf has a default in the schema: an absent leaf of a profile must stay absent, or it would override the policy.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from concertmaster.api.models.base import ApiModel, ShortName, rule, schema
from concertmaster.core.model.scalars import DecimalAmount, Duration, Percent

# Years are no objective for a run; the bound also keeps typing errors such as 20d for 20m from hiding for long.
_POSITIVE = rule("self > duration('0s') && self <= duration('8760h')", "must be longer than 0s and at most 365d")
_ORDER = [
    rule("!has(self.p50) || !has(self.p95) || self.p50 <= self.p95", "p50 must not be longer than p95"),
    rule("!has(self.p95) || !has(self.p99) || self.p95 <= self.p99", "p95 must not be longer than p99"),
    rule("!has(self.p50) || !has(self.p99) || self.p50 <= self.p99", "p50 must not be longer than p99"),
]


class QuantileObjective(ApiModel):
    """Longest acceptable durations by quantile over the runs of the window."""

    model_config = ConfigDict(json_schema_extra=schema(rules=_ORDER))

    p50: Duration | None = Field(
        default=None,
        description="Longest acceptable median over the runs of the window.",
        examples=["20m"],
        json_schema_extra=schema(rules=[_POSITIVE], default="no objective"),
    )
    p95: Duration | None = Field(
        default=None,
        description="Longest acceptable 95th percentile over the runs of the window.",
        examples=["30m"],
        json_schema_extra=schema(rules=[_POSITIVE], default="no objective"),
    )
    p99: Duration | None = Field(
        default=None,
        description="Longest acceptable 99th percentile over the runs of the window.",
        examples=["45m"],
        json_schema_extra=schema(rules=[_POSITIVE], default="no objective"),
    )


def _template(default: str, which: str) -> Any:
    return Field(
        default=Duration(default),
        description=f"Longest acceptable median duration of {which}.",
        examples=[default],
        json_schema_extra=schema(rules=[_POSITIVE]),
    )


class DurationByType(ApiModel):
    """Median durations by the type of workflow, as its graph shows it."""

    conditional: Duration = _template("20s", "workflows with steps that run on a condition")
    parallel: Duration = _template("15s", "workflows with steps or items side by side")
    sequential: Duration = _template("30s", "workflows of one step after the other")


class TargetUtilization(ApiModel):
    """Share of the requested resources that should be used."""

    cpu: Percent | None = Field(
        default=None,
        description="Target share of the requested CPU time that is used.",
        examples=["70"],
        json_schema_extra=schema(default="no objective; the score takes 70"),
    )
    memory: Percent | None = Field(
        default=None,
        description="Target share of the requested memory that is used at the peak.",
        examples=["75"],
        json_schema_extra=schema(default="no objective; the score takes 75"),
    )


class BudgetSpec(ApiModel):
    """The most of an extra metric one run may use."""

    max_per_run: DecimalAmount = Field(
        description="Largest acceptable total of one run.",
        examples=["200000"],
        json_schema_extra=schema(unit="the unit of the metric"),
    )
    metric: ShortName = Field(description="Name of the extra metric.", examples=["tokens"])


class ObjectivesSpec(ApiModel):
    """What the runs of a workflow are expected to reach; verdicts are in the condition ObjectivesMet."""

    budgets: tuple[BudgetSpec, ...] = Field(
        default=(),
        max_length=20,
        description="Limits on extra metrics, one per metric.",
        examples=[[{"metric": "tokens", "maxPerRun": "200000"}]],
        json_schema_extra=schema(list_map="metric"),
    )
    duration: QuantileObjective | None = Field(
        default=None,
        description="Longest acceptable time from the first pod of a run to its end.",
        examples=[{"p95": "30m"}],
        json_schema_extra=schema(default="no objective"),
    )
    duration_by_type: DurationByType | None = Field(
        default=None,
        description="Durations for workflows without any duration objective, by their type; {} takes the defaults.",
        examples=[{"sequential": "30s", "parallel": "15s", "conditional": "20s"}],
        json_schema_extra=schema(default="off"),
    )
    max_cost_per_run: DecimalAmount | None = Field(
        default=None,
        description="Highest acceptable mean cost of a run.",
        examples=["1.50"],
        json_schema_extra=schema(unit="the currency of the policy's pricing", default="no objective"),
    )
    max_step_failure_percent: Percent | None = Field(
        default=None,
        description="Highest acceptable share of failed attempts of any step; Unknown while chance explains the failures.",
        examples=["10"],
        json_schema_extra=schema(default="10 unless profile or policy set it"),
    )
    min_cache_hit_percent: Percent | None = Field(
        default=None,
        description="Lowest acceptable share of executions served from the cache, for steps that use one.",
        examples=["85"],
        json_schema_extra=schema(default="85 unless profile or policy set it"),
    )
    min_success_percent: Percent | None = Field(
        default=None,
        description="Lowest acceptable share of finished runs that succeeded.",
        examples=["95"],
        json_schema_extra=schema(default="95 unless profile or policy set it"),
    )
    min_throughput_per_hour: DecimalAmount | None = Field(
        default=None,
        description="Lowest acceptable number of finished runs per hour, on average over the window.",
        examples=["4"],
        json_schema_extra=schema(unit="runs per hour", default="no objective"),
    )
    queue_time: QuantileObjective | None = Field(
        default=None,
        description="Longest acceptable scheduling latency of a run: the longest time from the creation of one of its pods "
        "to its binding to a node. Waiting for a limit, a lock or a queue, before the pod exists, is not part of it.",
        examples=[{"p95": "1m"}],
        json_schema_extra=schema(default="no objective"),
    )
    target_utilization_percent: TargetUtilization | None = Field(
        default=None,
        description="Target utilization of the requests: an objective where it is set, and the target of the score's "
        "efficiency in any case.",
        examples=[{"cpu": "70", "memory": "75"}],
        json_schema_extra=schema(
            default="no objective; the score uses cpu 70 and memory 75 unless profile or policy set them"
        ),
    )
