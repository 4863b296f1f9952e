"""Conditions of the custom resources: types, reasons, and updates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class ConditionType(StrEnum):
    """Condition types, in the order in which they are listed. True is always the good state, except for Restored and
    Orphaned, which record an event."""

    READY = "Ready"
    METRICS_AVAILABLE = "MetricsAvailable"
    TARGET_RESOLVED = "TargetResolved"
    OBJECTIVES_MET = "ObjectivesMet"
    WRITE_ACCESS = "WriteAccess"
    APPROVED = "Approved"
    APPLIED = "Applied"
    VERIFIED = "Verified"
    RESTORED = "Restored"
    ORPHANED = "Orphaned"


class Reason(StrEnum):
    """Reason of a condition. The text beside each value is its documentation."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.meaning = meaning
        return reason

    # Ready of a profile
    BACKFILLING = (
        "Backfilling",
        "The window is being read for the first time; recommendations follow, or rest on its newest runs.",
    )
    ANALYZED = "Analyzed", "The runs were analyzed; the recommendations are up to date."
    TOO_FEW_RUNS = (
        "TooFewRuns",
        "Fewer finished runs than analysis.minRuns; the message tells when the next is expected.",
    )
    NO_RUNS = "NoRuns", "No finished run of this workflow was found in the window."
    STALE = "Stale", "The data could not be updated; the message names the time up to which they go."
    ANALYSIS_FAILED = "AnalysisFailed", "The analysis failed with an internal error; earlier recommendations stay."
    PENDING = "Pending", "Not known yet; the message says why."
    # Ready of a policy, and of anything a person wrote
    ACTIVE = "Active", "The policy is in force as written."
    SUSPENDED = "Suspended", "The policy is suspended: it analyses, but discovers and changes nothing."
    NO_MATCHES = "NoMatches", "No profile is selected by this policy, or another policy wins for all of them."
    INVALID_SPEC = "InvalidSpec", "The spec has an invalid or unsupported value; the message names the field."
    UNKNOWN_RULE = "UnknownRule", "The spec names a rule or a setting that does not exist; everything else is in force."
    UNKNOWN_DISMISSAL = (
        "UnknownDismissal",
        "spec.dismissals names a rule or a step that does not exist; everything else is in force.",
    )
    # MetricsAvailable
    COMPLETE = "Complete", "Every query of the last cycle came back whole."
    PARTIAL = "Partial", "Some data is missing; the message names the series and the setting that brings it."
    CLOCK_SKEW = (
        "ClockSkew",
        "The clocks of the operator and the metrics source differ by minutes or more; the newest runs may be missing.",
    )
    SOURCE_UNKNOWN = "SourceUnknown", "metricsSource names no source of the operator's configuration."
    SOURCE_UNREACHABLE = "SourceUnreachable", "The metrics source cannot be reached or answers with errors."
    SOURCE_REFUSED = "SourceRefused", "The metrics source refused a query, a login or the tenant."
    SOURCE_TIMED_OUT = "SourceTimedOut", "The metrics source did not answer in time."
    NOT_PROMETHEUS = "NotPrometheus", "Something answers at the source's address, but not a Prometheus API."
    QUERY_INVALID = "QueryInvalid", "A query of the spec is no PromQL, or tries to leave its namespace."
    SERIES_MISSING = "SeriesMissing", "The source has none of the series the analysis needs."
    # TargetResolved
    FOUND = "Found", "The workflow's definition was found and understood."
    SHARED_TARGET = (
        "SharedTarget",
        "Several profiles describe the workflow; the message says which one is used for changes.",
    )
    NOT_FOUND = "NotFound", "The object that workflowRef names does not exist; earlier recommendations stay."
    KIND_MISSING = "KindMissing", "The cluster does not have this kind of object; its engine is not installed."
    FORBIDDEN = "Forbidden", "The operator may not read this kind of object here; the message names the right."
    GRAPH_INVALID = "GraphInvalid", "The graph has a cycle, an unknown dependency or a name twice."
    UNSUPPORTED = "Unsupported", "The definition uses something the analysis cannot follow."
    NO_DEFINITION = "NoDefinition", "Runs are selected without a definition; the graph is inferred from their times."
    TARGET_UNAVAILABLE = "TargetUnavailable", "The API server did not answer the question for the target."
    # ObjectivesMet
    MET = "Met", "Every objective is met."
    MISSED = "Missed", "At least one objective is missed; the message lists them with target and figure."
    UNDECIDED = "Undecided", "There is not enough data to judge at least one objective, and none is missed."
    CONTRADICTORY = "Contradictory", "Objectives of profile and policy exclude one another."
    # WriteAccess
    GRANTED = "Granted", "The operator has the rights the policy's mode needs."
    DENIED = "Denied", "The operator lacks a right (the message carries the Helm value), or admission denies the write."
    NOT_NEEDED = (
        "NotNeeded",
        "The policy's mode needs no right to write, or it governs nothing that the operator changes.",
    )
    # WorkflowChange
    WAITING = "Waiting", "The plan waits for a decision."
    APPROVED = "Approved", "A user approved the plan."
    AUTOMATIC = "Automatic", "The policy's mode Auto approved the plan."
    REJECTED = "Rejected", "A user rejected the plan."
    APPLIED = "Applied", "The change was written."
    CHECK_BLOCKED = "CheckBlocked", "A check blocks the change; the message names it."
    CONFLICT = "Conflict", "Somebody else changed the target; the plan is made anew."
    WRITE_FAILED = "WriteFailed", "The API server refused the write; the message says why."
    IN_PROGRESS = "InProgress", "Runs after the change are being collected."
    IMPROVED = "Improved", "The runs after the change reached its aim."
    SAME = "Same", "The runs after the change are as they were."
    WORSE = "Worse", "The runs after the change are worse."
    INCONCLUSIVE = "Inconclusive", "There were too few runs to tell in time."
    ROLLED_BACK = "RolledBack", "The change was rolled back."
    KEPT = "Kept", "The change stays."
    POLICY_GONE = (
        "PolicyGone",
        "The policy was deleted or suspended; nothing more is written. The message says how to undo.",
    )
    PROFILE_GONE = "ProfileGone", "The profile was deleted; nothing more is written. The message says how to undo."
    NOT_IN_JOURNAL = (
        "NotInJournal",
        "The operator's journal does not hold this change, so nothing is written on its word. The message says how to undo.",
    )
    OUT_OF_BOUNDS = (
        "OutOfBounds",
        "The previous value is outside apply.bounds, so the rollback is left to you. The message has the command.",
    )
    SUPERSEDED = "Superseded", "A newer plan took this one's place."


# Failures of a metrics source as a whole: every profile that uses it reports the same message.
SOURCE_FAULTS = frozenset(
    {
        Reason.STALE,
        Reason.SOURCE_UNREACHABLE,
        Reason.SOURCE_REFUSED,
        Reason.SOURCE_TIMED_OUT,
        Reason.NOT_PROMETHEUS,
        Reason.SERIES_MISSING,
    }
)


@dataclass(frozen=True, slots=True)
class ConditionUpdate:
    """New value of a condition. ``status`` None is Unknown."""

    type: ConditionType
    status: bool | None
    reason: Reason
    message: str
