"""The memory that a container needs whose pods were OOM-killed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from concertmaster.core.analysis.drivers import memory_size
from concertmaster.core.analysis.runs.usage import RunUsage
from concertmaster.core.analysis.steps.earlier_kills import EarlierKills
from concertmaster.core.analysis.steps.releases import Release, runs_now
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.known import median
from concertmaster.core.model.policy import AnalysisSettings
from concertmaster.core.rules.resources.rows.sizes import UNMEASURED, size_guard, unseen
from concertmaster.core.sizing.executions import MIN_VALUE
from concertmaster.core.sizing.oom_kills import RAISES, raised
from concertmaster.core.sizing.waste import bound_of


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """``least``: what is needed at the least, and ``size``: what keeps the failure bound; ``killed_at``: the largest limit
    at which counted runs were killed, 0 where none is known, and ``died``: that of all runs at the level since a release;
    ``peak``: the largest seen; ``usual``: the median of the runs that were not killed; bytes, None where too little is
    known. ``confidence``: that the peaks cover 95% of the later runs, 0 where their level is changing. ``measured``: whether
    enough executions have samples."""

    least: float
    size: float
    died: float
    killed_at: float
    peak: float | None
    usual: float | None
    confidence: float
    measured: bool


def memory_need(
    container: ContainerUsage,
    alike: Sequence[RunUsage],
    release: Release | None,
    earlier: EarlierKills,
    options: AnalysisSettings,
) -> MemoryNeed | None:
    """What OOM kills call for; None where too little is known. ``alike``: the runs that were counted."""
    killed_at = max([earlier.killed_at, *(r.memory_floor or 0.0 for r in alike if r.oom_killed)])
    runs = runs_now(container, release)
    limits = [r.memory_floor for r in runs if r.oom_killed and r.memory_floor]
    limits += [earlier.killed_at] if earlier.killed_at else []
    others = [r.memory_peak for r in runs if r.memory_peak is not None and not r.oom_killed]
    if size_guard(container, options) is not None:
        if not limits or 2 * container.ambiguous > container.executions:
            return None
        peaks = [r.memory_peak for r in runs if r.memory_peak is not None and r.memory_peak >= MIN_VALUE]
        died, peak = max(limits), max(peaks, default=None)
        room = 0.0 if peak is None else peak * (1 + unseen(container, peak, options.memory_headroom))
        usual = median(others) if len(others) >= options.min_runs else None
        least, kept = max(room, RAISES[0] * died), _kept(alike, earlier, usual, died, options)
        return MemoryNeed(least, max(least, kept), died, killed_at, peak, usual, UNMEASURED, measured=False)
    size = memory_size(container, options)
    if size is None:
        return None
    peak = size.largest_recent_peak
    died = max(limits, default=peak)
    enough = peak * (1 + unseen(container, peak, options.memory_headroom))
    least, usual = max(size.request, enough, RAISES[0] * died), median(others)
    kept = max(least, _kept(alike, earlier, usual, died, options))
    return MemoryNeed(least, kept, died, killed_at, peak, usual, size.coverage_confidence, measured=True)


def _kept(
    alike: Sequence[RunUsage], earlier: EarlierKills, usual: float | None, died: float, options: AnalysisSettings
) -> float:
    """The size (bytes) that is expected to keep the failure bound, where so many of these runs were killed."""
    bound = bound_of(fmean(run.seconds for run in alike), options.max_failure)
    return raised(chance_of_kill(alike, earlier), usual, died, bound)


def chance_of_kill(runs: Sequence[RunUsage], earlier: EarlierKills) -> float:
    """Chance (0 to 1) that the next run is killed as well: a few runs say little about how often one is."""
    return (sum(run.oom_killed for run in runs) + earlier.runs + 1) / (len(runs) + earlier.of + 1)
