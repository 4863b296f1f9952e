"""Limits on pods at a time, with nodes and quotas that hold more, or no more."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.clusters.kinds.plan import Kind, Plan
from benchmarks.clusters.law import Cluster, Flow, Pool, Rng, Site, Step

_LIMIT = ("parallelism",)
_CONTROL = "node-role.kubernetes.io/control-plane=:NoSchedule"


def _fan(g: Rng, items: int) -> tuple[Step, ...]:
    fan = Step("fan", g.uniform(100, 400), ("prep",), items=items, spread=g.choice((0.1, 0.4)))
    return (Step("prep", g.uniform(60, 150)), fan, Step("end", 60.0, ("fan",)))


def _limited(g: Rng) -> Flow:
    steps = _fan(g, g.choice((6, 8, 12, 16)))
    minute = g.randint(0, 9)
    return Flow("etl", steps, f"{minute} */{g.choice((2, 3, 6))} * * *", limit=g.choice((2, 3, 4)))


def _other(g: Rng, items: int) -> Flow:
    return Flow("other", (Step("x", g.uniform(600, 1500), items=items),), "0 * * * *", namespace="lab")


def _without(site: Site, *names: str) -> Site:
    """Without the limits of these workflows."""
    return replace(site, flows=tuple(replace(f, limit=None) if f.name in names else f for f in site.flows))


def limit_on_free_nodes(g: Rng) -> Plan:
    """A limit delays pods for which nodes have room."""
    site = Site((_limited(g),), Cluster((Pool("", 4, 8.0),)))
    return Plan(site, _LIMIT, "etl", _without(site, "etl"))


def limit_beside_another(g: Rng) -> Plan:
    """A limit on nodes that another workflow uses at every hour."""
    own = _limited(g)
    room = float((own.limit or 0) + 2)
    site = Site((own, _other(g, int(room) + 1)), Cluster((Pool("", 2, room),)))
    return Plan(site, _LIMIT, "etl", _without(site, "etl"))


def limits_at_once(g: Rng) -> Plan:
    """Two or three workflows start together, each limited to two pods, on nodes for a part of them."""
    cores = g.choice((8.0, 12.0))
    flows = tuple(Flow(f"flow-{i}", _fan(g, int(cores)), "0 */3 * * *", limit=2) for i in range(g.choice((2, 3))))
    site = Site(flows, Cluster((Pool("", 1, cores),)))
    return Plan(site, _LIMIT, absent=_without(site, *(f.name for f in flows)))


def limit_within_quota(g: Rng) -> Plan:
    """A limit below what the ResourceQuota of the namespace holds."""
    own = _limited(g)
    site = Site((own,), Cluster((Pool("", 8, 8.0),), quotas={"lab": float(2 * (own.limit or 0) + 1)}))
    return Plan(site, _LIMIT, "etl", _without(site, "etl"))


def limit_in_shared_quota(g: Rng) -> Plan:
    """The same, where another workflow of the namespace uses most of the quota at every hour."""
    own = _limited(g)
    quota = float(2 * (own.limit or 0) + 4)
    cluster = Cluster((Pool("", 8, 8.0),), quotas={"lab": quota})
    site = Site((own, _other(g, int(quota) - (own.limit or 0) - 1)), cluster)
    return Plan(site, _LIMIT, "etl", _without(site, "etl"))


def limit_in_quota_with_services(g: Rng) -> Plan:
    """The same, where services of the namespace take most of the quota."""
    own = _limited(g)
    services = g.choice((4.0, 8.0))
    quota = services + (own.limit or 0) + g.choice((1, 2, 3))
    cluster = Cluster((Pool("", 8, 8.0),), quotas={"lab": quota}, in_quotas={"lab": services})
    site = Site((own,), cluster)
    return Plan(site, _LIMIT, "etl", _without(site, "etl"))


def limit_beside_services(g: Rng) -> Plan:
    """A limit on nodes that services fill for the most part."""
    own = _limited(g)
    room = (own.limit or 0) + 2
    pool = Pool("", 2, 16.0, services=16.0 - room / 2)
    site = Site((own,), Cluster((pool,)))
    return Plan(site, _LIMIT, "etl", _without(site, "etl"))


def limit_beside_services_by_day(g: Rng) -> Plan:
    """The same, where services scale down at night; runs start by day, or by night, or at any hour."""
    own = _limited(g)
    own = replace(own, schedule=f"{g.randint(0, 9)} {g.choice(('9-18/2', '21-23,1-5/2', '*/2'))} * * *")
    room = (own.limit or 0) + 2
    pool = Pool("", 2, 16.0, services=4.0, by_day=12.0 - room / 2)
    site = Site((own,), Cluster((pool,)))
    return Plan(site, _LIMIT, "etl", _without(site, "etl"))


def limit_beside_control_plane(g: Rng) -> Plan:
    """A limit on nodes of which those of the control plane have most of what is free."""
    own = _limited(g)
    room = (own.limit or 0) + g.choice((2, 3))
    control = Pool("control", 3, g.choice((4.0, 8.0)), services=1.0, taint=_CONTROL)
    site = Site((own,), Cluster((Pool("", 1, float(room)), control)))
    return Plan(site, _LIMIT, "etl", _without(site, "etl"))


def limit_beside_dedicated_nodes(g: Rng) -> Plan:
    """A limit on nodes beside some that are dedicated to another workflow; a third one uses the others at every hour."""
    own = _limited(g)
    train = Flow("train", (Step("x", g.uniform(1800, 3000), items=8, pool="gpu"),), "0 * * * *", namespace="ml")
    other = _other(g, 2)
    nodes = Pool("", 1, float((own.limit or 0) + 2 + g.choice((1, 2))))
    dedicated = Pool("gpu", 2, g.choice((8.0, 16.0)), taint="nvidia.com/gpu=present:NoSchedule")
    site = Site((own, train, other), Cluster((nodes, dedicated)))
    return Plan(site, _LIMIT, "etl", _without(site, "etl"))


def limit_of_a_job(g: Rng) -> Plan:
    """A CronJob whose completions run a few at a time on free nodes."""
    job = Step("job", g.uniform(60, 400), items=g.choice((6, 8, 12)), spread=g.choice((0.1, 0.5)))
    own = Flow(
        "batch", (job,), g.choice(("0 * * * *", "0 */6 * * *")), "cronjob", policy="Forbid", limit=g.choice((1, 2, 3))
    )
    other = Flow("pipeline", _fan(g, 4), engine="cron", schedule="0 */6 * * *")
    site = Site((own, other), Cluster((Pool("", 4, 8.0),)))
    return Plan(site, _LIMIT, "batch", _without(site, "batch"))


def more_pods_than_nodes(g: Rng) -> Plan:
    """A fan-out twice as wide as all nodes: most of its pods wait for its own."""
    items = g.choice((8, 12, 16))
    own = Flow("etl", _fan(g, items), "0 */3 * * *")
    site = Site((own,), Cluster((Pool("", 1, items / 2),)))
    return Plan(site, ("parallelism", "queue-time"), "etl")


def limit_of_all_nodes(g: Rng) -> Plan:
    """A limit that is what all nodes hold."""
    own = _limited(g)
    return Plan(Site((own,), Cluster((Pool("", 1, float(own.limit or 0)),))))


def limit_of_the_quota(g: Rng) -> Plan:
    """A limit that is what the quota holds."""
    own = _limited(g)
    return Plan(Site((own,), Cluster((Pool("", 4, 8.0),), quotas={"lab": float(own.limit or 0)})))


def held_by_quota(g: Rng) -> Plan:
    """A quota that its owner shares out admits half of the pods of a fan-out: they are created one after the other."""
    items = g.choice((8, 12, 16))
    own = Flow("etl", _fan(g, items), "0 */3 * * *")
    return Plan(Site((own,), Cluster((Pool("", 4, 8.0),), quotas={"lab": items / 2})))


def limit_never_reached(g: Rng) -> Plan:
    """A limit above the width of the graph, beside another workflow at the same minute."""
    own = replace(_limited(g), limit=20)
    return Plan(Site((own, _other(g, 6)), Cluster((Pool("", 4, 8.0),))))


PLANTED: tuple[Kind, ...] = (
    limit_on_free_nodes,
    limit_beside_another,
    limits_at_once,
    limit_within_quota,
    limit_in_shared_quota,
    limit_in_quota_with_services,
    limit_beside_services,
    limit_beside_services_by_day,
    limit_beside_control_plane,
    limit_beside_dedicated_nodes,
    limit_of_a_job,
    more_pods_than_nodes,
)
HEALTHY: tuple[Kind, ...] = (limit_of_all_nodes, limit_of_the_quota, held_by_quota, limit_never_reached)
