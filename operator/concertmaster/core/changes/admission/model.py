"""What admission of a pod depends on: LimitRanges, ResourceQuotas, and the pods of a step before and after a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from concertmaster.core.reserved import reservation

ByResource = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LimitRange:
    """One entry of a LimitRange for a container or a pod (``scope``), cores and bytes by resource. ``default`` applies to
    limits, ``default_request`` to requests; ``ratio``: maximum of limit divided by request."""

    name: str
    scope: str
    least: ByResource = field(default_factory=dict)
    most: ByResource = field(default_factory=dict)
    default: ByResource = field(default_factory=dict)
    default_request: ByResource = field(default_factory=dict)
    ratio: ByResource = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResourceQuota:
    """Hard limits and current usage of a ResourceQuota: ``cpu``, ``memory``, ``ephemeral-storage`` and GPUs (requests), the
    first three with prefix ``limits.`` too, and ``pods``. ``scoped``: it applies to a part of the pods only. ``kind``: of
    the object, as a ClusterQueue of Kueue limits the requests of a run alike, or of ``each`` of its pods."""

    name: str
    hard: ByResource = field(default_factory=dict)
    used: ByResource = field(default_factory=dict)
    scoped: bool = False
    kind: str = "ResourceQuota"
    each: bool = False

    def without(self, taken: ByResource) -> ResourceQuota:
        """What others leave of it, who take so much of each resource; all of it where it is not known to apply to them."""
        if self.scoped:
            return self
        return replace(self, hard={r: max(0.0, amount - taken.get(r, 0.0)) for r, amount in self.hard.items()})


@dataclass(frozen=True, slots=True)
class Container:
    """Requests and limits of one container, cores, bytes and GPUs by resource."""

    name: str
    requests: ByResource = field(default_factory=dict)
    limits: ByResource = field(default_factory=dict)
    init: bool = False  # ends before the others start
    known: bool = True  # False: added by the engine, with resources from its own configuration
    native: bool = False  # a sidecar among the init containers, which starts before those after it


@dataclass(frozen=True, slots=True)
class Pod:
    """The containers of one pod; not ``complete``: only the known ones. ``level``: its pod-level resources."""

    containers: tuple[Container, ...]
    complete: bool = True
    level: Container | None = None

    def total(self, of: str) -> dict[str, float]:
        """Effective ``requests`` or ``limits`` of the pod: pod-level values, else those of its containers."""
        return {**self.together(of), **(getattr(self.level, of) if self.level is not None else {})}

    def together(self, of: str) -> dict[str, float]:
        """Effective ``requests`` or ``limits`` of its containers."""
        rows = [(c.name, c.init, getattr(c, of)) for c in self.containers]
        resources = dict.fromkeys(resource for _, _, amounts in rows for resource in amounts)
        native = frozenset(c.name for c in self.containers if c.native)
        asked = {r: [(name, init, amounts.get(r)) for name, init, amounts in rows] for r in resources}
        return {r: reservation(amounts, native).total for r, amounts in asked.items()}


@dataclass(frozen=True, slots=True)
class PodChange:
    """The pods of one step before and after a plan, and how many may run concurrently (None: unknown)."""

    before: Pod
    after: Pod
    count_before: int | None = 1
    count_after: int | None = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why pods would be rejected. ``missing``: because a value is not set, which the change does not cause."""

    reason: str
    message: str
    missing: bool = False
