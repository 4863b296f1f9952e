"""Rows of a right-sizing: the request each container needs, where it differs enough from the one it has.

A request whose use is at the policy's target utilisation is healthy. Sizes stay inside the policy's bounds, never fall
below the largest recent peak, and are figures that people write. What kills, throttles or starves a container is no matter
of cost: the rules ``memory-request`` and ``cpu-request`` have it, and the resource gets no row here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from concertmaster.core import text
from concertmaster.core.analysis.drivers import memory_size
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.model import POD, Edit, Interval
from concertmaster.core.rules.base import Evidence, mean_interval, median, resource_edits
from concertmaster.core.rules.resources.places import Place, places
from concertmaster.core.rules.resources.sizes import cpu_size, size_guard
from concertmaster.core.sizing import MIB, MILLI, at_most, plain_memory, round_cpu

_GIB = 1024.0**3
_HOUR = 3600.0
_FIRST = 1.25  # largest first request, in largest peaks: the cost model gives short steps more room than one needs
_LEAST_ROOM = 1.05  # above the largest peak, for a size that was proposed when the peak was lower
_HEADROOM = 1.15  # least room above the largest peak, as the Vertical Pod Autoscaler and KRR leave it
# A request is clearly too large where its largest use stays below this part of the target utilisation. Between that and
# the target lies what a healthy workflow's rhythm and growth need: a trim there comes with others, and is no reason for one.
_FAR_BELOW = 0.6
_LIMITED = 1.2  # room above the largest peak where the limit moves with the request: beyond it the container is killed
# A request lowered on so many runs goes in one step, with that room above the largest: a mean of CPU use hides its bursts.
SURE_RUNS, _SURE_ROOM = 20, {"memory": 1.1, "cpu": 1.3}


@dataclass(frozen=True, slots=True)
class SizeRow:
    """One request to set. Cores or bytes; ``old`` None: not set. ``peak`` is the largest use of a run. ``saving`` is money a
    month, negative where more is requested; ``freed`` amount-hours less reserved per run. ``slower``: by how much the step
    may take longer on a full node, 0 to 1. ``clear``: reason enough for a change by itself. ``bound_by``: what kept the
    value from being smaller or larger, empty where nothing did; ``first``: what must be raised before it is accepted."""

    place: Place
    resource: str
    old: float | None
    new: float
    peak: float
    runs: int
    confidence: float
    edits: tuple[Edit, ...] = ()
    saving: Interval | None = None
    freed: float = 0.0
    slower: float = 0.0
    clear: bool = True
    bound_by: str = ""
    first: str = ""

    @property
    def title(self) -> str:
        """What a table calls the container."""
        return f"{self.place.step.step}/{self.place.container.name}"

    @property
    def limited(self) -> bool:
        """Whether the limit moves with the request."""
        return any("/limits/" in e.pointer for e in self.edits)

    @property
    def headroom(self) -> float:
        """Room above the largest peak, a share of it."""
        return self.new / self.peak - 1.0 if self.peak > 0 else 0.0


def rows(evidence: Evidence, least: float, held_back: frozenset[tuple[str, str, str]]) -> Iterator[SizeRow]:
    """A row for every request that is off by at least the share ``least``. ``held_back``: (step, container, resource) that
    another rule is about."""
    for place in places(evidence.analysis):
        spec = place.step.spec
        if spec is not None and spec.containers and all(c.name != place.container.name for c in spec.sized):
            continue  # something else puts it into the pod: there is no field to set
        if size_guard(place.container, evidence.analysis.options) is not None:
            continue
        for resource, size in (("cpu", _cpu), ("memory", _memory)):
            name = (place.step.step, place.container.name, resource)
            if name not in held_back and evidence.sizing.excluded(*name) is None:
                row = size(evidence, place, least)
                if row is not None:
                    yield _priced(evidence, row)


def _memory(evidence: Evidence, place: Place, least: float) -> SizeRow | None:
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
        new = at_most(new, container.memory_limit, MIB)  # a limit is not moved for the sake of a round figure
    if new is None or new < max(peak, _least(place, "memory")):
        return None
    new = _standing(evidence, place, "memory", new, least, enough=max(_room(container) * peak, _least(place, "memory")))
    healthy = evidence.objectives.efficient_utilization[1]
    if current is not None and not _differs(current, new, least, used=peak / healthy, enough=enough):
        return None
    return SizeRow(
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


def _cpu(evidence: Evidence, place: Place, least: float) -> SizeRow | None:
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
    return SizeRow(
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
    """Whether a verified right-sizing wrote the present memory request, on its way to the size runs need."""
    edits = resource_edits(place.step.spec, place.container, {("requests", "memory"): ""})
    return any(evidence.sizing.is_own(e.holder, e.pointer, e.current) for e in edits)


def unseen(container: ContainerUsage, peak: float, headroom: float) -> float:
    """Headroom (share) for what happens between two samples: no more than the kernel's own high-water mark allows."""
    most = max((r.memory_most for r in container.runs if r.memory_most is not None), default=None)
    return headroom if most is None else min(headroom, max(0.0, most / peak - 1))


