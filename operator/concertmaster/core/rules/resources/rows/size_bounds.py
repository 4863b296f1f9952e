"""Bounds of a proposed request: the policy's, those of the namespace and the nodes, and the limit that moves with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.model import POD, ContainerFact, ContainerSpec, StepSpec
from concertmaster.core.model.amounts import ROUNDING
from concertmaster.core.reserved import Reservation, reservation
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit
from concertmaster.core.sizing import MILLI
from concertmaster.core.units import MIB

LIMIT_HEADROOM = 1.2  # times the largest peak when the limit changes with the request: exceeding it kills the container
_LIMIT_UNIT = {"cpu": 10 * MILLI, "memory": MIB}  # to which a moved limit is rounded down


@dataclass(frozen=True, slots=True)
class SizeBounds:
    """Allowed range of a request, and what sets either end. ``limit``: the current limit, None where none is set;
    ``ratio``: how many times the request a LimitRange lets it be (None: any), and ``ratio_by`` its name."""

    least: float
    most: float
    least_by: str
    most_by: str
    limit: float | None = None
    ratio: float | None = None
    ratio_by: str = ""

    def inside(self, size: float | None) -> tuple[float | None, str]:
        """The size clamped to the range, and the bound that applied; None when the bounds contradict."""
        if size is None or self.least > self.most:
            return None, ""
        if size < self.least:
            return self.least, self.least_by
        return (self.most, self.most_by) if size > self.most else (size, "")

    def enough(self, peak: float) -> float:
        """The request below which a limit that must be lowered with it would have too little room above the peak."""
        return LIMIT_HEADROOM * peak / self.ratio if self.ratio is not None else 0.0

    def lowered_limit(self, resource: str, request: float) -> float | None:
        """The limit to which ``request`` lowers the current one; None where that stays allowed."""
        if self.ratio is None or self.limit is None or self.limit <= self.ratio * request * (1 + ROUNDING):
            return None
        unit = _LIMIT_UNIT[resource]
        return max(request, math.floor(self.ratio * request / unit * (1 + ROUNDING)) * unit)


Sized = Mapping[tuple[str, str, str], float]
"""By step, init container and resource, the requests that are proposed."""


def size_bounds(evidence: Evidence, unit: SizingUnit, resource: str, sized: Sized) -> SizeBounds:
    """The policy's bounds combined with the namespace's: LimitRange (with default limit and ratio), ResourceQuota; and with
    what an init container reserves once the ``sized`` ones are. A ratio is none of a request whose limit can be lowered with
    it."""
    policy = getattr(evidence.analysis.policy.apply.bounds, resource)
    limit, tied = limit_of(unit.container, resource), limit_follows(evidence, unit.container, resource)
    ratio = None if tied or limit is None or unit.container.name == POD else evidence.capacity.ratio(resource)
    bound = evidence.capacity.request(resource, limit, tied=tied or ratio is not None)
    least, least_by = policy.min, f"apply.bounds.{resource}.min of the policy"
    most, most_by = policy.max, f"apply.bounds.{resource}.max of the policy"
    if bound.least is not None and bound.least > least:
        least, least_by = bound.least, bound.least_by
    kept, kept_by = _kept_by_init(evidence, unit, resource, sized)
    if kept > least:
        least, least_by = kept, kept_by
    if bound.most is not None and bound.most < most:
        most, most_by = bound.most, bound.most_by
    return SizeBounds(least, most, least_by, most_by, limit, *(ratio or (None, "")))


def _kept_by_init(evidence: Evidence, unit: SizingUnit, resource: str, sized: Sized) -> tuple[float, str]:
    """The request down to which the pod reserves less: for its whole life it keeps the largest request of its init
    containers, beside native sidecars that start before them. And the name of that container; 0 where there is none."""
    spec = unit.step.spec
    own = next((c for c in spec.containers if c.name == unit.container.name), None) if spec is not None else None
    if spec is None or spec.pod is not None or own is None or own.native or own.init:
        return 0.0, ""
    asked = requests_of(evidence, unit, spec, resource)
    pod = reserved(spec, {name: sized.get((unit.step.step, name, resource), amount) for name, amount in asked.items()})
    if not pod.first:
        return 0.0, ""
    freed = pod.total - pod.first  # what the pod reserves less at most, by requests of what runs together
    return asked[own.name] - freed, f"the request of init container {pod.first_by}, which the pod keeps"


def requests_of(evidence: Evidence, unit: SizingUnit, spec: StepSpec, resource: str) -> dict[str, float]:
    """What a pod of the unit's step, declared as ``spec``, reserves for each of its containers, by name."""
    had = {c.name: c for c in (*unit.step.containers, *unit.step.inits) if c.overrides}
    return {c.name: _asked(evidence, had.get(c.name, c), resource) for c in spec.containers}


