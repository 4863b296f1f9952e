"""What the sizing rules share: from a container's usage to the inputs of the sizing methods, and the guards before them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from concertmaster.core import text
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.analysis.workflow import StepAnalysis
from concertmaster.core.model.policy import AnalysisSettings
from concertmaster.core.sizing import CpuSize, MemorySize, cpu_request, memory_request


def _floats(values: Iterable[float | None]) -> list[float]:
    """Unknown values as NaN, which the sizing methods read as missing."""
    return [math.nan if v is None else v for v in values]


def memory_size(container: ContainerUsage) -> MemorySize:
    """Memory request from the per-run peaks. A run that was OOM-killed counts with the limit it died at, at least."""
    rows = [r for r in container.runs if r.memory_peak is not None]
    peaks = [max(r.memory_peak or 0.0, (r.memory_floor or 0.0) if r.oom_killed else 0.0) for r in rows]
    sizes = _floats(r.input_size for r in rows)
    return memory_request(
        peaks,
        [r.seconds for r in rows],
        times=[r.time for r in rows],
        inputs=sizes if any(math.isfinite(s) for s in sizes) else None,
        current_request=container.memory_request,
    )


def cpu_size(container: ContainerUsage, step: StepAnalysis) -> CpuSize:
    """CPU request from per-run means, peaks and throttling; slack and the critical path decide how tight it may be."""
    rows = [r for r in container.runs if r.mean_cores is not None]
    return cpu_request(
        _floats(r.mean_cores for r in rows),
        _floats(r.peak_cores for r in rows),
        _floats(r.throttled_share for r in rows),
        _floats(r.seconds for r in rows),
        on_critical_path_share=step.path.share if step.path is not None else None,
        current_request=container.cpu_request,
        current_limit=container.cpu_limit,
    )


def size_guard(container: ContainerUsage, options: AnalysisSettings) -> str | None:
    """Why no size may be proposed for this container, or None when it may."""
    if not container.runs:
        return "no execution was observed"
    if container.ambiguous > container.executions / 2:
        return f"{container.ambiguous} of {container.executions} executions cannot be told apart from other pods"
    if container.coverage is not None and container.coverage < options.min_coverage:
        seen = container.executions - container.ambiguous - container.unsampled
        return (
            f"only {seen} of {container.executions} executions have memory samples "
            f"({text.percent(container.coverage)}, at least {text.percent(options.min_coverage)} needed)"
        )
    return None
