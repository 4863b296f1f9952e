"""The effective policy of one workflow: policy and profile merged, all defaults applied, all scalars as numbers.

Each number has the same path from the resource to its use: ``spec.apply.bounds.maxStepPercent`` is
``policy.apply.bounds.max_step``. Units: seconds, shares from 0 to 1, cores, bytes, the pricing's currency. The defaults are
those of docs/reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from concertmaster.core.model.enums import (
    ApplyMode,
    ChangeKind,
    GitOps,
    InputUnit,
    Level,
    MetricRole,
    NotifyEvent,
    OnSame,
)
from concertmaster.core.model.inputs import ExtraMetric, InputSource, by_bytes_read, sources_of
from concertmaster.core.model.pricing import Pricing as Pricing  # re-exported as part of the policy
from concertmaster.core.units import DAY, GIB, MIB, WEEK

SCORE_WEIGHTS: Mapping[str, int] = {
    "success": 40,
    "efficiency": 25,
    "stability": 20,
    "objectives": 20,
    "speed": 20,
    "waiting": 15,
}
TARGET_CPU_UTILIZATION = 0.70
TARGET_MEMORY_UTILIZATION = 0.75


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """Reference to a policy. ``namespace`` is None for a cluster policy."""

    kind: str
    namespace: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Materiality:
    """Thresholds for publishing a recommendation: ``failed_runs`` avoided per month; or ``run_share`` of the run (0 to 1)
    and ``run_minutes`` per month; or ``money`` per month; or ``cost_share`` of the workflow's cost (0 to 1); or a missed
    objective. All zero: everything is published."""

    failed_runs: float = 1.0
    run_share: float = 0.05
    run_minutes: float = 30.0
    money: float = 1.0
    cost_share: float = 0.10


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """Window and thresholds of the analysis.

    ``score_weights``: points by part of the score. ``high_variance_cv``, ``over_allocated`` and ``under_allocated``:
    thresholds of a step's flags; ``min_coverage``: share of expected samples below which a step gets no size
    recommendation; ``max_failure``: accepted share of attempts that fail because of a memory size.
    """

    window_seconds: float = 14 * DAY
    min_runs: int = 5
    max_runs: int = 200
    score_weights: Mapping[str, int] = field(default_factory=lambda: dict(SCORE_WEIGHTS))
    high_variance_cv: float = 0.5
    over_allocated: float = 0.30
    under_allocated: float = 0.90
    min_coverage: float = 0.5
    memory_headroom: float = 0.10
    max_failure: float = 0.01
    materiality: Materiality = Materiality()
    learning: bool = True


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Duration targets in seconds; None is no objective."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    def targets(self) -> tuple[tuple[str, float, float], ...]:
        """Name, quantile (0 to 1) and target of each objective that is set."""
        rows = (("p50", 0.50, self.p50), ("p95", 0.95, self.p95), ("p99", 0.99, self.p99))
        return tuple((name, share, target) for name, share, target in rows if target is not None)


@dataclass(frozen=True, slots=True)
class Objectives:
    """Effective objectives. Shares are 0 to 1, costs in the pricing's currency; None is no objective.

    ``duration_by_type``: median seconds by type of workflow (empty: off); ``duration_note``: origin of the duration
    objective if it is such a template. ``budgets``: maximum per run, by metric.
    """

    duration: Quantiles = Quantiles()
    duration_by_type: Mapping[str, float] = field(default_factory=dict)
    duration_note: str = ""
    queue_time: Quantiles = Quantiles()
    min_success: float = 0.95
    max_step_failure: float = 0.10
    max_cost_per_run: float | None = None
    min_throughput_per_hour: float | None = None
    min_cache_hit: float = 0.85
    target_cpu_utilization: float | None = None
    target_memory_utilization: float | None = None
    budgets: Mapping[str, float] = field(default_factory=dict)

    @property
    def efficient_utilization(self) -> tuple[float, float]:
        """CPU and memory utilization with full marks in the score. The defaults are not objectives: nearly every workflow
        would miss them before its first right-sizing."""
        cpu, memory = self.target_cpu_utilization, self.target_memory_utilization
        return (
            TARGET_CPU_UTILIZATION if cpu is None else cpu,
            TARGET_MEMORY_UTILIZATION if memory is None else memory,
        )


def budget_of(metric: str) -> str:
    """What the budget of a metric is called, so that one of a metric named cost is not taken for the objective on money."""
    return f"metric-{metric}" if metric == "cost" else metric


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """Whether a rule runs, and the settings documented on its page (decimal strings, as in the resource)."""

    enabled: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str, default: float) -> float:
        """The setting as a number; the default when absent or not a finite number of at least 0 (see ``problems``)."""
        value = _number(self.settings.get(name))
        return default if value is None else value

    def problems(self) -> tuple[str, ...]:
        """Sentences on settings that are not finite numbers of at least 0, for which defaults are used."""
        return tuple(
            f"{name}: {value!r} is no number of at least 0, the default is used"
            for name, value in self.settings.items()
            if _number(value) is None
        )


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


@dataclass(frozen=True, slots=True)
class Range:
    """Minimum and maximum a change may set: cores, bytes or concurrent pods."""

    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of changes; ``max_step``: largest relative step (0.5 is half)."""

    cpu: Range = Range(0.05, 8.0)
    memory: Range = Range(64 * MIB, 32 * GIB)
    parallelism: Range = Range(1, 64)
    max_step: float = 0.5

    def of(self, resource: str) -> Range:
        """The range of ``cpu``, ``memory`` or ``parallelism``."""
        return {"cpu": self.cpu, "memory": self.memory}.get(resource, self.parallelism)


