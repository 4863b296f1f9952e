"""Capacity of a namespace and its nodes for a pod: the bounds of recommended sizes and parallelism. Pure.

The objects that the checks of a change read (LimitRange, ResourceQuota) also bound recommendations, so that none proposes
what the API server would reject or no node could run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from concertmaster.core.changes.admission.model import LimitRange, ResourceQuota
from concertmaster.core.changes.admission.nodes import UNKNOWN_NODES, Nodes
from concertmaster.core.changes.admission.quotas import PodSizes, pod_sizes, pods_within, quota_of
from concertmaster.core.changes.admission.service_pods import InQuotas
from concertmaster.core.model import StepSpec
from concertmaster.core.model.amounts import RESOURCES, quantity

_AMOUNTS = ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio")


@dataclass(frozen=True, slots=True)
class Bound:
    """Minimum and maximum of one resource, cores or bytes, with what sets each; None: unbounded."""

    least: float | None = None
    most: float | None = None
    least_by: str = ""
    most_by: str = ""


LARGEST_NODE = "the largest node (allocatable)"
BESIDE_SERVICES = "the capacity left by pods outside workflows"


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bounds for the pods of a namespace: its ``quotas`` (without current usage), its limit ``ranges``, the ``nodes`` of its
    cluster, and what services hold of the quotas (``in_quotas``; None: not known)."""

    quotas: tuple[ResourceQuota, ...] = ()
    ranges: tuple[LimitRange, ...] = ()
    nodes: Nodes = UNKNOWN_NODES
    in_quotas: InQuotas | None = None

    def pods(self, steps: Iterable[StepSpec], times: Sequence[float] = ()) -> tuple[int, str] | None:
        """The most concurrent pods of any of the ``steps`` when no other workflow runs, at the median of the ``times`` (unix
        seconds; none: at any time), and what sets that bound."""
        return self.pods_of(pod_sizes(steps, self.ranges), times)

    def pods_of(self, sizes: PodSizes, times: Sequence[float]) -> tuple[int, str] | None:
        """The same of pods of these sizes: many runs have the same."""
        held = self.in_quotas.usually(times) if self.in_quotas is not None else {}
        quotas = pods_within([quota.without(held) for quota in self.quotas], sizes.largest)
        nodes = pods_within((ResourceQuota("", self.nodes.all),), sizes.largest)
        beside = self.nodes.beside_services(sizes.on_nodes, times)
        bounds = [(quotas[0], f"ResourceQuota {quotas[1]}")] if quotas is not None else []
        bounds += [(nodes[0], "what all nodes have allocatable")] if nodes is not None else []
        bounds += [(beside, BESIDE_SERVICES)] if beside is not None and (nodes is None or beside < nodes[0]) else []
        return min(bounds, default=None)

    def request(self, resource: str, limit: float | None, *, tied: bool = False) -> Bound:
        """Bounds of a container's request of ``resource`` with its ``limit`` (None: not set); ``tied``: the limit changes
        with it.

        The minimum is that of LimitRanges, and the limit divided by ``maxLimitRequestRatio``; the maximum is the smallest
        of the LimitRanges' maximum, their default limit, the whole quota and the largest node."""
        least = max(self._least(resource, None if tied else limit), default=(None, ""))
        most = min(self._most(resource, limit), default=(None, ""))
        return Bound(least[0], most[0], least[1], most[1])

    def defaults(self, resource: str) -> tuple[float | None, float | None]:
        """The request and the limit that LimitRanges give a container without either; None: none."""
        ranges = [r for r in self.ranges if r.scope == "Container"]
        most = next((r.default[resource] for r in ranges if resource in r.default), None)
        return next((r.default_request[resource] for r in ranges if resource in r.default_request), most), most

    def ratio(self, resource: str) -> tuple[float, str] | None:
        """The most that a container's limit may be of its request, and what says so; None where nothing does."""
        ranges = (r for r in self.ranges if r.scope == "Container" and r.ratio.get(resource))
        return min(((r.ratio[resource], f"maxLimitRequestRatio of LimitRange {r.name}") for r in ranges), default=None)

    def limit(self, resource: str) -> Bound:
        """Bounds of a container's limit of ``resource``."""
        most = min(
            ((r.most[resource], f"LimitRange {r.name}") for r in self.ranges if resource in r.most), default=None
        )
        quota = min(
            ((q.hard[key], f"ResourceQuota {q.name}") for q in self.quotas if (key := f"limits.{resource}") in q.hard),
            default=None,
        )
        tightest = min((b for b in (most, quota) if b is not None), default=(None, ""))
        return Bound(most=tightest[0], most_by=tightest[1])

    def memory_beside_services(self) -> Bound:
        """The most memory that a pod may request, and have as its limit, beside services in the quotas when they
        take least: a larger pod is never admitted. No bound of a size that is lowered, as the pods of that run today."""
        if self.in_quotas is None:
            return Bound()
        left = (
            (
                quota.hard[key] - self.in_quotas.least(key),
                f"what pods outside workflows leave of ResourceQuota {quota.name}",
            )
            for quota in self.quotas
            for key in ("memory", "limits.memory")
            if key in quota.hard and not quota.scoped and self.in_quotas.least(key) > 0.0
        )
        most, by = min(left, default=(None, ""))
        return Bound(most=most, most_by=by)

    def _least(self, resource: str, limit: float | None) -> Iterator[tuple[float, str]]:
        for limits in self.ranges:
            if limits.scope != "Container":
                continue
            if resource in limits.least:
                yield limits.least[resource], f"LimitRange {limits.name}"
            if limit is not None and limits.ratio.get(resource):
                yield limit / limits.ratio[resource], f"maxLimitRequestRatio of LimitRange {limits.name}"

    def _most(self, resource: str, limit: float | None) -> Iterator[tuple[float, str]]:
        for limits in self.ranges:
            if resource in limits.most:
                yield limits.most[resource], f"LimitRange {limits.name}"
            if limit is None and limits.scope == "Container" and resource in limits.default:
                yield limits.default[resource], f"the default limit of LimitRange {limits.name}"
        for quota in self.quotas:
            if resource in quota.hard:
                yield quota.hard[resource], f"ResourceQuota {quota.name}"
        if resource in self.nodes.largest:
            yield self.nodes.largest[resource], LARGEST_NODE


