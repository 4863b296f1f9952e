"""What a metrics source says of the simulated nodes and the services on them, as the product reads it."""

from __future__ import annotations

from benchmarks.clusters.law import Cluster
from concertmaster.core.changes.admission.nodes import Nodes, TaintedNode
from concertmaster.core.changes.admission.service_pods import SAMPLE_EVERY, InQuotas, ServicePods, in_quotas
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.services import read_quota_services, read_services
from concertmaster.prometheus.queries.scope import PLAIN

_MOMENTS = 56  # of a week
_MOST = 110.0  # pods of a node
_COLUMNS = ("stat", "node", "resource")


def known_services(cluster: Cluster, now: float) -> ServicePods | None:
    """Moments of the week before ``now`` (unix seconds); each node has a pod of its own, and one of services."""
    newest = now // SAMPLE_EVERY * SAMPLE_EVERY
    times = [newest - n * SAMPLE_EVERY for n in reversed(range(_MOMENTS))]
    found = [read_services(_answer(cluster, at), at, PLAIN) for at in times]
    return ServicePods(tuple(moment for moment in found if moment is not None))


def known_taints(cluster: Cluster) -> Nodes:
    """Names of the nodes, the largest without a taint, and those with one."""
    named = {f"{p.name or 'node'}-{number}": p for p in cluster.pools for number in range(p.nodes)}
    plain = {name: pool for name, pool in named.items() if not pool.taint}
    tainted = {
        name: TaintedNode(frozenset([pool.taint]), {"cpu": pool.cores}) for name, pool in named.items() if pool.taint
    }
    most = {"cpu": max((pool.cores for pool in plain.values()), default=0.0)}
    return Nodes(tainted=tainted, open=most, names=frozenset(plain))


def known_in_quotas(cluster: Cluster, now: float) -> dict[str, InQuotas]:
    """What services take of quotas, by namespace."""
    rows = {("quotas", space, ""): 1.0 for space in cluster.quotas}
    rows |= {("requests", space, "cpu"): cores for space, cores in cluster.in_quotas.items()}
    vector = Vector(("stat", "namespace", "resource"), tuple(rows), list(rows.values()))
    found = read_quota_services(vector, now // SAMPLE_EVERY * SAMPLE_EVERY, PLAIN)
    return in_quotas([found] if found is not None else [])


def _answer(cluster: Cluster, at: float) -> Vector:
    """The answer of the query at a moment."""
    rows: dict[tuple[str, str, str], float] = {}
    for pool in cluster.pools:
        for number in range(pool.nodes):
            node = f"{pool.name or 'node'}-{number}"
            rows["allocatable", node, "cpu"], rows["allocatable", node, "pods"] = pool.cores, _MOST
            rows["held", node, "cpu"] = pool.services_at(at)
            rows["pods", node, ""] = 2.0
    return Vector(_COLUMNS, tuple(rows), list(rows.values()))
