"""Allocatable resources of the nodes of a cluster, and of those of them that the pods of a workflow may run on. Pure.

Which taints its pods tolerate is taken from the nodes they ran on: what a manifest tolerates is not all of it, since
engines, namespaces and admission plugins add tolerations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median_low

from concertmaster.core.changes.admission.service_pods import ServicePods

_ROLE = "node-role.kubernetes.io/"  # control-plane, etcd, infra ...: nodes that are there for no workflow


@dataclass(frozen=True, slots=True)
class TaintedNode:
    """A node that admits only pods that tolerate its ``taints`` (``<key>=<value>:<effect>``), with what it has
    ``allocatable`` by resource."""

    taints: frozenset[str]
    allocatable: Mapping[str, float] = field(default_factory=dict)

    @property
    def by_role(self) -> bool:
        """Whether it is there for no workflow."""
        return any(taint.startswith(_ROLE) for taint in self.taints)


@dataclass(frozen=True, slots=True)
class Nodes:
    """Allocatable resources of nodes over the last day, cores and bytes by resource: the ``largest`` node, and the sum of
    ``all``. Empty ``all``: the cluster autoscales, so that the sum is no bound, and services bind nothing either, as more
    nodes come for them. ``services``: what pods outside workflows leave; None: not known.

    ``tainted``: those with a taint, by name; ``open``: the largest of the others, and ``names``: theirs. ``left_out``: how
    many were left out, and ``tolerated``: the taints of those that were not (None: not known).
    """

    largest: Mapping[str, float] = field(default_factory=dict)
    all: Mapping[str, float] = field(default_factory=dict)
    services: ServicePods | None = None
    tainted: Mapping[str, TaintedNode] = field(default_factory=dict)
    open: Mapping[str, float] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    left_out: int = 0
    tolerated: frozenset[str] | None = None

    def beside_services(self, sizes: Sequence[Mapping[str, float]], times: Sequence[float] = ()) -> int | None:
        """How many pods of any of the ``sizes`` (by resource) fit beside services, and nothing else, at the median of the
        ``times`` (unix seconds; none: at any time); None without sizes, where the nodes scale, or services are not known."""
        if self.services is None or not self.all:
            return None
        return min((int(median_low(fits)) for fits in self.services.fits(sizes, times)), default=None)

    def reached(self, seen: Collection[str]) -> Nodes:
        """Without nodes whose taints keep the pods of a workflow away, which ran on the nodes ``seen``: those with a taint
        that none of these has. If some of them are gone, whose taints are not known, only those that are there for no
        workflow; if none was seen, all nodes."""
        tolerated = self.taints_of(seen)
        gone = any(name not in self.tainted and name not in self.names for name in seen)
        away = {name: node for name, node in self.tainted.items() if not node.taints <= tolerated}
        out = {name: node for name, node in away.items() if node.by_role or not gone}
        if not out or not seen:
            return self
        kept = [node.allocatable for name, node in self.tainted.items() if name not in out]
        largest = {r: max([self.open.get(r, 0.0), *(has.get(r, 0.0) for has in kept)]) for r in self.largest}
        return replace(
            self,
            largest={resource: amount for resource, amount in largest.items() if amount > 0.0},
            all={r: max(0.0, amount - _sum(out.values(), r)) for r, amount in self.all.items()},
            services=self.services.without({n: node.allocatable for n, node in out.items()}) if self.services else None,
            left_out=len(out),
            tolerated=None if gone else tolerated,
        )

    def taints_of(self, names: Iterable[str]) -> frozenset[str]:
        """All taints of these nodes."""
        return frozenset(t for name in names if name in self.tainted for t in self.tainted[name].taints)


def _sum(nodes: Collection[TaintedNode], resource: str) -> float:
    return sum(node.allocatable.get(resource, 0.0) for node in nodes)


UNKNOWN_NODES = Nodes()
