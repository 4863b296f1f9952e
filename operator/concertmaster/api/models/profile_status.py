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
from concertmaster.core.model.scalars import DecimalAmount, Percent


class RunsStatus(ApiModel):
    """How many runs the analysis rests on."""

    failed: int | None = Field(default=None, ge=0, description="Runs that failed.", examples=[1])
    first_start: Timestamp | None = Field(
        default=None, description="Start of the oldest run analyzed.", examples=["2027-01-17T00:00:00Z"]
    )
    last_end: Timestamp | None = Field(
        default=None, description="End of the newest run analyzed.", examples=["2027-01-31T00:34:00Z"]
    )
    limited_to: int | None = Field(
        default=None,
        ge=0,
        description="The policy's spec.analysis.maxRuns, where it limits the analysis: the newest runs "
        "of the window are analyzed, and firstStart is the start of the oldest of them. Absent: all runs are.",
        examples=[200],
    )
    next_expected: Timestamp | None = Field(
        default=None, description="Next start according to the schedule.", examples=["2027-02-01T00:00:00Z"]
    )
    observed: int | None = Field(default=None, ge=0, description="Finished runs analyzed.", examples=[30])
    succeeded: int | None = Field(default=None, ge=0, description="Runs that succeeded.", examples=[29])
    unknown: int | None = Field(
        default=None, ge=0, description="Runs with unknown outcome; excluded from rates.", examples=[0]
    )


class RunningStatus(ApiModel):
    """One run in progress, forecast from how earlier runs continued from where it is."""

    deadline: Timestamp | None = Field(
        default=None,
        description="Deadline by the duration objective (p95, else p99, else p50); without one, 1.5 times the usual p95.",
        examples=["2027-02-01T00:45:00Z"],
    )
    earliest_end: Timestamp | None = Field(
        default=None, description="5th percentile of the forecasts of the end.", examples=["2027-02-01T00:30:00Z"]
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
        default=None, description="95th percentile of the forecasts of the end.", examples=["2027-02-01T00:40:00Z"]
    )
    name: Line400 = Field(description="Name of the run.", examples=["nightly-etl-x7k2p"])
    start_time: Timestamp | None = Field(
        default=None, description="Start of the run.", examples=["2027-02-01T00:00:00Z"]
    )
    step: Line80 | None = Field(
        default=None, description="Step in progress that determines the end.", examples=["transform"]
    )


class CacheStatus(ApiModel):
    """Use of one cache of memoized steps by the runs analyzed."""

    entries: int | None = Field(
        default=None, ge=0, description="Entries in the cache; absent where it cannot be read.", examples=[12]
    )
    hits: int = Field(ge=0, description="Lookups answered by the cache.", examples=[30])
    lookups: int = Field(ge=0, description="Executions of steps that looked up a result.", examples=[40])
    name: Line400 = Field(description="Name of the cache's ConfigMap.", examples=["etl-cache"])
    saved_seconds: int = Field(
        ge=0,
        description="Work avoided: hits at the mean duration of their step.",
        examples=[7200],
        json_schema_extra=schema(unit="seconds"),
    )
    stale: int | None = Field(default=None, ge=0, description="Entries older than maxAge.", examples=[2])


class SummaryStatus(ApiModel):
    """The figures of one line of ``kubectl get``."""

    cost_per_month: DecimalAmount | None = Field(
        default=None,
        description="Cost of the workflow in 30 days at the present rate of runs.",
        examples=["12.6"],
        json_schema_extra=schema(unit="the currency of the policy's pricing"),
    )
    cost_per_run: DecimalAmount | None = Field(
        default=None,
        description="Mean cost of a run.",
        examples=["0.42"],
        json_schema_extra=schema(unit="the currency of the policy's pricing"),
    )
    currency: str | None = Field(
        default=None,
        description="Currency of the amounts, by the policy's pricing.",
        examples=["USD"],
        max_length=32,
        pattern=r"^[A-Z]{3}$",
    )
    impact: int | None = Field(
        default=None,
        ge=0,
        description="Value of all Active recommendations per month: money, run time and failed runs on one scale; less "
        "than 1 is 1, and it is absent where none has a figure.",
        examples=[120],
        json_schema_extra=schema(unit="the currency of the policy's pricing, with its runHour and failedRun"),
    )
    open: int | None = Field(default=None, ge=0, description="Active recommendations.", examples=[3])
    p50: Line80 | None = Field(default=None, description="Median duration of a run.", examples=["21m4s"])
    p95: Line80 | None = Field(default=None, description="95th percentile of the duration.", examples=["34m10s"])
    p99: Line80 | None = Field(default=None, description="99th percentile of the duration.", examples=["41m"])
    queueing: Line80 | None = Field(
        default=None,
        description="Longest scheduling latency of a pod in a run, mean over the runs.",
        examples=["1m10s"],
    )
    runs_per_month: DecimalAmount | None = Field(
        default=None,
        description="Runs in 30 days at the present rate.",
        examples=["30"],
        json_schema_extra=schema(unit="runs in 30 days"),
    )
    success_percent: Percent | None = Field(
        default=None, description="Share of finished runs that succeeded.", examples=["96.7"]
    )
    target: Line400 | None = Field(
        default=None, description="Workflow as kind and name.", examples=["WorkflowTemplate/nightly-etl"]
    )
    top: Annotated[str, StringConstraints(pattern=r"^[^\r\n]*$", max_length=60)] | None = Field(
        default=None, description="Most valuable action, abbreviated.", examples=["train: cpu 500m -> 2, 15% faster"]
    )


