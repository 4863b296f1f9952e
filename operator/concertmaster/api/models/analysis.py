"""What of the history is analyzed, what the score weighs, and which recommendations are worth publishing."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from concertmaster.api.models.base import ApiModel, rule, schema
from concertmaster.api.models.common import RUNS_ORDER
from concertmaster.core.model.enums import RuleMode
from concertmaster.core.model.scalars import DecimalAmount, Duration, Percent


def _points(default: int, what: str) -> Any:
    return Field(
        default=default,
        ge=0,
        le=100,
        description=f"Weight of {what} in the score; 0 leaves it out.",
        examples=[default],
        json_schema_extra=schema(unit="points, in relation to the others"),
    )


def _deduction(what: str) -> Any:
    return Field(
        default=20,
        ge=0,
        le=100,
        description=f"Maximum deduction from the score for {what}; 0 disables it.",
        examples=[10],
        json_schema_extra=schema(unit="points of 100"),
    )


class ScoreWeights(ApiModel):
    """Weights of the parts of the score from 0 to 100."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rules=[
                rule(
                    "self.success + self.stability + self.efficiency + self.waiting > 0",
                    "at least one weight must be more than 0",
                )
            ]
        )
    )

    efficiency: int = _points(25, "the utilization of the requests")
    objectives: int = _deduction("missed objectives other than success and utilization")
    speed: int = _deduction("run time that recommendations would save")
    stability: int = _points(20, "a steady run time")
    success: int = _points(40, "the success rate")
    waiting: int = _points(15, "low scheduling latency")


class MaterialitySpec(ApiModel):
    """Minimum effect of a published recommendation. Any one is enough; what is below all of them is counted only."""

    cost_percent: Percent = Field(
        default=Percent("10"),
        description="Minimum share of the workflow's cost that is saved; it counts from a tenth of moneyPerMonth on.",
        examples=["20"],
        json_schema_extra=schema(unit="percent"),
    )
    failed_runs_per_month: DecimalAmount = Field(
        default=DecimalAmount("1"),
        description="Minimum number of failed runs avoided in 30 days.",
        examples=["0.5"],
        json_schema_extra=schema(unit="runs in 30 days"),
    )
    money_per_month: DecimalAmount = Field(
        default=DecimalAmount("1"),
        description="Minimum amount of money saved in 30 days.",
        examples=["10"],
        json_schema_extra=schema(unit="the currency of the policy's pricing, in 30 days"),
    )
    run_minutes_per_month: DecimalAmount = Field(
        default=DecimalAmount("30"),
        description="Minimum run time saved in 30 days; applies together with runPercent.",
        examples=["120"],
        json_schema_extra=schema(unit="minutes in 30 days"),
    )
    run_percent: Percent = Field(
        default=Percent("5"),
        description="Minimum share of the run time that is saved; applies together with runMinutesPerMonth.",
        examples=["10"],
        json_schema_extra=schema(unit="percent"),
    )


class AnalysisSpec(ApiModel):
    """How much history is examined, and what the score weighs."""

    model_config = ConfigDict(json_schema_extra=schema(rules=[RUNS_ORDER]))

    learning: RuleMode = Field(
        default=RuleMode.ENABLED,
        description="Whether measured effects of earlier changes correct the ranking of later recommendations of the same"
        " rule. The accuracy of each rule is reported in any case.",
        examples=["Disabled"],
    )
    materiality: MaterialitySpec = Field(
        default=MaterialitySpec(),
        description="Minimum effect of a published recommendation.",
        examples=[{"moneyPerMonth": "10"}],
        json_schema_extra=schema(
            default="1 failed run, 5 percent and 30 minutes of run time, 1 unit of money or 10 percent"
        ),
    )
    max_runs: int = Field(
        default=200,
        ge=1,
        le=2000,
        description="Maximum number of runs analyzed, newest first.",
        examples=[500],
        json_schema_extra=schema(unit="runs, 1 to 2000"),
    )
    min_runs: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Minimum number of finished runs before anything is recommended.",
        examples=[10],
        json_schema_extra=schema(unit="runs, 1 to 1000"),
    )
    score_weights: ScoreWeights = Field(
        default_factory=ScoreWeights,
        description="Weights of the parts of the score.",
        examples=[{"success": 60, "stability": 20, "efficiency": 0, "waiting": 20}],
        json_schema_extra=schema(
            default="success 40, efficiency 25, objectives 20, speed 20, stability 20, waiting 15"
        ),
    )
    window: Duration = Field(
        default=Duration("14d"),
        description="Period whose runs are analyzed; runs beyond the retention of the metrics source come from the history.",
        examples=["30d"],
        json_schema_extra=schema(
            rules=[
                rule(
                    "self >= duration('1h') && self <= duration('9600h')", "window must be at least 1h and at most 400d"
                )
            ]
        ),
    )
