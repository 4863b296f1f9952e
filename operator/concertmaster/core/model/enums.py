"""Enumerations of the custom resources, shared by the API models and the core."""

from __future__ import annotations

from enum import StrEnum


class Category(StrEnum):
    """What a recommendation improves."""

    PERFORMANCE = "Performance"
    COST = "Cost"
    RELIABILITY = "Reliability"
    SCALABILITY = "Scalability"
    BEST_PRACTICE = "BestPractice"


class Severity(StrEnum):
    """Severity of a recommendation; each rule's page states the criteria."""

    INFO = "Info"
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"


class Level(StrEnum):
    """A three-step scale of risk or effort."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


class RecommendationState(StrEnum):
    """The lifecycle state of a recommendation."""

    ACTIVE = "Active"
    DISMISSED = "Dismissed"
    IMPLEMENTED = "Implemented"
    OBSOLETE = "Obsolete"


class ApplyMode(StrEnum):
    """What the operator may apply automatically."""

    RECOMMEND = "Recommend"
    APPROVE = "Approve"
    AUTO = "Auto"


class ChangeKind(StrEnum):
    """What kind of field a change sets."""

    PARALLELISM = "Parallelism"
    RESOURCES = "Resources"


class OnSame(StrEnum):
    """What to do with a change whose verdict is Same or Inconclusive."""

    KEEP = "Keep"
    RESTORE = "Restore"


class GitOps(StrEnum):
    """How objects owned by Argo CD, Flux or Helm are treated."""

    SUGGEST = "Suggest"
    APPLY = "Apply"


class RuleMode(StrEnum):
    """Whether a rule runs."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class StepQuery(StrEnum):
    """What a query returns for a step without pods; values are field names of the resource."""

    DURATION = "durationQuery"
    START = "startQuery"
    END = "endQuery"
    OUTCOME = "outcomeQuery"
    ATTEMPTS = "attemptsQuery"


class MetricRole(StrEnum):
    """What an extra metric measures, so that rules and reports can use it."""

    INPUT_SIZE = "InputSize"
    TOKENS = "Tokens"
    COST = "Cost"
    CACHE_HITS = "CacheHits"
    ERRORS = "Errors"
    ITEMS = "Items"


PAID = (MetricRole.COST, MetricRole.TOKENS)
"""What is paid for, by model where the label ``model`` says which."""


class InputUnit(StrEnum):
    """Unit of an input size."""

    BYTES = "Bytes"
    COUNT = "Count"


class Per(StrEnum):
    """Whether a value of an extra metric belongs to a run or to a step."""

    RUN = "Run"
    STEP = "Step"


class Decision(StrEnum):
    """Decision of a person on a change."""

    APPROVE = "Approve"
    REJECT = "Reject"


class ChangePhase(StrEnum):
    """The phase of a WorkflowChange."""

    PROPOSED = "Proposed"
    APPLIED = "Applied"
    VERIFYING = "Verifying"
    COMPLETED = "Completed"
    CONFLICT = "Conflict"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"


class Verdict(StrEnum):
    """The outcome of a verification, as the WorkflowChange states it."""

    IMPROVED = "Improved"
    SAME = "Same"
    WORSE = "Worse"
    INCONCLUSIVE = "Inconclusive"


class PriceSource(StrEnum):
    """Where the prices of CPU, memory and GPUs come from."""

    FLAT = "Flat"
    NODE_TABLE = "NodeTable"
    OPEN_COST = "OpenCost"


class NotifyEvent(StrEnum):
    """Events a receiver can be notified of."""

    DEGRADED = "Degraded"
    OBJECTIVE_MISSED = "ObjectiveMissed"
    RUN_LATE = "RunLate"
    APPROVAL_REQUIRED = "ApprovalRequired"
    APPLIED = "Applied"
    KEPT = "Kept"
    ROLLED_BACK = "RolledBack"
    ORPHANED = "Orphaned"
    WEEKLY_DIGEST = "WeeklyDigest"


class ReceiverFormat(StrEnum):
    """Message format of a receiver."""

    SLACK = "Slack"
    ALERTMANAGER = "Alertmanager"
    JSON = "JSON"
    EMAIL = "Email"


class RuleName(StrEnum):
    """Names of the rules, as policies, ids of recommendations and dismissals have them."""

    BATCH_SMALL_STEPS = "batch-small-steps"
    BEST_PRACTICES = "best-practices"
    BOTTLENECK = "bottleneck"
    BUDGET = "budget"
    CACHE_STEP = "cache-step"
    CPU_REQUEST = "cpu-request"
    DATA_QUALITY = "data-quality"
    DEGRADATION = "degradation"
    DEMAND_FORECAST = "demand-forecast"
    FAILING_STEP = "failing-step"
    GPU_REQUEST = "gpu-request"
    IO_BOUND = "io-bound"
    MEMORY_REQUEST = "memory-request"
    NODE_SKEW = "node-skew"
    OBJECTIVE_AT_RISK = "objective-at-risk"
    OVERLAP_STAGES = "overlap-stages"
    OVERLAPPING_RUNS = "overlapping-runs"
    PARALLEL_STEPS = "parallel-steps"
    PARALLELISM = "parallelism"
    QUEUE_TIME = "queue-time"
    RETRY_POLICY = "retry-policy"
    RIGHT_SIZE = "right-size"
    SCHEDULE_CLASH = "schedule-clash"
    SIDECAR_OVERHEAD = "sidecar-overhead"
    SPLIT_LONG_STEP = "split-long-step"
    STRAGGLER = "straggler"
    TIMEOUT = "timeout"
    VARIANCE = "variance"
    VOLUME_SIZE = "volume-size"