class WorkflowProfileStatus(ApiModel):
    """The analysis. At most 16 KiB; the keys are named so that their alphabetical order is the reading order."""

    advice: tuple[Line1000, ...] = Field(
        default=(),
        max_length=10,
        description="Result in one or two sentences: the value of the recommendations, or that no action is needed.",
        examples=[["2 recommendations from 30 runs in 14d, worth 41 run-hours, 12.5 USD a month in total."]],
    )
    caches: tuple[CacheStatus, ...] = Field(
        default=(),
        max_length=5,
        description="Caches of memoized steps, most work saved first.",
        examples=[[{"name": "etl-cache", "lookups": 40, "hits": 30, "savedSeconds": 7200}]],
        json_schema_extra=schema(list_map="name"),
    )
    conditions: tuple[Condition, ...] = conditions_field("Ready, MetricsAvailable, TargetResolved, ObjectivesMet")
    data_until: Timestamp | None = Field(
        default=None,
        description="Time up to which the data behind this status is complete.",
        examples=["2027-01-31T00:40:00Z"],
    )
    graph: Line400 | None = Field(
        default=None,
        description="Pattern of the step graph, and its steps in groups that can run in parallel, in order.",
        examples=["fan-out/fan-in: split | align, sort | merge"],
    )
    insights: tuple[Line400, ...] = Field(
        default=(),
        max_length=10,
        description="Further observations: the next run, the effect of the last change, slow runs and their cause, "
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
        description="Active recommendations that are not listed here.",
        examples=[2],
    )
    objectives: tuple[Line160, ...] = Field(
        default=(),
        max_length=12,
        description="Objectives, one line each: verdict, figure, target, and trend.",
        examples=[["duration p95: Met, 7m11s (target <= 10m00s), steady"]],
    )
    observed_generation: int | None = observed_generation_field()
    policy: Line400 | None = Field(
        default=None,
        description="Effective policy, as kind and name.",
        examples=["OptimizationPolicy/team-data"],
    )
    recommendations: tuple[RecommendationStatus, ...] = Field(
        default=(),
        max_length=5,
        description="Most valuable recommendations; where fewer than five are Active, those that were recently implemented, "
        "dismissed or became obsolete follow.",
        examples=[[{"action": "Lower the memory request of step transform from 2Gi to 832Mi"}]],
        json_schema_extra=schema(list_map="id"),
    )
    remaining: tuple[RemainingStatus, ...] = Field(
        default=(),
        max_length=20,
        description="Recommendations in short form, most important first: Active ones beyond the first five, and those "
        "recently implemented, dismissed or obsolete.",
        examples=[[{"id": "memory-request.load", "state": "Dismissed"}]],
        json_schema_extra=schema(list_map="id"),
    )
    results: tuple[ResultStatus, ...] = Field(
        default=(),
        max_length=30,
        description="Outcomes of applied recommendations, newest first. From these, and from retained WorkflowChanges, "
        "rules learn how accurate their predictions are.",
        examples=[[{"id": "memory-request.transform", "verdict": "Improved"}]],
    )
    running: tuple[RunningStatus, ...] = Field(
        default=(),
        max_length=5,
        description="Runs in progress with their expected end, late ones first. Updated when a forecast has moved by about "
        "a tenth of the run.",
        examples=[[{"name": "nightly-etl-x7k2p", "expectedEnd": "2027-02-01T00:34:00Z"}]],
        json_schema_extra=schema(list_map="name"),
    )
    runs: RunsStatus | None = Field(
        default=None, description="Runs analyzed.", examples=[{"observed": 30, "succeeded": 29}]
    )
    score: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Score of the workflow, 100 is best: the weighted sum of scoreParts less their deductions.",
        examples=[74],
        json_schema_extra=schema(unit="points of 100"),
    )
    score_parts: tuple[Line160, ...] = Field(
        default=(),
        max_length=10,
        description="Parts of the score, one per line.",
        examples=[["stability: 13 of 20, run time varies by 34% of its mean"]],
    )
    steps: tuple[Line400, ...] = Field(
        default=(),
        max_length=20,
        description="Steps, one line each: executions, durations, failures, critical-path time, and marks.",
        examples=[
            ["train: 30 executions; p50 4m08s, p95 4m58s; critical-path time 4m01s; mean 4m10s, min 3m50s, max 5m02s"]
        ],
    )
    summary: SummaryStatus | None = Field(
        default=None, description="Figures shown by kubectl get.", examples=[{"target": "WorkflowTemplate/nightly-etl"}]
    )
