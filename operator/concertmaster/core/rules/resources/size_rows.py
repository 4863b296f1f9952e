"""Rows of ``right-size``: the request each container needs, where it differs enough from the current one.

A request whose use is at the policy's target utilization is left alone. Sizes stay within the policy's bounds, never fall
below the largest recent peak, and are round numbers. Containers that are OOM-killed, throttled or short of CPU belong to
``memory-request`` and ``cpu-request``, and the resource gets no row here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from concertmaster.core import text
from concertmaster.core.analysis.drivers import memory_size
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.known import median
from concertmaster.core.model import POD, Edit
from concertmaster.core.rules.base import Evidence, resource_edits
from concertmaster.core.rules.resources.places import Place, places
from concertmaster.core.rules.resources.sizes import cpu_size, size_guard
from concertmaster.core.sizing import MIB, MILLI, at_most, plain_memory, round_cpu

_FIRST = 1.25  # largest initial request, times the largest peak: the cost model alone gives short steps too much room
LEAST_ROOM = 1.05  # times the largest peak, for a size proposed when the peak was lower
_HEADROOM = 1.15  # times the largest peak, the minimum, as in the Vertical Pod Autoscaler and KRR
# A request is clearly too large when its peak use stays below this share of the target utilization. Between that and the
# target lies normal variation and growth: such a row is included with others, but is no reason for a change by itself.
_FAR_BELOW = 0.6
_LIMITED = 1.2  # times the largest peak when the limit changes with the request: exceeding it kills the container
# With this many runs a request is lowered in one step, with this room above the largest: mean CPU use hides its bursts.
SURE_RUNS, _SURE_ROOM = 20, {"memory": 1.1, "cpu": 1.3}


@dataclass(frozen=True, slots=True)
class RowSaving:
    """Money saved per month, negative when more is requested. ``of_runs``: by run (its time), at the rate of all runs;
    ``least`` and ``most``: the mean at the largest and smallest size as right as the proposed one."""

    likely: float
    least: float
    most: float
    of_runs: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request to set, in cores or bytes; ``old`` None: not set. ``peak``: largest use in a run. ``saving``: None when
    nothing is known to compare with; ``freed``: reserved amount-hours saved per run. ``slower``: possible slowdown of
    the step on a full node, 0 to 1. ``clear``: justifies a change by itself. ``bound_by``: what limited the value, empty if
    nothing did; ``first``: what must be raised before it is admitted."""

    place: Place
    resource: str
    old: float | None
    new: float
    peak: float
    runs: int
    confidence: float
    edits: tuple[Edit, ...] = ()
    saving: RowSaving | None = None
    freed: float = 0.0
    slower: float = 0.0
    clear: bool = True
    bound_by: str = ""
    first: str = ""

    @property
    def title(self) -> str:
        """Name of the container in tables."""
        return f"{self.place.step.step}/{self.place.container.name}"

    @property
    def limited(self) -> bool:
        """Whether the limit changes with the request."""
        return any("/limits/" in e.pointer for e in self.edits)

    @property
    def headroom(self) -> float:
        """Room above the largest peak, as a share of the peak."""
        return self.new / self.peak - 1.0 if self.peak > 0 else 0.0


def rows(evidence: Evidence, least: float, held_back: frozenset[tuple[str, str, str]]) -> Iterator[RequestRow]:
    """A row for every request that is off by at least the share ``least``. ``held_back``: (step, container, resource) that
    another rule covers."""
    for place in places(evidence.analysis):
        spec = place.step.spec
        if spec is not None and spec.containers and all(c.name != place.container.name for c in spec.sized):
            continue  # injected into the pod: there is no field to set
        if size_guard(place.container, evidence.analysis.options) is not None:
            continue
        for resource, size in (("cpu", _cpu), ("memory", _memory)):
            name = (place.step.step, place.container.name, resource)
            if name not in held_back and evidence.sizing.excluded(*name) is None:
                row = size(evidence, place, least)
                if row is not None:
                    yield row


