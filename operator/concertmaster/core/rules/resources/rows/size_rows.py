"""Rows of ``right-size``: the request each container needs, where it differs enough from the current one.

A request whose use is at the policy's target utilization is left alone. Sizes stay within the policy's bounds, never fall
below the largest recent peak, and are round numbers. Containers that are OOM-killed, throttled or short of CPU belong to
``memory-request`` and ``cpu-request``, and the resource gets no row here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from concertmaster.core import text
from concertmaster.core.analysis.drivers import memory_sizes
from concertmaster.core.analysis.steps.releases import Release, counted, cpu_release, memory_release
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.known import known, median
from concertmaster.core.model import Edit
from concertmaster.core.rules.base import resource_edits
from concertmaster.core.rules.earlier_peaks import EarlierPeak, earlier_peak
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.request_row import RequestRow
from concertmaster.core.rules.resources.rows.size_bounds import (
    LIMIT_HEADROOM,
    bounded,
    is_guaranteed,
    least_accepted,
    limit_of,
    size_bounds,
)
from concertmaster.core.rules.resources.rows.sizes import (
    bursts_slowed,
    cpu_sizes,
    kept_size,
    memory_by_day,
    size_guard,
    unseen,
)
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit, defaulted, sizing_units
from concertmaster.core.sizing import (
    MILLI,
    MIN_DAYS,
    CpuOptions,
    CpuSize,
    MemoryOptions,
    MemorySize,
    at_most,
    largest_ahead,
    plain_memory,
    round_cpu,
    unseen_slowdown,
)
from concertmaster.core.units import MIB

_MAX_INITIAL_FACTOR = 1.25  # times the largest peak: the cost model alone gives first requests of short steps too much
MIN_HEADROOM = 1.05  # times the largest peak, for a size proposed when the peak was lower
_HEADROOM = 1.15  # times the largest peak, the minimum, as in the Vertical Pod Autoscaler and KRR
# A request is clearly too large when its peak use stays below this share of the target utilization. Between that and the
# target lies normal variation and growth: such a row is included with others, but is no reason for a change by itself.
_FAR_BELOW = 0.6
# With this many runs a request is lowered in one step, with this room above the largest: mean CPU use hides its bursts.
SURE_RUNS, _SURE_ROOM = 20, {"memory": 1.1, "cpu": 1.3}
_THROTTLED = CpuOptions().throttled_bound
_MAX_LIMITED_SHARE = 0.05  # share of such runs, above which a limit that moves with the request stays
# Runs with CPU that a young workflow may lack: a rate needs two samples where a peak needs one, and the last ones are late.
_LACKING = 3


def rows(evidence: Evidence, least: float, held_back: frozenset[tuple[str, str, str]]) -> Iterator[RequestRow]:
    """A row for every request that is off by at least the share ``least``. ``held_back``: (step, container, resource) that
    another rule covers."""
    sized: dict[str, list[SizingUnit]] = {"cpu": [], "memory": []}
    order: list[tuple[int, str, int]] = []
    for resource, of_resource in sized.items():
        for place, unit in enumerate(sizing_units(evidence.analysis, resource, ("requests",))):
            if _has_row(evidence, unit, resource, held_back):
                order.append((place, resource, len(of_resource)))
                of_resource.append(defaulted(evidence, unit, resource))
    released = [cpu_release(p.container, evidence.analysis.options.min_runs) for p in sized["cpu"]]
    sized["cpu"] = [_since(p, release) for p, release in zip(sized["cpu"], released, strict=True)]
    cpu = cpu_sizes([(p.container, p.step) for p in sized["cpu"]])
    given = [(p.container, not _is_own(evidence, p)) for p in sized["memory"]]
    memory = memory_sizes(given, evidence.analysis.options)
    waiting = {p.title for p in sized["cpu"] if _waits(evidence, p)}
    for _, resource, at in sorted(order):
        unit = sized[resource][at]
        if resource == "cpu":
            row = _cpu(evidence, unit, cpu[at], least, released[at])
        else:
            row = _memory(evidence, unit, memory[at], least)
        if row is not None and not (resource == "memory" and row.lowered and unit.title in waiting):
            yield row


def _has_row(evidence: Evidence, unit: SizingUnit, resource: str, held_back: frozenset[tuple[str, str, str]]) -> bool:
    """Whether a size may be proposed, as far as that does not depend on the size."""
    spec, name = unit.step.spec, unit.container.name
    if spec is not None and spec.containers and all(c.name != name for c in spec.sized):
        return False  # injected into the pod: there is no field to set
    if size_guard(unit.container, evidence.analysis.options) is not None:
        return False
    if (other := unit.container.overrides.get(("requests", resource))) is not None and other.varies:
        return False  # a size of its own for each pod of a run: none is the one to change
    if any((step, name, resource) in held_back for step in (unit.step.step, *unit.others)):
        return False
    return evidence.sizing.excluded(unit.step.step, name, resource) is None


def _waits(evidence: Evidence, unit: SizingUnit) -> bool:
    """Whether a run or a few will also lower the CPU request, of which too few of not many runs tell so far.

    Memory lowered by itself would be a change of its own, often with a saving too small to be verified, and CPU would have
    to wait for the end of its verification.
    """
    runs, current, needed = unit.container.runs, unit.container.cpu_request, evidence.analysis.options.min_runs
    known = unit.container.known("mean_cores")
    lacking = needed - len(known)
    if current is None or not known or not 0 < lacking <= _LACKING or len(runs) >= 2 * needed:
        return False
    return current > max(known) / evidence.objectives.efficient_utilization[0]


def _memory(evidence: Evidence, unit: SizingUnit, size: MemorySize, least: float) -> RequestRow | None:
    release = memory_release(unit.container, evidence.analysis.options.min_runs)
    if any(counted(unit.container, release).columns["oom_killed"]):
        return None
    unit = _since(unit, release)
    container, current = unit.container, unit.container.memory_request
    recent = size.largest_recent_peak
    if not size.enough or recent is None or size.automatic_request is None:
        return None
    earlier = _earlier(evidence, unit, "memory", recent, release)
    peak = recent if earlier is None else earlier.amount
    # The newest of many runs leave room for one and a half times the hours that they are of; days for so many days.
    by_day = memory_by_day(evidence, unit, release)
    grown = largest_ahead(by_day, MemoryOptions()) or 0.0
    target = max(size.automatic_request, _enough(evidence, container, peak), _HEADROOM * peak, grown)
    if current is None:
        target = at_most(min(target, _MAX_INITIAL_FACTOR * peak), container.memory_limit, 1.0)
    bounds = size_bounds(evidence, unit, "memory")
    target = max(target, least_accepted(unit, "memory"), bounds.enough(peak))
    new, bound_by, first = bounded(evidence, unit, "memory", bounds, target, plain_memory(target))
    if new is not None and container.memory_limit is not None and target <= container.memory_limit:
        new = at_most(new, container.memory_limit, MIB)  # rounding up must not raise the limit
    if new is None or new < max(peak, least_accepted(unit, "memory")):
        return None
    right = max(_room(container) * peak, least_accepted(unit, "memory"), bounds.enough(peak))
    new = kept_size(evidence, unit, "memory", new, least, bounds, enough=right, waits=bool(first))
    healthy = evidence.objectives.efficient_utilization[1]
    enough = _enough(evidence, container, recent)  # rare large runs keep a request from being lowered, and raise none
    if current is not None and not _differs(current, new, least, used=peak / healthy, enough=enough):
        return None
    lowered = None if first else bounds.lowered_limit("memory", new)
    return RequestRow(
        unit,
        "memory",
        current,
        new,
        peak,
        len(container.runs),
        size.coverage_confidence if not grown else 0.0,
        () if first else _edits(unit, "memory", new, current, peak, lowered),
        clear=_clear(current, recent / (1 + least), peak / (_FAR_BELOW * healthy)),
        bound_by=bound_by,
        first=first,
        limit=lowered,
        limit_by=bounds.ratio_by if lowered is not None else "",
        release=release,
        earlier=earlier,
        grows=grown > 0.0 or (size.drifting and len(by_day) < MIN_DAYS),
    )


def _enough(evidence: Evidence, container: ContainerUsage, peak: float) -> float:
    """The memory request (bytes) that covers a sampled peak."""
    enough = peak * (1 + unseen(container, peak, evidence.analysis.options.memory_headroom))
    return max(enough, LIMIT_HEADROOM * peak) if is_guaranteed(container) else enough


def _earlier(
    evidence: Evidence, unit: SizingUnit, resource: str, recent: float, release: Release | None
) -> EarlierPeak | None:
    """The peak of the runs that are not analysed, if it is larger; after a release to another level only of those since,
    unless earlier ones still are evidence of large runs."""
    moved = release is not None and (resource == "cpu" or release.moved.counted >= release.moved.first)
    since = release.time if release is not None and moved else 0.0
    steps = (unit.step.step, *unit.others)
    return earlier_peak(evidence, steps, f"{resource}/{unit.container.name}", recent, since)


def _since(unit: SizingUnit, release: Release | None) -> SizingUnit:
    """The unit with the runs since the release only."""
    return unit if release is None else replace(unit, container=release.since)


def _cpu(
    evidence: Evidence, unit: SizingUnit, size: CpuSize, least: float, release: Release | None
) -> RequestRow | None:
    container, current = unit.container, unit.container.cpu_request
    means = container.known("mean_cores")
    if not size.enough or len(means) < evidence.analysis.options.min_runs:
        return None
    recent, typical = max(means), median(means) or 0.0
    earlier = _earlier(evidence, unit, "cpu", recent, release)
    peak = recent if earlier is None else earlier.amount
    target = max(size.request or size.cheapest or 0.0, typical, _HEADROOM * peak)
    burst = max([peak, *container.known("peak_cores")])
    if is_guaranteed(container):
        target = max(target, LIMIT_HEADROOM * burst)  # the limit moves with it, and throttles what is above
    if current is None:
        target = at_most(target, container.cpu_limit, MILLI)
    bounds = size_bounds(evidence, unit, "cpu")
    target = max(target, least_accepted(unit, "cpu"), bounds.enough(burst))
    if current is not None and target < current and _held_back(container):
        return None
    new, bound_by, first = bounded(evidence, unit, "cpu", bounds, target, round_cpu(target))
    if new is None or new < least_accepted(unit, "cpu"):
        return None
    if container.cpu_limit is not None and target <= container.cpu_limit:
        new = at_most(new, container.cpu_limit, MILLI)
    right = max(_room(container) * peak, typical, least_accepted(unit, "cpu"), bounds.enough(burst))
    if is_guaranteed(container):
        right = max(right, _room(container) * burst)
    new = kept_size(evidence, unit, "cpu", new, least, bounds, enough=right, waits=bool(first))
    healthy = evidence.objectives.efficient_utilization[0]
    if current is not None and not _differs(current, new, least, used=peak / healthy, enough=typical):
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
        () if first else _edits(unit, "cpu", new, current, peak, lowered_limit),
        clear=_clear(current, typical, peak / (_FAR_BELOW * healthy)),
        bound_by=bound_by,
        first=first,
        limit=lowered_limit,
        limit_by=bounds.ratio_by if lowered_limit is not None else "",
        slower=max(size.expected_slowdown_share or 0.0, bursts_slowed(container, new)) if lowered else 0.0,
        unseen=unseen_slowdown(means, new, current or 0.0),
        release=release,
        earlier=earlier,
    )


def _held_back(container: ContainerUsage) -> bool:
    """Whether it would have used more without its limit: in most runs, or in some where a lower request lowers the limit
    too."""
    shares = known(r.throttled_share for r in container.runs_with("cpu_limit"))
    return sum(s > _THROTTLED for s in shares) > (_MAX_LIMITED_SHARE if is_guaranteed(container) else 0.5) * len(shares)


def _is_own(evidence: Evidence, unit: SizingUnit) -> bool:
    """Whether the current memory request is an intermediate step of a verified right-sizing."""
    edits = resource_edits(unit.step.spec, unit.container, {("requests", "memory"): ""})
    return any(evidence.sizing.is_own(e.holder, e.pointer, e.current) for e in edits)


def _room(container: ContainerUsage) -> float:
    return _HEADROOM if is_guaranteed(container) else MIN_HEADROOM


def _differs(current: float, new: float, least: float, *, used: float, enough: float) -> bool:
    """Whether a request is off by at least the share ``least``: above ``used`` (the request at the target utilization), or
    below ``enough``."""
    if abs(new - current) < least * current:  # a request may be 0
        return False
    return current > used if new < current else enough > current


def _clear(current: float | None, enough: float, most: float) -> bool:
    """Whether a row justifies a change by itself: no request, one below ``enough``, or one above ``most``."""
    return current is None or current < enough or current > most


def _edits(
    unit: SizingUnit, resource: str, new: float, current: float | None, peak: float, lowered: float | None
) -> tuple[Edit, ...]:
    """Sets the request, and the limit where the pod would otherwise be rejected or lose its QoS class. ``lowered``: the
    limit that a LimitRange demands with the request."""
    container, written = unit.container, text.cpu_quantity if resource == "cpu" else text.memory_quantity
    limit = limit_of(container, resource)
    values = {("requests", resource): written(new)}
    if limit is not None and (limit < new - MILLI / 2 or is_guaranteed(container)):
        values["limits", resource] = written(new)
    elif lowered is not None:
        values["limits", resource] = written(lowered)
    edits = resource_edits(unit.step.spec, container, values)
    sure = (
        current is not None
        and new < current
        and len(container.runs) >= SURE_RUNS
        and new >= _SURE_ROOM[resource] * peak
    )
    return tuple(replace(e, sure=True) for e in edits) if sure else edits