@dataclass(frozen=True, slots=True)
class ChangeWindow:
    """When changes are allowed: a cron schedule, its time zone, and the seconds it stays open."""

    schedule: str
    time_zone: str
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """How a change is verified on the runs after it."""

    min_runs: int = 5
    max_runs: int = 30
    max_age_seconds: float = WEEK
    on_same: OnSame = OnSame.RESTORE
    on_inconclusive: OnSame = OnSame.KEEP


@dataclass(frozen=True, slots=True)
class ApplySettings:
    """What may be changed, and when. Without ``windows``: at any time. ``min_change``: a share, 0 to 1."""

    mode: ApplyMode = ApplyMode.RECOMMEND
    allow: frozenset[ChangeKind] = frozenset(ChangeKind)
    max_risk: Level = Level.LOW
    bounds: Bounds = Bounds()
    min_change: float = 0.2
    cooldown_seconds: float = DAY
    windows: tuple[ChangeWindow, ...] = ()
    max_in_flight: int = 1
    change_history_limit: int = 20
    verify: VerifySettings = VerifySettings()
    git_ops: GitOps = GitOps.SUGGEST

    @property
    def allows_changes(self) -> bool:
        """Whether anything is changed at all, with or without a decision of people."""
        return self.mode is not ApplyMode.RECOMMEND


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """A receiver of the operator's configuration and the events it is notified of."""

    receiver: str
    events: frozenset[NotifyEvent] = frozenset(NotifyEvent)


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Whether the operator exposes metrics of the workflow, and of how many of its steps."""

    per_workflow: bool = False
    steps: int = 5


@dataclass(frozen=True, slots=True)
class Policy:
    """Effective settings of one workflow.

    ``source`` is None when no policy selects the profile: then defaults apply and nothing is changed. ``problems``:
    contradictions for people to resolve; ``notes``: why less is done than the policy's mode allows; both are sentences.
    """

    source: PolicyRef | None = None
    suspended: bool = False
    metrics_source: str = "default"
    metrics: MetricsSettings = MetricsSettings()
    notify: tuple[NotifySettings, ...] = ()
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    objectives: Objectives = field(default_factory=Objectives)
    pricing: Pricing = field(default_factory=Pricing)
    rules: Mapping[str, RuleSettings] = field(default_factory=dict)
    extra_metrics: tuple[ExtraMetric, ...] = ()
    inputs: tuple[InputSource, ...] = ()
    apply: ApplySettings = ApplySettings()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def metric(self, role: MetricRole) -> ExtraMetric | None:
        """The first extra metric with that role; None without any."""
        return next((m for m in self.extra_metrics if m.role is role), None)

    def input_unit(self, step: str | None = None) -> str:
        """Unit of the input size of a step (None: of the run): ``bytes``, ``bytes read`` or the name of what is counted."""
        for metric in self.extra_metrics:
            if metric.role is MetricRole.INPUT_SIZE:
                return metric.unit or "bytes"
        if by_bytes_read(self.inputs, self.extra_metrics, step):
            return "bytes read"
        sources = [s for s in sources_of(self.inputs, step) if not s.bytes_read]
        return "items" if sources and sources[0].unit is InputUnit.COUNT else "bytes"

    def rule(self, name: str) -> RuleSettings:
        """The rule's settings; a rule not listed is enabled without settings."""
        return self.rules.get(name, RuleSettings())
