"""The row of a container's CPU request."""

from __future__ import annotations

from concertmaster.core.analysis.steps.releases import Release
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.known import known, median
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.request_row import RequestRow
from concertmaster.core.rules.resources.rows.row_parts import (
    FAR_BELOW,
    Least,
    differs,
    earlier_of,
    justifies,
    row_edits,
)
from concertmaster.core.rules.resources.rows.size_bounds import (
    LIMIT_HEADROOM,
    Sized,
    bounded,
    is_guaranteed,
    least_accepted,
    size_bounds,
)
from concertmaster.core.rules.resources.rows.sizes import bursts_slowed, kept_size
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit
from concertmaster.core.sizing import MILLI, CpuSize, at_most, round_cpu, unseen_slowdown

_THROTTLED = 0.05  # share of throttled periods above which a limit is too tight
_MAX_LIMITED_SHARE = 0.05  # share of such runs, above which a limit that moves with the request stays


def cpu_row(
    evidence: Evidence, unit: SizingUnit, size: CpuSize | None, least: Least, release: Release | None, inits: Sized
) -> RequestRow | None:
    container, current = unit.container, unit.container.cpu_request
    means = container.known("mean_cores")
    if size is None or len(means) < evidence.analysis.options.min_runs:
        return None
    recent, typical = max(means), median(means) or 0.0
    earlier = earlier_of(evidence, unit, "cpu", recent, release)
    peak = recent if earlier is None else earlier.amount
    target = max(size.request, typical, least.headroom["cpu"] * peak)
    burst = max([peak, *container.known("peak_cores")])
    if is_guaranteed(container):
        target = max(target, LIMIT_HEADROOM * burst)  # the limit moves with it, and throttles what is above
    if current is None:
        target = at_most(target, container.cpu_limit, MILLI)
    bounds = size_bounds(evidence, unit, "cpu", inits)
    target = max(target, least_accepted(unit, "cpu"), bounds.enough(burst))
    if current is not None and target < current and _held_back(container):
        return None
    new, bound_by, first = bounded(evidence, unit, "cpu", bounds, target, round_cpu(target))
    if new is None or new < least_accepted(unit, "cpu"):
        return None
    if container.cpu_limit is not None and target <= container.cpu_limit:
        new = at_most(new, container.cpu_limit, MILLI)
    kept = least.kept("cpu", limited=is_guaranteed(container))
    right = max(kept * peak, typical, least_accepted(unit, "cpu"), bounds.enough(burst))
    if is_guaranteed(container):
        right = max(right, kept * burst)
    new = kept_size(evidence, unit, "cpu", new, least.change, bounds, enough=right, waits=bool(first))
    healthy = evidence.objectives.efficient_utilization[0]
    if current is not None and not differs(current, new, least.change, used=peak / healthy, enough=typical):
        return None
    runs, lowered_limit = len(means), None if first else bounds.lowered_limit("cpu", new)
    lowered = current is not None and new < current
    return RequestRow(
        unit,
        "cpu",
        current,
        new,
        peak,
        runs,
        min(0.9, runs / (runs + 5.0)),
        () if first else row_edits(unit, "cpu", new, current, peak, lowered_limit),
        clear=justifies(current, typical, peak / (FAR_BELOW * healthy)),
        bound_by=bound_by,
        first=first,
        limit=lowered_limit,
        limit_by=bounds.ratio_by if lowered_limit is not None else "",
        slower=max(size.expected_slowdown_share, bursts_slowed(container, new)) if lowered else 0.0,
        unseen=unseen_slowdown(means, new, current or 0.0),
        release=release,
        earlier=earlier,
    )


def _held_back(container: ContainerUsage) -> bool:
    """Whether it would have used more without its limit: in most runs, or in some where a lower request lowers the limit
    too."""
    shares = known(r.throttled_share for r in container.runs_with("cpu_limit"))
    return sum(s > _THROTTLED for s in shares) > (_MAX_LIMITED_SHARE if is_guaranteed(container) else 0.5) * len(shares)
