"""What is in force for one profile: policy and profile merged, every default filled in, every scalar a number.

Whoever acts on a policy reads this and never the resources, so that "not set" is decided once. Units as in the whole
project: seconds, shares from 0 to 1, cores, bytes, the pricing's currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from concertmaster.api.models.common import ExtraMetric
from concertmaster.core.model.enums import ApplyMode, ChangeKind, GitOps, Level, OnSame


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """Names a policy. ``namespace`` is None for a cluster policy."""

    kind: str
    namespace: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class EffectiveAnalysis:
    """How much history is looked at."""

    window_seconds: float
    min_runs: int
    max_runs: int
    score_weights: Mapping[str, int] = field(default_factory=dict)  # points by part; empty: the built-in ones


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Longest acceptable durations in seconds; None is no objective."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class EffectiveObjectives:
    """Objectives in force. Shares are 0 to 1, costs in the pricing's currency; None is no objective.

    The defaults are the ones of the systems this project grew from: success 95 %, failed attempts 10 %, cache hits
    85 %. Utilization has none: before anybody sized anything nearly every workflow would miss it, and a condition that
    is false everywhere tells nothing.
    """

    duration: Quantiles = Quantiles()
    duration_by_type: Mapping[str, float] = field(default_factory=dict)  # type -> median seconds; empty: off
    queue_time: Quantiles = Quantiles()
    min_success: float = 0.95
    max_step_failure: float = 0.10
    max_cost_per_run: float | None = None
    min_throughput_per_hour: float | None = None
    min_cache_hit: float = 0.85
    target_cpu_utilization: float | None = None
    target_memory_utilization: float | None = None
    budgets: Mapping[str, float] = field(default_factory=dict)  # metric -> most per run


@dataclass(frozen=True, slots=True)
class EffectivePricing:
    """Prices in ``currency`` per core-hour, GiB-hour and unit of a metric. None: not known, so nothing is priced by it.

    The built-in prices are round figures near the public on-demand prices of the large clouds.
    """

    currency: str = "USD"
    cpu_core_hour: float | None = 0.031
    memory_gib_hour: float | None = 0.004
    units: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EffectiveRule:
    """Whether a rule may speak, and its settings as written."""

    enabled: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EffectiveBounds:
    """What a change may set: cores, bytes, pods at a time; ``max_step`` is the largest relative step (0.5 is half)."""

    cpu_min: float
    cpu_max: float
    memory_min: float
    memory_max: float
    parallelism_min: int
    parallelism_max: int
    max_step: float


@dataclass(frozen=True, slots=True)
class EffectiveWindow:
    """A span in which changes may be made: a cron line, its time zone and the seconds it stays open."""

    schedule: str
    time_zone: str
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class EffectiveVerify:
    """How a change is proven."""

    min_runs: int
    max_runs: int
    max_age_seconds: float
    on_same: OnSame
    on_inconclusive: OnSame


@dataclass(frozen=True, slots=True)
class EffectiveApply:
    """What may be changed. An empty ``windows`` means at any time."""

    mode: ApplyMode
    allow: frozenset[ChangeKind]
    max_risk: Level
    bounds: EffectiveBounds
    min_change: float  # share, 0 to 1
    cooldown_seconds: float
    windows: tuple[EffectiveWindow, ...]
    max_in_flight: int
    change_history_limit: int
    verify: EffectiveVerify
    git_ops: GitOps


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """Everything in force for one profile.

    ``source`` is None when no policy selects the profile: then the defaults hold, and nothing is changed.
    ``problems`` are contradictions a person must resolve, ``notes`` say why less is done than the policy's mode allows;
    both are sentences.
    """

    source: PolicyRef | None
    suspended: bool
    metrics_source: str
    analysis: EffectiveAnalysis
    objectives: EffectiveObjectives
    pricing: EffectivePricing
    rules: Mapping[str, EffectiveRule]
    extra_metrics: tuple[ExtraMetric, ...]
    apply: EffectiveApply
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def rule(self, name: str) -> EffectiveRule:
        """The rule's settings; a rule nobody mentions is enabled without settings."""
        return self.rules.get(name, EffectiveRule())
