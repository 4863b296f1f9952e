"""Shared data types: observations (facts, run records) and declarations (definitions).

All values are frozen, so that analysis can be pure and tests can compare whole objects. Units are fixed: times are unix
seconds (float), durations seconds, CPU is cores or core-seconds, memory bytes. ``None`` means *unknown*; it is never
replaced by zero, because a recommendation based on an invented zero is worse than none.
"""

from concertmaster.core.model.daily import DailyPeaks
from concertmaster.core.model.definitions import (
    POD,
    TASK,
    UNKNOWN_STEP,
    ContainerSpec,
    GroupLimit,
    NameSegment,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from concertmaster.core.model.engines import EngineTraits, ObjectKind, PatchableKinds, Scheduler
from concertmaster.core.model.enums import Category, InputUnit, Level, MetricRole, RuleName, Severity
from concertmaster.core.model.facts import AnswerFact, ContainerFact, JobFact, PodFact, VolumeUse
from concertmaster.core.model.inputs import InputSource
from concertmaster.core.model.pod_labels import LabelRequirement, PodLabels
from concertmaster.core.model.recommendations import Edit, Finding, Impact, Interval, Recommendation, SizeItem
from concertmaster.core.model.runs import (
    ITEM_JOIN,
    REUSED,
    RUN_TIMEOUT,
    STOPPED,
    UNNAMED_ITEM,
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    SuspendedRun,
    Suspension,
    in_group,
    without_pauses,
)

__all__ = [
    "ITEM_JOIN",
    "POD",
    "REUSED",
    "RUN_TIMEOUT",
    "STOPPED",
    "TASK",
    "UNKNOWN_STEP",
    "UNNAMED_ITEM",
    "AnswerFact",
    "Category",
    "ContainerFact",
    "ContainerSpec",
    "DailyPeaks",
    "Edit",
    "EngineTraits",
    "Finding",
    "GroupLimit",
    "Impact",
    "InputSource",
    "InputUnit",
    "Interval",
    "JobFact",
    "LabelRequirement",
    "Level",
    "MetricRole",
    "NameSegment",
    "ObjectKind",
    "Outcome",
    "PatchableKinds",
    "PodFact",
    "PodLabels",
    "Recommendation",
    "RuleName",
    "RunRecord",
    "Scheduler",
    "Severity",
    "SizeItem",
    "Source",
    "StepExecution",
    "StepSpec",
    "SuspendedRun",
    "Suspension",
    "VolumeUse",
    "WorkflowDefinition",
    "WorkflowGraph",
    "WorkflowKey",
    "in_group",
    "without_pauses",
]