UNBOUND = Capacity()


def ranges_of(raw: Mapping[str, Any]) -> Iterator[LimitRange]:
    """The entries of a LimitRange object that apply to containers and pods."""
    for row in (raw.get("spec") or {}).get("limits") or ():
        if row.get("type") in ("Container", "Pod"):
            name = str((raw.get("metadata") or {}).get("name", ""))
            yield LimitRange(name, row["type"], *(_amounts(row.get(f)) for f in _AMOUNTS))


def capacity_by_namespace(objects: Iterable[Mapping[str, Any]]) -> dict[str, Capacity]:
    """ResourceQuotas (without current usage) and LimitRanges among the objects, by namespace."""
    capacities: dict[str, Capacity] = {}
    for raw in objects:
        add(capacities, raw)
    return capacities


def add(capacities: dict[str, Capacity], raw: Mapping[str, Any]) -> None:
    """Add one object of any kind to the capacities."""
    space = str((raw.get("metadata") or {}).get("namespace") or "default")
    here = capacities.get(space, UNBOUND)
    if raw.get("kind") == "LimitRange":
        capacities[space] = replace(here, ranges=(*here.ranges, *ranges_of(raw)))
    elif raw.get("kind") == "ResourceQuota" and (quota := quota_of(raw)) is not None:
        capacities[space] = replace(here, quotas=(*here.quotas, replace(quota, used={})))


def _amounts(rows: Mapping[str, Any] | None) -> dict[str, float]:
    amounts = {k: quantity(v) for k, v in (rows or {}).items() if k in RESOURCES}
    return {k: v for k, v in amounts.items() if v is not None}
