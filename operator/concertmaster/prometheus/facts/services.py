"""What pods outside workflows leave of each node, and take of quotas, at one moment, from the answers of the ``services``
and ``quota_services`` queries. Pure."""

from __future__ import annotations

from concertmaster.core import arrays as np
from concertmaster.core.changes.admission.service_pods import QuotaMoment, ServiceMoment
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.queries.scope import LabelScheme

_PODS = "pods"
_DAEMON_SET_SHARE = 0.9  # of the nodes have such pods, where those of all namespaces are known: DaemonSets run on each


def read_services(vector: Vector, at: float, scheme: LabelScheme) -> ServiceMoment | None:
    """The moment ``at`` (unix seconds). A pod that requests nothing holds nothing but its place. None where the metrics
    source knows no cores of nodes, no pod of a service, or no request of any of them: no cluster is without, so they are
    unknown and not none."""
    known: dict[str, dict[tuple[str, str], float]] = {}
    for (stat, node, resource), value in vector.select("stat", *scheme.columns("node", "resource")):
        known.setdefault(stat, {})[node, resource or _PODS] = max(0.0, value)
    has, pods = known.get("allocatable", {}), known.get(_PODS, {})
    if not pods or "held" not in known or not any(resource == "cpu" for _, resource in has):
        return None
    taken = known["held"] | pods
    nodes = sorted({node for node, _ in has})
    left, held = {}, {}
    for resource in sorted({resource for _, resource in has}):
        each = [(has.get((node, resource), 0.0), taken.get((node, resource), 0.0)) for node in nodes]
        left[resource] = np.array([whole - part for whole, part in each])
        held[resource] = sum(part for _, part in each)
    whole = len({node for node, _ in pods} & set(nodes)) >= _DAEMON_SET_SHARE * len(nodes)
    return ServiceMoment(at, left, held, whole, tuple(nodes))


def read_quota_services(vector: Vector, at: float, scheme: LabelScheme) -> QuotaMoment | None:
    """The moment ``at`` (unix seconds). None where the metrics source knows no quota."""
    held: dict[str, dict[str, float]] = {}
    for (stat, space, resource), value in vector.select("stat", *scheme.columns("namespace", "resource")):
        amounts = held.setdefault(space, {})
        if stat != "quotas":
            amounts[_PODS if stat == _PODS else f"limits.{resource}" if stat == "limits" else resource] = value
    return QuotaMoment(at, held) if held else None
