"""The ``apply`` part of a policy: what may be changed, within which bounds, when, and how a change is verified."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from concertmaster.api.models.base import ApiModel, rule, schema
from concertmaster.api.models.common import RUNS_ORDER
from concertmaster.core.model.enums import ApplyMode, ChangeKind, GitOps, Level, OnSame
from concertmaster.core.model.scalars import CpuQuantity, Duration, MemoryQuantity

Cron = Annotated[
    str,
    StringConstraints(pattern=r"^([-0-9A-Za-z*/,?#]{1,40} ){4}[-0-9A-Za-z*/,?#]{1,40}$", max_length=100),
    Field(
        json_schema_extra=schema(forms="a cron line of five fields (minute hour day month weekday), one space between")
    ),
]
TimeZone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][-+_A-Za-z0-9]*(/[-+_A-Za-z0-9]+)*$", max_length=64),
    Field(json_schema_extra=schema(forms="the name of a time zone, such as Europe/Berlin or UTC")),
]


# The server also judges the bare default {} before it fills in the fields, so every rule allows for their absence.
# isQuantity first: on a text that is none, quantity() would fail with a message about CEL instead of the value.
_ORDER_MESSAGE = "min must not be more than max (a bound left out keeps its default)"
_QUANTITY_ORDER = rule(
    "!has(self.min) || !has(self.max) || !isQuantity(self.min) || !isQuantity(self.max)"
    " || quantity(self.min).compareTo(quantity(self.max)) <= 0",
    _ORDER_MESSAGE,
)
_NUMBER_ORDER = rule("!has(self.min) || !has(self.max) || self.min <= self.max", _ORDER_MESSAGE)


class CpuBounds(ApiModel):
    """Limits of a CPU request."""

    model_config = ConfigDict(json_schema_extra=schema(rules=[_QUANTITY_ORDER]))

    max: CpuQuantity = Field(
        default=CpuQuantity("8"), description="Largest CPU request a change may set.", examples=["16"]
    )
    min: CpuQuantity = Field(
        default=CpuQuantity("50m"), description="Smallest CPU request a change may set.", examples=["100m"]
    )


class MemoryBounds(ApiModel):
    """Limits of a memory request."""

    model_config = ConfigDict(json_schema_extra=schema(rules=[_QUANTITY_ORDER]))

    max: MemoryQuantity = Field(
        default=MemoryQuantity("32Gi"), description="Largest memory request a change may set.", examples=["64Gi"]
    )
    min: MemoryQuantity = Field(
        default=MemoryQuantity("64Mi"), description="Smallest memory request a change may set.", examples=["128Mi"]
    )


class ParallelismBounds(ApiModel):
    """Limits of a parallelism setting."""

    model_config = ConfigDict(json_schema_extra=schema(rules=[_NUMBER_ORDER]))

    max: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="Largest parallelism a change may set.",
        examples=[128],
        json_schema_extra=schema(unit="pods at a time, 1 to 10000"),
    )
    min: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="Smallest parallelism a change may set.",
        examples=[2],
        json_schema_extra=schema(unit="pods at a time, 1 to 10000"),
    )


class BoundsSpec(ApiModel):
    """Bounds of the values a change may set."""

    cpu: CpuBounds = Field(default=CpuBounds(), description="Limits of CPU requests.", examples=[{"max": "16"}])
    max_step_percent: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="Largest step of one change, relative to the previous value. A right-sizing exceeds it where 20 runs "
        "stay far below the new value, or once its first step was verified.",
        examples=[25],
        json_schema_extra=schema(unit="percent, 1 to 1000"),
    )
    memory: MemoryBounds = Field(
        default=MemoryBounds(), description="Limits of memory requests.", examples=[{"max": "64Gi"}]
    )
    parallelism: ParallelismBounds = Field(
        default=ParallelismBounds(), description="Limits of parallelism settings.", examples=[{"max": 128}]
    )


class ChangeWindowSpec(ApiModel):
    """A recurring span of time in which changes may be made."""

    duration: Duration = Field(
        description="Duration of the window.",
        examples=["6h"],
        json_schema_extra=schema(
            rules=[
                rule(
                    "self >= duration('1m') && self <= duration('168h')", "duration must be at least 1m and at most 7d"
                )
            ]
        ),
    )
    schedule: Cron = Field(
        description="Start of the window, as a cron expression with five fields.",
        examples=["0 22 * * 1-5"],
        json_schema_extra=schema(unit="cron: minute hour day month weekday"),
    )
    time_zone: TimeZone = Field(
        default="UTC",
        description="Time zone of the schedule, as a name of the tz database; daylight saving time applies.",
        examples=["Europe/Berlin"],
    )


class VerifySpec(ApiModel):
    """Verification of a change on the runs after it."""

    model_config = ConfigDict(json_schema_extra=schema(rules=[RUNS_ORDER]))

    max_age: Duration = Field(
        default=Duration("7d"),
        description="Maximum duration of a verification; at least ten times the interval of its schedule applies.",
        examples=["14d"],
        json_schema_extra=schema(
            rules=[
                rule(
                    "self >= duration('1h') && self <= duration('8760h')", "maxAge must be at least 1h and at most 365d"
                )
            ]
        ),
    )
    max_runs: int = Field(
        default=30,
        ge=1,
        le=1000,
        description="Maximum number of runs before the verdict.",
        examples=[50],
        json_schema_extra=schema(unit="runs, 1 to 1000"),
    )
    min_runs: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Minimum number of runs before the change is kept; a regression ends the verification earlier.",
        examples=[10],
        json_schema_extra=schema(unit="runs, 1 to 1000"),
    )
    on_inconclusive: OnSame = Field(
        default=OnSame.KEEP,
        description="Action on a change whose effect could not be measured in time.",
        examples=["Restore"],
    )
    on_same: OnSame = Field(
        default=OnSame.RESTORE,
        description="Action on a change that was predicted to shorten runs and did not.",
        examples=["Keep"],
    )


class ApplySpec(ApiModel):
    """What the operator may change automatically."""

    allow: tuple[ChangeKind, ...] = Field(
        default=(ChangeKind.PARALLELISM, ChangeKind.RESOURCES),
        max_length=2,
        description="Kinds of fields that may be changed; an empty list allows none.",
        examples=[["Resources"]],
        json_schema_extra=schema(unique=True),
    )
    bounds: BoundsSpec = Field(
        default=BoundsSpec(),
        description="Bounds of the values a change may set.",
        examples=[{"maxStepPercent": 25}],
    )
    change_history_limit: int = Field(
        default=20,
        ge=1,
        le=200,
        description="Finished WorkflowChange objects kept per workflow; older ones are deleted.",
        examples=[50],
        json_schema_extra=schema(unit="objects, 1 to 200"),
    )
    cooldown: Duration = Field(
        default=Duration("24h"),
        description="Minimum time between changes of one workflow. Doubled after each rollback, up to 16 times the value.",
        examples=["12h"],
        json_schema_extra=schema(
            rules=[rule("self >= duration('0s') && self <= duration('2160h')", "cooldown must be at most 90d")]
        ),
    )
    git_ops: GitOps = Field(
        default=GitOps.SUGGEST,
        description="Objects owned by Argo CD, Flux or Helm: Suggest gives a patch to commit, Apply changes them although "
        "their owner may change them back.",
        examples=["Apply"],
    )
    max_in_flight: int = Field(
        default=1,
        ge=1,
        le=10,
        description="Maximum number of changes under verification at a time per workflow.",
        examples=[2],
        json_schema_extra=schema(unit="changes, 1 to 10"),
    )
    max_risk: Level = Field(
        default=Level.LOW, description="Highest risk of a change that is proposed or applied.", examples=["Medium"]
    )
    min_change_percent: int = Field(
        default=20,
        ge=0,
        le=100,
        description="Smallest difference from the current value that leads to a recommendation or a change.",
        examples=[30],
        json_schema_extra=schema(unit="percent, 0 to 100"),
    )
    mode: ApplyMode = Field(
        default=ApplyMode.RECOMMEND,
        description="Recommend writes recommendations only. Approve creates a WorkflowChange that waits for a decision. "
        "Auto applies the change, verifies it on the next runs and rolls it back when it did not help.",
        examples=["Approve"],
    )
    verify: VerifySpec = Field(
        default=VerifySpec(), description="Verification of a change on the runs after it.", examples=[{"minRuns": 10}]
    )
    windows: tuple[ChangeWindowSpec, ...] = Field(
        default=(),
        max_length=10,
        description="Change windows: changes are applied while at least one is open.",
        examples=[[{"schedule": "0 22 * * 1-5", "duration": "6h", "timeZone": "Europe/Berlin"}]],
        json_schema_extra=schema(default="at any time"),
    )