def _memory(evidence: Evidence, place: Place, least: float) -> RequestRow | None:
    container, current = place.container, place.container.memory_request
    if any(r.oom_killed for r in container.runs):
        return None
    size = memory_size(container, evidence.analysis.options, authors=not _is_own(evidence, place))
    peak = size.largest_recent_peak
    if not size.enough or peak is None or size.automatic_request is None:
        return None
    enough = peak * (1 + unseen(container, peak, evidence.analysis.options.memory_headroom))
    if _guaranteed(container):
        enough = max(enough, _LIMITED * peak)
    target = max(size.automatic_request, enough, _HEADROOM * peak)
    if current is None:
        target = at_most(min(target, _FIRST * peak), container.memory_limit, 1.0)
    target = max(target, _least(place, "memory"))
    limits = _limits(evidence, place, "memory")
    new, bound_by = limits.inside(plain_memory(target))
    if new is not None and container.memory_limit is not None and target <= container.memory_limit:
        new = at_most(new, container.memory_limit, MIB)  # rounding up must not raise the limit
    if new is None or new < max(peak, _least(place, "memory")):
        return None
    new = _standing(evidence, place, "memory", new, least, enough=max(_room(container) * peak, _least(place, "memory")))
    healthy = evidence.objectives.efficient_utilization[1]
    if current is not None and not _differs(current, new, least, used=peak / healthy, enough=enough):
        return None
    return RequestRow(
        place,
        "memory",
        current,
        new,
        peak,
        len(container.runs),
        size.coverage_confidence,
        _edits(place, "memory", text.memory_quantity(new), new, current, peak),
        clear=_clear(current, peak / (1 + least), peak / (_FAR_BELOW * healthy)),
        bound_by=bound_by,
    )


def _cpu(evidence: Evidence, place: Place, least: float) -> RequestRow | None:
    container, current = place.container, place.container.cpu_request
    size = cpu_size(container, place.step)
    means = [r.mean_cores for r in container.runs if r.mean_cores is not None]
    if not size.enough or len(means) < evidence.analysis.options.min_runs:
        return None
    peak, typical = max(means), median(means) or 0.0
    target = max(size.request or size.wanted or 0.0, typical, _HEADROOM * peak)
    if _guaranteed(container):
        target = max(target, _LIMITED * peak)
    if current is None:
        target = at_most(target, container.cpu_limit, MILLI)
    target = max(target, _least(place, "cpu"))
    limits = _limits(evidence, place, "cpu")
    new, bound_by = limits.inside(round_cpu(target))
    if new is None or new < _least(place, "cpu"):
        return None
    if container.cpu_limit is not None and target <= container.cpu_limit:
        new = at_most(new, container.cpu_limit, MILLI)
    new = _standing(
        evidence, place, "cpu", new, least, enough=max(_room(container) * peak, typical, _least(place, "cpu"))
    )
    healthy = evidence.objectives.efficient_utilization[0]
    if current is not None and not _differs(current, new, least, used=peak / healthy, enough=typical):
        return None
    runs = len(means)
    lowered = current is not None and new < current
    return RequestRow(
        place,
        "cpu",
        current,
        new,
        peak,
        runs,
        min(0.9, runs / (runs + 5.0)),
        _edits(place, "cpu", text.cpu_quantity(new), new, current, peak),
        clear=_clear(current, typical, peak / (_FAR_BELOW * healthy)),
        bound_by=bound_by,
        slower=(size.expected_slowdown_share or 0.0) if lowered else 0.0,
    )


def _is_own(evidence: Evidence, place: Place) -> bool:
    """Whether the current memory request is an intermediate step of a verified right-sizing."""
    edits = resource_edits(place.step.spec, place.container, {("requests", "memory"): ""})
    return any(evidence.sizing.is_own(e.holder, e.pointer, e.current) for e in edits)


def unseen(container: ContainerUsage, peak: float, headroom: float) -> float:
    """Headroom (share) for use between two samples, at most up to the kernel's high-water mark."""
    most = max((r.memory_most for r in container.runs if r.memory_most is not None), default=None)
    return headroom if most is None else min(headroom, max(0.0, most / peak - 1))


