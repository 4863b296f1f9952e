"""What pods outside workflows leave of each node, and of the quotas of a namespace: services (Deployments, StatefulSets,
DaemonSets, static pods). Pure.

Known at moments a few hours apart. A service that scales with the hour leaves less at some times of the day than at others,
so a run is compared with the moment next to it, and where there is none with those at the same time of other days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Flags, Floats
from concertmaster.core.units import DAY, HOUR

SAMPLE_EVERY = 3 * HOUR
"""Seconds between two moments."""
_PERCENTILE = 90.0  # percentile
_EXACT = 1e-9
_MAX_SIZES = 1000  # sizes
_MAX_NODE_SETS = 20  # of nodes
_UNBOUND = 1e6  # pods on a node: more is no figure of a node; and pods that request nothing of what is known


@dataclass(frozen=True, slots=True, eq=False)
class ServiceMoment:
    """One moment (``at``, unix seconds). ``left``: of each node by resource (cores, bytes, pods), shape (nodes,), in one
    order for all resources; below zero where more is requested than the node has. ``held``: requested on all nodes together.
    ``whole``: whether pods outside workflows are known on nearly all nodes, and not of some namespaces only. ``nodes``: the
    names of the nodes in that order."""

    at: float
    left: Mapping[str, Floats]
    held: Mapping[str, float]
    whole: bool = True
    nodes: tuple[str, ...] = ()

    def without(self, nodes: Mapping[str, Mapping[str, float]]) -> ServiceMoment:
        """On the other nodes only; of ``nodes``, by name, what each has allocatable by resource."""
        out = np.array([name in nodes for name in self.nodes], dtype=bool)
        if not out.any():
            return self
        held = dict(self.held)
        for resource in held:
            there = zip(self.nodes, self.left.get(resource, ()), strict=False)
            gone = [nodes[name].get(resource, 0.0) - float(left) for name, left in there if name in nodes]
            held[resource] = max(0.0, held[resource] - sum(max(0.0, amount) for amount in gone))
        left = {resource: amounts[~out] for resource, amounts in self.left.items()}
        names = tuple(name for name in self.nodes if name not in nodes)
        return ServiceMoment(self.at, left, held, self.whole, names)


@dataclass(frozen=True, slots=True, eq=False)
class ServicePods:
    """``moments``: at least one, in the order of their times."""

    moments: tuple[ServiceMoment, ...]
    _known: dict[tuple[tuple[str, float], ...], Floats] = field(default_factory=dict, init=False, repr=False)
    _others: dict[frozenset[str], ServicePods] = field(default_factory=dict, init=False, repr=False)

    @property
    def whole(self) -> bool:
        """Whether what is known is all there is; otherwise services request at least that much."""
        return 2 * sum(moment.whole for moment in self.moments) > len(self.moments)

    def without(self, nodes: Mapping[str, Mapping[str, float]]) -> ServicePods:
        """On the other nodes only, as ``ServiceMoment.without``. Many workflows are kept from the same nodes."""
        names = frozenset(nodes)
        if names not in self._others:
            if len(self._others) >= _MAX_NODE_SETS:
                del self._others[next(iter(self._others))]
            self._others[names] = ServicePods(tuple(moment.without(nodes) for moment in self.moments))
        return self._others[names]

    def fits(self, sizes: Sequence[Mapping[str, float]], times: Sequence[float] = ()) -> list[list[int]]:
        """For each of the ``sizes`` (by resource) how many pods of it fit on the nodes beside services, at each of the
        ``times`` (unix seconds); without times, at each of the moments."""
        every, near = [self._at_each(tuple(sorted(size.items()))) for size in sizes], self._near(times)
        if not times:
            return [fits.astype(int).tolist() for fits in every]
        return [[int(np.median(fits[at])) for at in near] for fits in every]

    def held(self, resource: str, times: Sequence[float] = ()) -> list[float]:
        """Cores or bytes that services request on all nodes together at each of the ``times``; without times, at each of the
        moments."""
        every = np.array([moment.held.get(resource, 0.0) for moment in self.moments])
        return [float(np.median(every[near])) for near in self._near(times)] if times else every.tolist()

    def high(self, resource: str) -> float:
        """The 90th percentile over all moments of what ``held`` says."""
        return float(np.percentile(self.held(resource), _PERCENTILE))

    def _at_each(self, size: tuple[tuple[str, float], ...]) -> Floats:
        """Pods of the size beside services at each of the moments, shape (moments,). The rules of an analysis ask for the
        same pods, and for each run."""
        if size not in self._known:
            if len(self._known) >= _MAX_SIZES:
                del self._known[next(iter(self._known))]
            self._known[size] = np.array([_fits(moment, size) for moment in self.moments])
        return self._known[size]

    def _near(self, times: Sequence[float]) -> list[Flags]:
        """For each of the times, which of the moments describe it, shape (moments,)."""
        return _near(np.array([moment.at for moment in self.moments]), times)


@dataclass(frozen=True, slots=True, eq=False)
class QuotaMoment:
    """What services hold of quotas at one moment (``at``, unix seconds): by namespace that has one, and resource as in
    ``ResourceQuota``."""

    at: float
    held: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, eq=False)
class InQuotas:
    """What services hold of the quotas of one namespace. ``held``: by resource as in ``ResourceQuota``, at each of the
    moments ``at`` (unix seconds, at least one), shape (moments,)."""

    at: Floats
    held: Mapping[str, Floats]

    def usually(self, times: Sequence[float] = ()) -> dict[str, float]:
        """What they hold at the median of the ``times`` (unix seconds; none: of all moments)."""
        near = _near(self.at, times)
        return {
            resource: float(np.median([np.median(held[which]) for which in near] if near else held))
            for resource, held in self.held.items()
        }

    def least(self, resource: str) -> float:
        """The least that they hold of a resource at any of the moments."""
        return float(self.held[resource].min()) if resource in self.held else 0.0


def in_quotas(moments: Sequence[QuotaMoment]) -> dict[str, InQuotas]:
    """By namespace that has a quota at the newest of the ``moments``, in the order of their times."""
    found = {}
    for space in moments[-1].held if moments else ():
        rows = [(moment.at, moment.held[space]) for moment in moments if space in moment.held]
        resources = sorted({resource for _, held in rows for resource in held})
        known = {resource: np.array([held.get(resource, 0.0) for _, held in rows]) for resource in resources}
        found[space] = InQuotas(np.array([at for at, _ in rows]), known)
    return found


def _near(known: Floats, times: Sequence[float]) -> list[Flags]:
    """For each of the times, which of the moments ``known`` describe it, shape (moments,): the one next to it, or those at
    that time of other days."""
    found = []
    for time in times:
        away = np.abs(known - time)
        if away.min() > SAMPLE_EVERY / 2:
            away = np.minimum(away % DAY, DAY - away % DAY)
        found.append(away <= max(SAMPLE_EVERY / 2, float(away.min())))
    return found


def _fits(moment: ServiceMoment, size: tuple[tuple[str, float], ...]) -> float:
    """Pods of the size beside services at the moment."""
    fits = [moment.left[resource] / amount for resource, amount in size if amount > 0 and resource in moment.left]
    if not fits:
        return _UNBOUND
    return float(np.floor(np.minimum.reduce(fits) + _EXACT).clip(0.0, _UNBOUND).sum())
