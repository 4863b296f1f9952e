"""Recommendations in the status of a WorkflowProfile: the ones listed in full, what is remembered of the others, and what
became of those that were applied.

Flat objects of one-line strings whose alphabetical order is the reading order, as in all of the status.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from concertmaster.api.models.base import ApiModel, Line160, Line400, Line1000, RecommendationId, Timestamp, schema
from concertmaster.core.lifecycle.implementation import MAX_LINE
from concertmaster.core.model.enums import Category, Level, RecommendationState, Severity, Verdict
from concertmaster.core.model.scalars import Percent

_NUMBER = r"[+-]?[0-9]{1,6}([.][0-9])?"
EffectLine = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(Duration|Cost|Failures)( {_NUMBER} ?%( [(]{_NUMBER} to {_NUMBER} ?%[)])?)?$", max_length=80
    ),
    Field(
        json_schema_extra=schema(
            unit="percent of Duration or Cost of a run, or points of Failures; negative is less",
            forms='a measure with its relative change, such as "Cost -58% (-62 to -54%)"',
        )
    ),
]
SetLine = Annotated[
    str,
    StringConstraints(pattern=r"^/[^ ]+: .+ -> .+$", max_length=MAX_LINE),
    Field(json_schema_extra=schema(forms='a path with two values, such as "/spec/parallelism: 2 -> 8"')),
]
ImpactLine = Annotated[
    str,
    StringConstraints(pattern=r"^(not measured|[0-9].* a month)$", max_length=160),
    Field(
        json_schema_extra=schema(
            unit="run time saved, failed runs avoided and money saved in 30 days, each with its 90% interval",
            forms='amounts a month, such as "41 run-hours (35 to 47), 12.5 USD (10 to 15) a month"',
        )
    ),
]
_SETS = "/spec/templates/transform/container/resources/requests/memory: 2Gi -> 832Mi"


def _because(**default: Any) -> Any:
    return Field(
        **default,
        description="Evidence, with numbers and window.",
        examples=["30 runs in 14d peaked at 498Mi, 25% of the request"],
    )


def _effort(**default: Any) -> Any:
    return Field(**default, description="Effort of the change.", examples=["Low"])


def _expected(**default: Any) -> Any:
    return Field(
        **default,
        description="Predicted effect as a range with the likely value.",
        examples=["each run 12 to 19% shorter, likely 15% (4m10s)"],
    )


def _proposed(**default: Any) -> Any:
    return Field(**default, description="Proposed value.", examples=["832Mi"])


def _risk(**default: Any) -> Any:
    return Field(**default, description="Risk of the change.", examples=["Low"])


def _promised() -> Any:
    return Field(
        default=None,
        description="Expected effect in the measure of its verification, with the same interval as expected and impact; "
        "the measure alone when no number can be predicted. In results: the prediction when it was applied, whose interval "
        "also covers the variation of the runs that measure it.",
        examples=["Cost -58% (-62 to -54%)"],
    )


class RemainingStatus(ApiModel):
    """A recommendation that is not among those shown in full: without its command and the present value, and in a large
    status without reasons and figures."""

    action: Line160 = Field(
        description="Action to take.", examples=["Lower the memory request of step transform from 2Gi to 832Mi"]
    )
    because: Line400 | None = _because(default=None)
    category: Category | None = Field(default=None, description="What the recommendation improves.", examples=["Cost"])
    confidence: Percent | None = Field(default=None, description="Confidence in the recommendation.", examples=["90"])
    dismissal: Line400 | None = Field(
        default=None,
        description="Entry of spec.dismissals that applied last: reason and expiration.",
        examples=["peak at month end, until 2027-01-31T00:00:00Z"],
    )
    effort: Level | None = _effort(default=None)
    expected: Line400 | None = _expected(default=None)
    id: RecommendationId = Field(
        description="Stable id: the rule and, where it applies, the step.", examples=["memory-request.transform"]
    )
    impact: ImpactLine | None = Field(
        default=None,
        description="Value in absolute amounts, by which recommendations of all workflows are ranked.",
        examples=["41 run-hours (35 to 47), 12.5 USD (10 to 15) a month"],
    )
    items: tuple[Line160, ...] = Field(
        default=(),
        max_length=20,
        description="Values it sets, one line each: step, container and field, old and new value, peak, headroom.",
        examples=[["transform/main requests.memory: 2Gi -> 640Mi (peak 498Mi, headroom 29%)"]],
    )
    note: Line400 | None = Field(
        default=None,
        description="Reason for the state, where it is not obvious.",
        examples=["condition cleared in recent runs"],
    )
    promised: EffectLine | None = _promised()
    proposed: Line160 | None = _proposed(default=None)
    risk: Level | None = _risk(default=None)
    sets: SetLine | None = Field(
        default=None,
        description="Fields it sets in the object that defines the workflow: path, value when it was recommended, "
        "recommended value. List elements are addressed by name; long values are shown as their digest. A path that begins "
        "with /Task/NAME is in that Tekton Task.",
        examples=[_SETS],
    )
    severity: Severity | None = Field(default=None, description="Severity of the recommendation.", examples=["Medium"])
    since: Timestamp | None = Field(
        default=None, description="Time of the last change of the state.", examples=["2027-01-31T00:40:00Z"]
    )
    state: RecommendationState = Field(description="Lifecycle state.", examples=["Dismissed"])


class RecommendationStatus(RemainingStatus):
    """One recommendation as flat lines of text; evidence and patches come from ``kubectl concertmaster explain``."""

    because: Line400 = _because()
    category: Category = Field(description="What the recommendation improves.", examples=["Cost"])
    current: Line160 = Field(description="Current value.", examples=["2Gi"])
    effort: Level = _effort()
    expected: Line400 = _expected()
    how: Line1000 = Field(
        description="Command that shows or makes the change.",
        examples=["kubectl concertmaster explain nightly-etl memory-request.transform"],
    )
    otherwise: Line400 | None = Field(
        default=None,
        description="Consequence of doing nothing. No longer written; see kubectl concertmaster explain.",
        examples=["1.2Gi stay reserved without use in every run"],
    )
    proposed: Line160 = _proposed()
    risk: Level = _risk()
    severity: Severity = Field(description="Severity of the recommendation.", examples=["Medium"])
    state: RecommendationState = Field(description="Lifecycle state.", examples=["Active"])
    track_record: Line400 | None = Field(
        default=None,
        description="Accuracy of this rule's earlier predictions, and the factor applied to this one.",
        examples=[
            "predictions of this rule held in 12 of 14 changes, median effect 90% of the predicted; this one counts 92%"
        ],
    )


class ResultStatus(ApiModel):
    """One recommendation that somebody applied, by hand, through Git or by letting the operator do it, and what the
    runs after it showed."""

    action: Line160 = Field(
        description="Action taken.", examples=["Lower the memory request of step transform from 2Gi to 832Mi"]
    )
    baseline_runs: int | None = Field(default=None, ge=0, description="Runs before the change.", examples=[30])
    by: Line160 = Field(
        description="Field manager that wrote the change, as in metadata.managedFields of the object.",
        examples=["kustomize-controller"],
    )
    effect: Line400 | None = Field(
        default=None,
        description="Measured effect, as a sentence.",
        examples=["Improved: 55% less reserved per run (50 to 60%), predicted 58%; 12 runs after against 30 before"],
    )
    fingerprint: Line160 | None = Field(
        default=None,
        description="Fingerprint of the workflow's definition after the change, while it is being measured, behind the"
        " edition of the rules that made it. One of another edition is made anew.",
        examples=["2-9f2c41d07be3"],
    )
    id: RecommendationId = Field(
        description="Id of the recommendation behind it.", examples=["memory-request.transform"]
    )
    judged: Timestamp | None = Field(
        default=None, description="Time of the verdict.", examples=["2027-02-07T00:40:00Z"]
    )
    measured: EffectLine | None = Field(
        default=None, description="Measured effect.", examples=["Cost -55% (-60 to -50%)"]
    )
    promised: EffectLine | None = _promised()
    sets: SetLine | None = Field(
        default=None,
        description="Fields that were set in the object that defines the workflow: path, value before, value set, which may "
        "be a part of what was recommended.",
        examples=[_SETS],
    )
    since: Timestamp | None = Field(default=None, description="Time of the change.", examples=["2027-01-31T00:40:00Z"])
    undone: bool | None = Field(
        default=None,
        description="Whether the change was later rolled back or overwritten.",
        examples=[False],
        json_schema_extra=schema(default="false"),
    )
    until: Timestamp | None = Field(
        default=None,
        description="Time of the next change of the workflow; later runs are not counted.",
        examples=["2027-02-03T10:00:00Z"],
    )
    verdict: Verdict | None = Field(
        default=None,
        description="Verdict of the verification; absent while it is pending.",
        examples=["Improved"],
    )
    verified_runs: int | None = Field(default=None, ge=0, description="Runs after the change.", examples=[12])
