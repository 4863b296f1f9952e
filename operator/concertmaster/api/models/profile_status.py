"""The status of a WorkflowProfile: the analysis as people read it.

``kubectl describe`` is the screen and sorts keys by bytes, so the names are chosen to read well in that order:
recommendations comes first, and every recommendation opens with its action. All values are one line each.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from concertmaster.api.models.base import ApiModel, Line80, Line160, Line400, Line1000, Timestamp, schema
from concertmaster.api.models.common import Condition, conditions_field, observed_generation_field
from concertmaster.api.models.recommendation_status import RecommendationStatus, RemainingStatus, ResultStatus
from concertmaster.core.model.scalars import Amount, Percent


class RunsStatus(ApiModel):
    """How many runs the analysis rests on."""

    failed: int | None = Field(default=None, ge=0, description="Runs that failed.", examples=[1])
    first_start: Timestamp | None = Field(
        default=None, description="Start of the oldest run looked at.", examples=["2027-01-17T00:00:00Z"]
    )
    last_end: Timestamp | None = Field(
        default=None, description="End of the newest run looked at.", examples=["2027-01-31T00:34:00Z"]
    )
    limited_to: int | None = Field(
        default=None,
        ge=0,
        description="The policy's spec.analysis.maxRuns, where it keeps the analysis from looking at more: the newest runs "
        "of the window were taken, and firstStart says since when. Absent: all of them were.",
        examples=[200],
    )
    next_expected: Timestamp | None = Field(
        default=None, description="When the next run is due by the schedule.", examples=["2027-02-01T00:00:00Z"]
    )
    observed: int | None = Field(default=None, ge=0, description="Finished runs looked at.", examples=[30])
    succeeded: int | None = Field(default=None, ge=0, description="Runs that succeeded.", examples=[29])
    unknown: int | None = Field(
        default=None, ge=0, description="Runs whose outcome could not be seen; they count in no rate.", examples=[0]
    )


class RunningStatus(ApiModel):
    """One run in progress, forecast from how earlier runs went on from where it is."""

    deadline: Timestamp | None = Field(
        default=None,
        description="When the duration objective (p95, else p99, else p50) is over; without one, 1.5 times the usual p95.",
        examples=["2027-02-01T00:45:00Z"],
    )
    earliest_end: Timestamp | None = Field(
        default=None, description="End that 5% of the forecasts come before.", examples=["2027-02-01T00:30:00Z"]
    )
    expected_end: Timestamp | None = Field(
        default=None, description="Median of the forecasts of the end.", examples=["2027-02-01T00:34:00Z"]
    )
    late: bool | None = Field(
        default=None,
        description="Whether the deadline is missed, or will be with a probability of 80% or more.",
        examples=[False],
    )
    latest_end: Timestamp | None = Field(
        default=None, description="End that 5% of the forecasts come after.", examples=["2027-02-01T00:40:00Z"]
    )
    name: Line400 = Field(description="Name of the run.", examples=["nightly-etl-x7k2p"])
    start_time: Timestamp | None = Field(
        default=None, description="When the run started.", examples=["2027-02-01T00:00:00Z"]
    )
    step: Line80 | None = Field(
        default=None, description="Step under way that decides the end.", examples=["transform"]
    )


class SummaryStatus(ApiModel):
    """The figures of one line of ``kubectl get``."""

    cost_per_run: Amount | None = Field(
        default=None,
        description="Mean cost of a run.",
        examples=["0.42"],
        json_schema_extra=schema(unit="the currency of the policy's pricing"),
    )
    impact: int | None = Field(
        default=None,
        ge=0,
        description="What all Active recommendations are worth a month: money, run time and failed runs on one scale.",
        examples=[120],
        json_schema_extra=schema(unit="the currency of the policy's pricing, with its runHour and failedRun"),
    )
    open: int | None = Field(default=None, ge=0, description="Active recommendations.", examples=[3])
    p50: Line80 | None = Field(default=None, description="Median duration of a run.", examples=["21m4s"])
    p95: Line80 | None = Field(default=None, description="95th percentile of the duration.", examples=["34m10s"])
    p99: Line80 | None = Field(default=None, description="99th percentile of the duration.", examples=["41m"])
    queueing: Line80 | None = Field(
        default=None,
        description="Mean over the runs of the longest wait of a pod for a node.",
        examples=["1m10s"],
    )
    success_percent: Percent | None = Field(
        default=None, description="Share of finished runs that succeeded.", examples=["96.7"]
    )
    target: Line400 | None = Field(
        default=None, description="The workflow as kind and name.", examples=["WorkflowTemplate/nightly-etl"]
    )
    top: Annotated[str, StringConstraints(pattern=r"^[^\r\n]*$", max_length=60)] | None = Field(
        default=None, description="The most valuable action in short.", examples=["train: cpu 500m -> 2, 15% faster"]
    )


class WorkflowProfileStatus(ApiModel):
    """The analysis. At most 16 KiB; the keys are named so that their alphabetical order is the reading order."""

    advice: tuple[Line1000, ...] = Field(
        default=(),
        max_length=10,
        description="The result in one or two sentences: what the recommendations are worth, or that no action is needed.",
        examples=[["2 recommendations from 30 runs in 14d; in all 41 run-hours, 12.5 USD a month."]],
    )
    conditions: tuple[Condition, ...] = conditions_field("Ready, MetricsAvailable, TargetResolved, ObjectivesMet")
    data_until: Timestamp | None = Field(
        default=None,
        description="Up to when the data behind this status is complete.",
        examples=["2027-01-31T00:40:00Z"],
    )
    insights: tuple[Line400, ...] = Field(
        default=(),
        max_length=10,
        description="What else the runs tell: the next run, the effect of the last change, slow runs and their cause, "
        "objectives at risk.",
        examples=[["Next run: about 21m04s (90% interval 19m10s to 24m30s)"]],
    )
    minor: int | None = Field(
        default=None,
        ge=0,
        description="Recommendations below the policy's materiality thresholds; not listed.",
        examples=[7],
    )
    more_recommendations: int | None = Field(
        default=None,
        ge=0,
        description="Active recommendations beyond the ones listed here.",
        examples=[2],
    )
    objectives: tuple[Line160, ...] = Field(
        default=(),
        max_length=12,
        description="The objectives, one line each: verdict, figure, target, how far off, and where it is going.",
        examples=[["duration p95: Met, 7m11s (target <= 10m00s), steady"]],
    )
    observed_generation: int | None = observed_generation_field()
    policy: Line400 | None = Field(
        default=None,
        description="The policy in force, as kind and name.",
        examples=["OptimizationPolicy/team-data"],
    )
    recommendations: tuple[RecommendationStatus, ...] = Field(
        default=(),
        max_length=5,
        description="The most valuable recommendations; where fewer than five are Active, those that were implemented "
        "lately, dismissed or became obsolete follow.",
        examples=[[{"action": "Lower the memory request of step transform from 2Gi to 832Mi"}]],
        json_schema_extra=schema(list_map="id"),
    )
    remaining: tuple[RemainingStatus, ...] = Field(
        default=(),
        max_length=20,
        description="Recommendations in short form, most important first: Active ones beyond the first five, and what "
        "was implemented lately, dismissed or became obsolete.",
        examples=[[{"id": "memory-request.load", "state": "Dismissed"}]],
        json_schema_extra=schema(list_map="id"),
    )
    results: tuple[ResultStatus, ...] = Field(
        default=(),
        max_length=30,
        description="Outcomes of applied recommendations, newest first. From these, and from retained WorkflowChanges, "
        "rules learn how well their estimates hold.",
        examples=[[{"id": "memory-request.transform", "verdict": "Improved"}]],
    )
    running: tuple[RunningStatus, ...] = Field(
        default=(),
        max_length=5,
        description="Runs in progress with their expected end, late ones first. Written when a forecast has moved by about "
        "a tenth of the run.",
        examples=[[{"name": "nightly-etl-x7k2p", "expectedEnd": "2027-02-01T00:34:00Z"}]],
        json_schema_extra=schema(list_map="name"),
    )
    runs: RunsStatus | None = Field(
        default=None, description="The runs the analysis rests on.", examples=[{"observed": 30, "succeeded": 29}]
    )
    score: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="How well the workflow runs, 100 is best; the weighted sum of scoreParts less their deductions.",
        examples=[74],
        json_schema_extra=schema(unit="points of 100"),
    )
    score_parts: tuple[Line160, ...] = Field(
        default=(),
        max_length=10,
        description="Where the score comes from, one part per line.",
        examples=[["stability: 13 of 20, run time varies by 34% of its mean"]],
    )
    steps: tuple[Line400, ...] = Field(
        default=(),
        max_length=20,
        description="The steps, one line each: executions, times, failures, how they hold the run back, and marks.",
        examples=[["train: 30 executions, mean 4m10s, 3m50s to 5m02s, p95 4m58s, CV 0.08; critical-path time 4m01s"]],
    )
    summary: SummaryStatus | None = Field(
        default=None, description="The figures of kubectl get.", examples=[{"target": "WorkflowTemplate/nightly-etl"}]
    )
