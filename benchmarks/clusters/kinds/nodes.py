"""Full clusters, nodes that an autoscaler adds, and spot nodes that are lost."""

from __future__ import annotations

from benchmarks.clusters.kinds.clashes import wide
from benchmarks.clusters.kinds.plan import WEEKS, Kind, Plan
from benchmarks.clusters.law import DAY, HOUR, NOW, Cluster, Flow, Pool, Rng, Site, Step

_QUEUE = ("queue-time",)


def _busy(g: Rng) -> Flow:
    """A workflow that takes more than eight cores at every hour, so that no start is quiet."""
    return Flow("crawl", (Step("fetch", g.uniform(300, 900), items=16, spread=0.3),), "0 * * * *")


def _graph(g: Rng, pool: str = "") -> tuple[Step, ...]:
    a = Step("a", g.uniform(60, 200), pool=pool)
    b = Step("b", g.uniform(100, 400), ("a",), items=g.choice((1, 3, 6)), pool=pool)
    c = Step("c", g.uniform(100, 500), ("a",), pool=pool)
    return (a, b, c, Step("d", 60.0, ("b", "c"), pool=pool))


def full_at_every_hour(g: Rng) -> Plan:
    """A workflow waits behind one that fills the nodes at every hour."""
    own = Flow("etl", _graph(g), f"5 */{g.choice((1, 3, 6))} * * *")
    site = Site((own, _busy(g)), Cluster((Pool("", 1, 8.0),)))
    return Plan(site, _QUEUE, "etl", site.roomy(), fresh=2 * WEEKS)


def full_without_priority(g: Rng) -> Plan:
    """The same, where those of another namespace have priority and evict its pods."""
    own = Flow("etl", tuple(_patient(s) for s in _graph(g)), f"5 */{g.choice((1, 3, 6))} * * *")
    busy = _busy(g)
    other = Flow(busy.name, busy.steps, busy.schedule, namespace="shop", priority=10)
    site = Site((own, other), Cluster((Pool("", 1, 8.0),), preempts=True))
    return Plan(site, _QUEUE, "etl", site.roomy(), fresh=2 * WEEKS)


def _patient(step: Step) -> Step:
    return Step(step.name, step.seconds, step.after, step.cores, step.items, step.spread, retries=6)


def new_nodes_each_run(g: Rng) -> Plan:
    """Short runs wait for new nodes of an autoscaled pool, each time: a warm node would do."""
    own = Flow("etl", _graph(g, "burst"), f"5 */{g.choice((1, 3, 6))} * * *")
    other = Flow("other", (Step("x", g.uniform(900, 2400), cores=g.choice((0.25, 1.0, 2.0))),), own.schedule)
    pools = (Pool("", 1, 4.0), Pool("burst", 0, 4.0, most=6, boot=g.uniform(120, 300)))
    site = Site((own, other), Cluster(pools))
    return Plan(site, _QUEUE, "etl", site.roomy(), fresh=2 * WEEKS)


def spot_without_retries(g: Rng) -> Plan:
    """Spot nodes are lost every few hours, and steps that run on them are not retried."""
    train = Step("train", g.uniform(1500, 3000), ("prep",), items=4, pool="spot", retries=0)
    own = Flow("train", (Step("prep", 120.0), train, Step("done", 60.0, ("train",))), "0 */3 * * *")
    pools = (Pool("", 1, 8.0), Pool("spot", 4, 2.0, lost=g.uniform(12, 30) * HOUR))
    site = Site((own,), Cluster(pools))
    return Plan(site, ("retry-policy", "failing-step"), "train", fresh=8 * WEEKS)


def spot_with_retries(g: Rng) -> Plan:
    """Spot nodes are lost now and then, and what ran on them is tried again."""
    train = Step("train", g.uniform(600, 1500), ("prep",), items=4, pool="spot")
    own = Flow("train", (Step("prep", 120.0), train, Step("done", 60.0, ("train",))), "0 */3 * * *")
    other = Flow("other", wide(g, 4, 300, 900), "0 */3 * * *")
    pools = (Pool("", 1, 8.0), Pool("spot", 4, 2.0, lost=g.uniform(20, 60) * HOUR))
    return Plan(Site((own, other), Cluster(pools)))


def autoscaled_long_runs(g: Rng) -> Plan:
    """Long nightly runs wait for new nodes a small part of their time, beside another workflow on a node of its own."""
    hour = g.randint(1, 5)
    fan = Step("fan", g.uniform(4000, 7000), ("prep",), items=4, pool="burst")
    own = Flow("report", (Step("prep", g.uniform(400, 900), pool="burst"), fan), f"0 {hour} * * *")
    other = Flow("other", (Step("x", g.uniform(900, 2400), cores=g.choice((0.25, 1.0, 2.0))),), f"0 {hour} * * *")
    pools = (Pool("", 1, 4.0), Pool("burst", 0, 4.0, most=3, boot=g.uniform(60, 150)))
    return Plan(Site((own, other), Cluster(pools)))


def evicted_now_and_then(g: Rng) -> Plan:
    """Pods of low priority are evicted on a few days, when a larger workflow starts by an event, and tried again."""
    own = Flow("etl", wide(g, 3, 300, 600), "0 */2 * * *")
    own = Flow(own.name, tuple(_patient(s) for s in own.steps), own.schedule)
    by_hand = tuple(NOW - g.uniform(0, 14) * DAY for _ in range(3))
    urgent = Flow("urgent", wide(g, 4, 300, 600), engine="argo", priority=10, backfill=by_hand)
    return Plan(Site((own, urgent), Cluster((Pool("", 1, 6.0),), preempts=True)))


def beside_without_effect(g: Rng) -> Plan:
    """Three workflows start at the same minute on nodes for all of them."""
    schedule = g.choice(("0 2 * * *", "0 */6 * * *", "0 * * * *"))
    flows = tuple(Flow(f"flow-{i}", wide(g, 6, 300, 900), schedule) for i in range(3))
    return Plan(Site(flows, Cluster((Pool("", 3, 8.0),))))


def high_priority(g: Rng) -> Plan:
    """A workflow of high priority never waits, and one of low priority that starts after it has time: it runs for hours
    and waits for minutes."""
    hour = g.randint(1, 18)
    high = Flow("billing", wide(g, 6, 200, 400), f"0 {hour} * * *", priority=10, namespace="shop")
    low = Flow("archive", (Step("a", g.uniform(15000, 20000), items=4),), f"5 {hour} * * *")
    return Plan(Site((low, high), Cluster((Pool("", 1, 8.0),))))


PLANTED: tuple[Kind, ...] = (full_at_every_hour, full_without_priority, new_nodes_each_run, spot_without_retries)
HEALTHY: tuple[Kind, ...] = (
    spot_with_retries,
    autoscaled_long_runs,
    evicted_now_and_then,
    beside_without_effect,
    high_priority,
)
