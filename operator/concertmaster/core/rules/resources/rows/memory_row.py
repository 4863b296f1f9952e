"""The row of a container's memory request."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.analysis.steps.releases import FollowedLimit, counted, memory_release
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.request_row import RequestRow
from concertmaster.core.rules.resources.rows.row_parts import (
    FAR_BELOW,
    Least,
    differs,
    earlier_of,
    justifies,
    row_edits,
    since_release,
)
from concertmaster.core.rules.resources.rows.size_bounds import (
    LIMIT_HEADROOM,
    Sized,
    bounded,
    least_accepted,
    limit_follows,
    one_memory_size,
    size_bounds,
)
from concertmaster.core.rules.resources.rows.sizes import UNMEASURED, kept_size, memory_by_day, unseen
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit
from concertmaster.core.sizing import MIN_DAYS, MemorySize, at_most, largest_ahead, plain_memory
from concertmaster.core.units import MIB

_MAX_INITIAL_FACTOR = 1.25  # times the largest peak: the cost model alone gives first requests of short steps too much

_FULL = 0.95  # share of its limit from which a container is close to it
_FILLED = "its limit, which most runs fill without an OOM kill: probably page cache, or a cache sized by the limit"
_FOLLOWED = "its limit: what it uses follows the limit, so a larger one would leave no more room"


def memory_row(
    evidence: Evidence,
    unit: SizingUnit,
    size: MemorySize | None,
    least: Least,
    inits: Sized,
    followed: FollowedLimit | None = None,
) -> RequestRow | None:
    """The row for a ``size``, which is that of the runs under the present limit where peaks ``followed`` it."""
    if followed is not None:
        unit = replace(unit, container=followed.since)
    release = memory_release(unit.container, evidence.analysis.options.min_runs)
    if size is None or any(counted(unit.container, release).columns["oom_killed"]):
        return None
    unit = since_release(unit, release)
    container, current = unit.container, unit.container.memory_request
    recent = size.largest_recent_peak
    earlier = earlier_of(evidence, unit, "memory", recent, release, followed)
    if earlier is not None and earlier.killed and current is not None:
        return None  # how much it needed is not known
    peak = recent if earlier is None else earlier.amount
    # The newest of many runs leave room for one and a half times the hours that they are of; days for so many days.
    by_day = memory_by_day(evidence, unit, release or followed)
    grown = largest_ahead(by_day) or 0.0
    target = max(size.request, _enough(evidence, container, peak), least.headroom["memory"] * peak, grown)
    if current is None:
        initial = max(_MAX_INITIAL_FACTOR, least.headroom["memory"])
        target = at_most(min(target, initial * peak), container.memory_limit, 1.0)
    bounds = size_bounds(evidence, unit, "memory", inits)
    target = max(target, least_accepted(unit, "memory"), bounds.enough(peak))
    new, bound_by, first = bounded(evidence, unit, "memory", bounds, target, plain_memory(target))
    limit = container.memory_limit
    ends_there = "" if limit is None or target <= limit else ends_at_limit(container, followed)
    if new is not None and limit is not None and (ends_there or target <= limit):
        new = at_most(new, limit, MIB)  # rounding up must not raise the limit
        bound_by = ends_there or bound_by
    if new is None or new < max(peak, least_accepted(unit, "memory")):
        return None
    kept = least.kept("memory", limited=limit_follows(evidence, container, "memory"))
    right = max(kept * peak, least_accepted(unit, "memory"), bounds.enough(peak))
    new = kept_size(evidence, unit, "memory", new, least.change, bounds, enough=right, waits=bool(first))
    healthy = evidence.objectives.efficient_utilization[1]
    enough = _enough(evidence, container, recent)  # rare large runs keep a request from being lowered, and raise none
    if current is not None and not differs(current, new, least.change, used=peak / healthy, enough=enough):
        return None
    lowered = None if first else bounds.lowered_limit("memory", new)
    return RequestRow(
        unit,
        "memory",
        current,
        new,
        peak,
        len(container.runs),
        (0.0 if grown else size.coverage_confidence) or UNMEASURED,
        () if first else row_edits(unit, "memory", new, current, peak, lowered),
        clear=justifies(current, recent / (1 + least.change), peak / (FAR_BELOW * healthy)),
        bound_by=bound_by,
        first=first,
        limit=lowered,
        limit_by=bounds.ratio_by if lowered is not None else "",
        release=release,
        earlier=earlier,
        followed=followed,
        one_size=one_memory_size(evidence, container),
        grows=grown > 0.0 or (size.drifting and len(by_day) < MIN_DAYS),
    )


def ends_at_limit(container: ContainerUsage, followed: FollowedLimit | None) -> str:
    """Why what is used ends at the limit by itself, where no run was OOM-killed; empty where nothing shows that."""
    if followed is not None:
        return _FOLLOWED
    return _FILLED if _fills_limit(container) else ""


def _fills_limit(container: ContainerUsage) -> bool:
    """Whether most runs came close to their limit."""
    had = zip(container.columns["memory_peak"], container.columns["memory_limit"], strict=True)
    full = [bool(peak >= _FULL * limit) for peak, limit in had if peak is not None and limit]
    return 2 * sum(full) > len(full)


def _enough(evidence: Evidence, container: ContainerUsage, peak: float) -> float:
    """The memory request (bytes) that covers a sampled peak."""
    enough = peak * (1 + unseen(container, peak, evidence.analysis.options.memory_headroom))
    return max(enough, LIMIT_HEADROOM * peak) if limit_follows(evidence, container, "memory") else enough