def reserved(spec: StepSpec, asked: Mapping[str, float]) -> Reservation:
    """What a pod reserves whose containers are asked so much for."""
    native = frozenset(c.name for c in spec.containers if c.native)
    return reservation(((c.name, c.init, asked[c.name]) for c in spec.containers), native)


def _asked(evidence: Evidence, container: ContainerSpec | ContainerUsage, resource: str) -> float:
    """What a pod reserves for the container: its request, else its limit, else the default of the namespace."""
    declared = (
        getattr(container, f"{resource}_request"),
        limit_of(container, resource),
        evidence.capacity.defaults(resource)[0],
    )
    return next((amount for amount in declared if amount is not None), 0.0)


def bounded(
    evidence: Evidence, unit: SizingUnit, resource: str, bounds: SizeBounds, target: float, size: float | None
) -> tuple[float | None, str, str]:
    """The ``size`` (``target`` rounded up) within the bounds, what bounded it, and what must be raised first. A maximum
    lowers no request below what is needed: the size is then what is needed, and waits for a larger maximum."""
    new, bound_by = bounds.inside(size)
    current = getattr(unit.container, f"{resource}_request")
    if new is None or size is None or current is None or new >= min(target, current) * (1 - ROUNDING):
        return new, bound_by, ""
    first = evidence.above_bounds(resource, size) or evidence.above_capacity(resource, size, bounds.limit)
    return (size, "", first) if size < current and first is not None else (None, "", "")


def least_accepted(unit: SizingUnit, resource: str) -> float:
    """Minimum the API server accepts for a pod-level request: the sum of its containers' requests and, when its limit
    changes with it, the largest container limit. 0 for a container."""
    spec = unit.step.spec
    if spec is None or spec.pod is None or unit.container.name != POD:
        return 0.0
    together = spec.pod.least.get(resource, 0.0)
    if not is_guaranteed(unit.container):
        return together
    return max(together, *(limit_of(c, resource) or 0.0 for c in spec.containers))


def limit_of(container: object, resource: str) -> float | None:
    """The limit of a container in cores or bytes."""
    found: float | None = getattr(container, f"{resource}_limit")
    return found


def limit_follows(evidence: Evidence, container: ContainerUsage, resource: str) -> bool:
    """Whether the limit moves with the request: of a Guaranteed container, and of memory with one size."""
    return is_guaranteed(container) or (resource == "memory" and one_memory_size(evidence, container))


def one_memory_size(evidence: Evidence, container: ContainerUsage) -> bool:
    """Whether the request of memory and its limit are one field of the engine."""
    return evidence.analysis.definition.engine.one_memory_size and container.memory_limit is not None


def is_guaranteed(container: ContainerUsage | ContainerFact) -> bool:
    """Whether requests equal limits for both resources, so that the Guaranteed QoS class must be kept."""
    return (
        container.cpu_request is not None
        and container.memory_request is not None
        and container.cpu_request == container.cpu_limit
        and container.memory_request == container.memory_limit
    )