def _room(container: ContainerUsage) -> float:
    return _HEADROOM if _guaranteed(container) else LEAST_ROOM


def _standing(evidence: Evidence, place: Place, resource: str, new: float, least: float, *, enough: float) -> float:
    """The last proposed size if it is still ``enough`` and within ``least`` of the new one; otherwise the new one."""
    before = evidence.sizing.proposed.get((place.step.step, place.container.name, resource))
    limit = place.container.cpu_limit if resource == "cpu" else place.container.memory_limit
    if before is None or before < enough or _limits(evidence, place, resource).inside(before)[0] != before:
        return new
    if limit is not None and new <= limit < before:
        return new
    return before if abs(new / before - 1) < least else new


def _differs(current: float, new: float, least: float, *, used: float, enough: float) -> bool:
    """Whether a request is off by at least the share ``least``: above ``used`` (the request at the target utilization), or
    below ``enough``."""
    if abs(new / current - 1) < least:
        return False
    return current > used if new < current else enough > current


def _clear(current: float | None, enough: float, most: float) -> bool:
    """Whether a row justifies a change by itself: no request, one below ``enough``, or one above ``most``."""
    return current is None or current < enough or current > most


@dataclass(frozen=True, slots=True)
class _Limits:
    """Allowed range of a request, and what sets either end."""

    least: float
    most: float
    least_by: str
    most_by: str

    def inside(self, size: float | None) -> tuple[float | None, str]:
        """The size clamped to the range, and the bound that applied; None when the bounds contradict."""
        if size is None or self.least > self.most:
            return None, ""
        if size < self.least:
            return self.least, self.least_by
        return (self.most, self.most_by) if size > self.most else (size, "")


def _limits(evidence: Evidence, place: Place, resource: str) -> _Limits:
    """The policy's bounds combined with the namespace's: LimitRange (with default limit and ratio), ResourceQuota."""
    policy = getattr(evidence.analysis.policy.apply.bounds, resource)
    limit = place.container.cpu_limit if resource == "cpu" else place.container.memory_limit
    bound = evidence.capacity.request(resource, limit, tied=_guaranteed(place.container))
    least, least_by = policy.min, f"apply.bounds.{resource}.min of the policy"
    most, most_by = policy.max, f"apply.bounds.{resource}.max of the policy"
    if bound.least is not None and bound.least > least:
        least, least_by = bound.least, bound.least_by
    if bound.most is not None and bound.most < most:
        most, most_by = bound.most, bound.most_by
    return _Limits(least, most, least_by, most_by)


def _least(place: Place, resource: str) -> float:
    """Minimum the API server accepts for a pod-level request: the sum of its containers' requests and, when its limit
    changes with it, the largest container limit. 0 for a container."""
    spec = place.step.spec
    if spec is None or spec.pod is None or place.container.name != POD:
        return 0.0
    together = spec.pod.least.get(resource, 0.0)
    if not _guaranteed(place.container):
        return together
    return max(together, *(getattr(c, f"{resource}_limit") or 0.0 for c in spec.containers))


def _guaranteed(container: ContainerUsage) -> bool:
    """Whether requests equal limits for both resources, so that the Guaranteed QoS class must be kept."""
    return (
        container.cpu_request is not None
        and container.memory_request is not None
        and container.cpu_request == container.cpu_limit
        and container.memory_request == container.memory_limit
    )


def _edits(
    place: Place, resource: str, written: str, new: float, current: float | None, peak: float
) -> tuple[Edit, ...]:
    """Sets the request, and the limit where the pod would otherwise be rejected or lose its QoS class."""
    container = place.container
    limit = container.cpu_limit if resource == "cpu" else container.memory_limit
    values = {("requests", resource): written}
    if limit is not None and (limit < new - MILLI / 2 or _guaranteed(container)):
        values["limits", resource] = written
    edits = resource_edits(place.step.spec, container, values)
    sure = (
        current is not None
        and new < current
        and len(container.runs) >= SURE_RUNS
        and new >= _SURE_ROOM[resource] * peak
    )
    return tuple(replace(e, sure=True) for e in edits) if sure else edits