def _room(container: ContainerUsage) -> float:
    return _HEADROOM if _guaranteed(container) else _LEAST_ROOM


def _standing(evidence: Evidence, place: Place, resource: str, new: float, least: float, *, enough: float) -> float:
    """The size that was proposed last, where it is still ``enough`` and the new one is no other matter."""
    before = evidence.sizing.proposed.get((place.step.step, place.container.name, resource))
    limit = place.container.cpu_limit if resource == "cpu" else place.container.memory_limit
    if before is None or before < enough or _limits(evidence, place, resource).inside(before)[0] != before:
        return new
    if limit is not None and new <= limit < before:
        return new
    return before if abs(new / before - 1) < least else new


def _differs(current: float, new: float, least: float, *, used: float, enough: float) -> bool:
    """Whether a request is off: above what is used (``used``: the request at the target utilisation), or below what is
    ``enough``, and by at least the share ``least``."""
    if abs(new / current - 1) < least:
        return False
    return current > used if new < current else enough > current


def _clear(current: float | None, enough: float, most: float) -> bool:
    """Whether a row is reason enough for a change: no request, one below what is ``enough``, or one above ``most``."""
    return current is None or current < enough or current > most


@dataclass(frozen=True, slots=True)
class _Limits:
    """From where to where a request may go, and what sets either end."""

    least: float
    most: float
    least_by: str
    most_by: str

    def inside(self, size: float | None) -> tuple[float | None, str]:
        """The size within both ends, and what moved it; None where the ends contradict."""
        if size is None or self.least > self.most:
            return None, ""
        if size < self.least:
            return self.least, self.least_by
        return (self.most, self.most_by) if size > self.most else (size, "")


def _limits(evidence: Evidence, place: Place, resource: str) -> _Limits:
    """The policy's bounds, and what the namespace allows: LimitRange, its default limit and ratio, ResourceQuota."""
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
    """What the API server asks of the request of a pod as a whole: no less than its containers request together, and, where
    its limit moves with it, no less than the largest limit of one. 0 for a container."""
    spec = place.step.spec
    if spec is None or spec.pod is None or place.container.name != POD:
        return 0.0
    together = spec.pod.least.get(resource, 0.0)
    if not _guaranteed(place.container):
        return together
    return max(together, *(getattr(c, f"{resource}_limit") or 0.0 for c in spec.containers))


def _guaranteed(container: ContainerUsage) -> bool:
    """Whether requests and limits are equal for both resources: its quality of service is kept."""
    return (
        container.cpu_request is not None
        and container.memory_request is not None
        and container.cpu_request == container.cpu_limit
        and container.memory_request == container.memory_limit
    )


def _edits(
    place: Place, resource: str, written: str, new: float, current: float | None, peak: float
) -> tuple[Edit, ...]:
    """Request, and with it the limit where the pod would be refused or lose its quality of service otherwise."""
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


def _priced(evidence: Evidence, row: SizeRow) -> SizeRow:
    """The row with what it saves a month and per run; nothing of that without a request to compare with."""
    if row.old is None:
        return row
    container, analysis = row.place.container, evidence.analysis
    pricing, rate = row.place.step.pricing, analysis.cost.runs_per_month
    less = (row.old - row.new) / (_GIB if row.resource == "memory" else 1.0)
    hourly = pricing.memory_gib_hour if row.resource == "memory" else pricing.cpu_core_hour
    present = analysis.presence(row.place.step, container)
    held = [r.reserved_seconds for r in container.runs]
    price = less / _HOUR * hourly * rate * present if rate is not None else 0.0
    saving = mean_interval(held, price) if price else None
    weight = max(0.0, saving.likely) if saving is not None else 0.0
    edits = tuple(replace(e, weight=0.0 if "/limits/" in e.pointer else weight) for e in row.edits)
    return replace(row, saving=saving, edits=edits, freed=less * sum(held) / len(held) / _HOUR * present)
