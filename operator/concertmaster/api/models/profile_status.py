"""The status of a WorkflowProfile: the analysis as people read it.

``kubectl describe`` is the screen and sorts keys by bytes, so the names are chosen to read well in that order: advice
comes first, and every recommendation opens with its action. All values are one line each.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from concertmaster.api.models.base import (
    ApiModel,
    Line80,
    Line160,
    Line400,
    Line1000,
    RecommendationId,
    Timestamp,
    schema,
)
from concertmaster.api.models.change import Verdict
from concertmaster.api.models.common import (
    Condition,
    Level,
    conditions_field,
    observed_generation_field,
)
from concertmaster.api.scalars import Amount, Percent


class Category(StrEnum):
    """What a recommendation improves."""

    PERFORMANCE = "Performance"
    COST = "Cost"
    RELIABILITY = "Reliability"
    SCALABILITY = "Scalability"
    BEST_PRACTICE = "BestPractice"


class Severity(StrEnum):
    """How much a recommendation matters."""

    INFO = "Info"
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"


class RecommendationState(StrEnum):
    """Where a recommendation is in its life."""

    ACTIVE = "Active"
    DISMISSED = "Dismissed"
    IMPLEMENTED = "Implemented"
    OBSOLETE = "Obsolete"


_NUMBER = r"[+-]?[0-9]{1,6}([.][0-9])?"
EffectLine = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(Duration|Cost|Failures)( {_NUMBER} %( [(]{_NUMBER} to {_NUMBER} %[)])?)?$", max_length=80
    ),
    Field(
        json_schema_extra=schema(
            unit="percent of Duration or Cost of a run, or points of Failures; negative is less",
            forms='a measure with its relative change, such as "Cost -58 % (-62 to -54 %)"',
        )
    ),
]
SetLine = Annotated[
    str,
    StringConstraints(pattern=r"^/[^ ]+: .+ -> .+$", max_length=1000),
    Field(json_schema_extra=schema(forms='a path with two values, such as "/spec/parallelism: 2 -> 8"')),
]
_SETS = "/spec/templates/transform/container/resources/requests/memory: 2Gi -> 832Mi"


def _sets() -> Any:
    return Field(
        default=None,
        description="The fields it sets in the object that defines the workflow: path, value when it was advised, advised "
        "value. Elements of lists are named, not counted; long values stand as their digest.",
        examples=[_SETS],
    )


def _promised() -> Any:
    return Field(
        default=None,
        description="What it promises, in the measure it will be judged by; the measure alone when no number can be "
        "promised.",
        examples=["Cost -58 % (-62 to -54 %)"],
    )


def _since() -> Any:
    return Field(default=None, description="Since when it is in this state.", examples=["2027-01-31T00:40:00Z"])


def _dismissal() -> Any:
    return Field(
        default=None,
        description="The decision of spec.dismissals it was last held against: reason and expiration.",
        examples=["peak at month end, until 2027-01-31T00:00:00Z"],
    )


def _note() -> Any:
    return Field(
        default=None,
        description="Why it is in this state, where that needs a word.",
        examples=["the runs no longer show what it rested on"],
    )


class RecommendationStatus(ApiModel):
    """One recommendation as flat lines of text; evidence and patches come from ``kubectl concertmaster explain``."""

    action: Line160 = Field(
        description="What to do.", examples=["Lower the memory request of step transform from 2Gi to 832Mi"]
    )
    because: Line400 = Field(
        description="The observation behind it, with numbers and window.",
        examples=["30 runs in 14d peaked at 498Mi, 25 % of the request"],
    )
    category: Category = Field(description="What it improves.", examples=["Cost"])
    current: Line160 = Field(description="The value now.", examples=["2Gi"])
    dismissal: Line400 | None = _dismissal()
    effort: Level = Field(description="Work it takes.", examples=["Low"])
    evidence: Line400 | None = Field(
        default=None,
        description="What the advice rests on beyond its reason.",
        examples=["per-run peaks: smallest 441Mi, median 470Mi, largest 498Mi over 30 runs"],
    )
    expected: Line160 = Field(
        description="Predicted effect as a range with the likely value.",
        examples=["12 to 19 %, likely 15 % (4m10s) of each run"],
    )
    how: Line1000 = Field(
        description="One command that shows or makes the change.",
        examples=["kubectl concertmaster explain nightly-etl memory-request.transform"],
    )
    id: RecommendationId = Field(
        description="Stable id: the rule and, where it applies, the step.", examples=["memory-request.transform"]
    )
    note: Line400 | None = _note()
    otherwise: Line400 | None = Field(
        default=None,
        description="What happens if nothing is done.",
        examples=["1.2Gi stay reserved without use in every run"],
    )
    promised: EffectLine | None = _promised()
    proposed: Line160 = Field(description="The value to set.", examples=["832Mi"])
    risk: Level = Field(description="Risk of the change.", examples=["Low"])
    sets: SetLine | None = _sets()
    severity: Severity = Field(description="How much it matters.", examples=["Medium"])
    since: Timestamp | None = _since()
    state: RecommendationState = Field(description="Where it is in its life.", examples=["Active"])
    track_record: Line400 | None = Field(
        default=None,
        description="How well this rule's promises came out so far, and what this one is worth by that.",
        examples=["this rule's promises held 12 of 14 times, median 0.9 x; this one counts as 0.92 x"],
    )


class RemainingStatus(ApiModel):
    """A recommendation that is not among those told in full: what must be remembered of it."""

    action: Line160 = Field(
        description="What to do.", examples=["Lower the memory request of step transform from 2Gi to 832Mi"]
    )
    category: Category | None = Field(default=None, description="What it improves.", examples=["Cost"])
    dismissal: Line400 | None = _dismissal()
    id: RecommendationId = Field(
        description="Stable id: the rule and, where it applies, the step.", examples=["memory-request.transform"]
    )
    note: Line400 | None = _note()
    promised: EffectLine | None = _promised()
    sets: SetLine | None = _sets()
    severity: Severity | None = Field(default=None, description="How much it matters.", examples=["Medium"])
    since: Timestamp | None = _since()
    state: RecommendationState = Field(description="Where it is in its life.", examples=["Dismissed"])


class ResultStatus(ApiModel):
    """One recommendation that somebody carried out, by hand, through Git or by letting the operator do it, and what the
    runs after it showed."""

    action: Line160 = Field(
        description="What was done.", examples=["Lower the memory request of step transform from 2Gi to 832Mi"]
    )
    baseline_runs: int | None = Field(default=None, ge=0, description="Runs before it.", examples=[30])
    by: Line160 = Field(
        description="The field manager that wrote it, as in metadata.managedFields of the object.",
        examples=["kustomize-controller"],
    )
    effect: Line400 | None = Field(
        default=None,
        description="What it brought, as a sentence.",
        examples=[
            "Improved: 55 % less reserved per run (50 to 60 %), promised 58 %; 12 runs after it against 30 before"
        ],
    )
    fingerprint: Line160 | None = Field(
        default=None,
        description="Fingerprint of the workflow's definition with it, while it is being measured.",
        examples=["9f2c41d07be3"],
    )
    id: RecommendationId = Field(
        description="Id of the recommendation behind it.", examples=["memory-request.transform"]
    )
    judged: Timestamp | None = Field(
        default=None, description="When the verdict fell.", examples=["2027-02-07T00:40:00Z"]
    )
    measured: EffectLine | None = Field(
        default=None, description="What was measured.", examples=["Cost -55 % (-60 to -50 %)"]
    )
    promised: EffectLine | None = _promised()
    sets: SetLine | None = _sets()
    since: Timestamp | None = Field(
        default=None, description="When it was carried out.", examples=["2027-01-31T00:40:00Z"]
    )
    undone: bool | None = Field(
        default=None,
        description="Whether it was taken back since.",
        examples=[False],
        json_schema_extra=schema(default="false"),
    )
    until: Timestamp | None = Field(
        default=None,
        description="When the workflow was changed otherwise: later runs do not count.",
        examples=["2027-02-03T10:00:00Z"],
    )
    verdict: Verdict | None = Field(
        default=None,
        description="What the runs after it showed; none while they are waited for.",
        examples=["Improved"],
    )
    verified_runs: int | None = Field(default=None, ge=0, description="Runs after it.", examples=[12])


class RunsStatus(ApiModel):
    """How many runs the analysis rests on."""

    failed: int | None = Field(default=None, ge=0, description="Runs that failed.", examples=[1])
    first_start: Timestamp | None = Field(
        default=None, description="Start of the oldest run looked at.", examples=["2027-01-17T00:00:00Z"]
    )
    last_end: Timestamp | None = Field(
        default=None, description="End of the newest run looked at.", examples=["2027-01-31T00:34:00Z"]
    )
    next_expected: Timestamp | None = Field(
        default=None, description="When the next run is due by the schedule.", examples=["2027-02-01T00:00:00Z"]
    )
    observed: int | None = Field(default=None, ge=0, description="Finished runs looked at.", examples=[30])
    succeeded: int | None = Field(default=None, ge=0, description="Runs that succeeded.", examples=[29])
    unknown: int | None = Field(
        default=None, ge=0, description="Runs whose outcome could not be seen; they count in no rate.", examples=[0]
    )


class SummaryStatus(ApiModel):
    """The figures of one line of ``kubectl get``."""

    cost_per_run: Amount | None = Field(
        default=None,
        description="Mean cost of a run.",
        examples=["0.42"],
        json_schema_extra=schema(unit="the currency of the policy's pricing"),
    )
    open: int | None = Field(default=None, ge=0, description="Active recommendations.", examples=[3])
    p50: Line80 | None = Field(default=None, description="Median duration of a run.", examples=["21m4s"])
    p95: Line80 | None = Field(default=None, description="95th percentile of the duration.", examples=["34m10s"])
    p99: Line80 | None = Field(default=None, description="99th percentile of the duration.", examples=["41m"])
    success_percent: Percent | None = Field(
        default=None, description="Share of finished runs that succeeded.", examples=["96.7"]
    )
    target: Line400 | None = Field(
        default=None, description="The workflow as kind and name.", examples=["WorkflowTemplate/nightly-etl"]
    )
    top: Annotated[str, StringConstraints(pattern=r"^[^\r\n]*$", max_length=60)] | None = Field(
        default=None, description="The most valuable action in short.", examples=["train: cpu 500m -> 2, 15 % faster"]
    )


class WorkflowProfileStatus(ApiModel):
    """The analysis. At most 16 KiB; the keys are named so that their alphabetical order is the reading order."""

    advice: tuple[Line1000, ...] = Field(
        default=(),
        max_length=10,
        description="The analysis in plain sentences with numbers, most important first.",
        examples=[["Step train holds 61 % of the critical path over 30 runs."]],
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
        examples=[["The next run will take about 21m04s, with 90 % probability 19m10s to 24m30s"]],
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
        examples=[["duration p95: Met, 7m11s of 10m00s, 28 % to spare; trend steady"]],
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
        description="Recommendations not told in full, most important first: Active ones beyond the first five, and what "
        "was implemented lately, dismissed or became obsolete.",
        examples=[[{"id": "memory-request.load", "state": "Dismissed"}]],
        json_schema_extra=schema(list_map="id"),
    )
    results: tuple[ResultStatus, ...] = Field(
        default=(),
        max_length=10,
        description="What became of recommendations that were carried out, newest first. From these, and from retained "
        "WorkflowChanges, rules learn what their promises are worth.",
        examples=[[{"id": "memory-request.transform", "verdict": "Improved"}]],
    )
    runs: RunsStatus | None = Field(
        default=None, description="The runs the analysis rests on.", examples=[{"observed": 30, "succeeded": 29}]
    )
    score: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="How well the workflow runs, 100 is best; the weighted sum of scoreParts.",
        examples=[74],
        json_schema_extra=schema(unit="points of 100"),
    )
    score_parts: tuple[Line160, ...] = Field(
        default=(),
        max_length=10,
        description="Where the score comes from, one part per line.",
        examples=[["stability: 13 of 20, run time varies by 34 % of its mean"]],
    )
    steps: tuple[Line400, ...] = Field(
        default=(),
        max_length=20,
        description="The steps, one line each: executions, times, failures, how they hold the run back, and marks.",
        examples=[["train: 30 executions, mean 4m10s, 3m50s to 5m02s, p95 4m58s, CV 0.08; drag 4m01s"]],
    )
    summary: SummaryStatus | None = Field(
        default=None, description="The figures of kubectl get.", examples=[{"target": "WorkflowTemplate/nightly-etl"}]
    )
