"""Settings of the analysis as plain values, filled by the callers from a policy or from the command line.

The core does not know custom resources; ``advisor`` translates a resolved policy into these. Defaults are the ones of
docs/reference (each a setting there).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

# Points of each part of the score.
WEIGHTS = {"success": 40, "stability": 20, "efficiency": 25, "waiting": 15}


@dataclass(frozen=True, slots=True)
class Budget:
    """A ceiling for an extra metric per run, in the metric's own unit."""

    metric: str
    max_per_run: float


@dataclass(frozen=True, slots=True)
class Objectives:
    """What the owner wants of a workflow. Seconds, shares 0 to 1, currency units; None means not asked for."""

    duration_p50: float | None = None
    duration_p95: float | None = None
    duration_p99: float | None = None
    duration_note: str = ""  # where the p50 comes from, when not from its owner
    queue_p95: float | None = None
    min_success: float | None = None
    max_step_failure: float | None = None
    max_cost_per_run: float | None = None
    min_throughput_per_hour: float | None = None
    min_cache_hit: float | None = None
    target_cpu_utilization: float | None = None
    target_memory_utilization: float | None = None
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True)
class Pricing:
    """Prices of what a run requests. The defaults are round figures near public on-demand list prices."""

    currency: str = "USD"
    cpu_core_hour: float = 0.031
    memory_gib_hour: float = 0.004
    units: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """Window and thresholds.

    ``high_variance_cv``, ``over_allocated`` and ``under_allocated`` are the marks' thresholds; ``min_coverage`` is the
    share of expected samples below which a step gets no size advice.
    """

    window_seconds: float = 14 * 86400.0
    min_runs: int = 5
    max_runs: int = 200
    high_variance_cv: float = 0.5
    over_allocated: float = 0.30
    under_allocated: float = 0.90
    min_coverage: float = 0.5
    cpu_headroom: float = 0.20
    memory_headroom: float = 0.10
    min_change: float = 0.10
    success_target: float = 0.95
    score_weights: Mapping[str, int] = field(default_factory=lambda: dict(WEIGHTS))


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """Whether a rule runs, and the settings its page documents (decimal strings, as the resource carries them)."""

    enabled: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str, default: float) -> float:
        """The setting as a number; the default when absent or no finite number of at least 0 (see ``problems``)."""
        return default if (found := _number(self.settings.get(name))) is None else found

    def problems(self) -> tuple[str, ...]:
        """Sentences on settings that are no finite numbers of at least 0; their defaults are used."""
        return tuple(
            f"{name}: {value!r} is no number of at least 0, the default is used"
            for name, value in self.settings.items()
            if _number(value) is None
        )


def _number(value: str | None) -> float | None:
    try:
        found = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= 0 else None
