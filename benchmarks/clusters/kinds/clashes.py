"""Workflows that wait for nodes because others start at the same time."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.clusters.kinds.plan import WEEKS, Kind, Plan
from benchmarks.clusters.law import DAY, HOUR, NOW, Before, Cluster, Events, Flow, Pool, Rng, Site, Step

CLASH = ("schedule-clash",)


def wide(g: Rng, cores: float, least: float, most: float) -> tuple[Step, ...]:
    """A fan-out that fills so many cores, between two small steps."""
    fan = Step("fan", g.uniform(least, most), ("prep",), items=int(cores))
    return (Step("prep", g.uniform(60, 200)), fan, Step("done", 60.0, ("fan",)))


def apart(site: Site) -> Site:
    """Each workflow on nodes of its own."""
    pools = tuple(replace(site.cluster.pools[0], name=f.name) for f in site.flows)
    flows = tuple(replace(f, steps=tuple(replace(s, pool=f.name) for s in f.steps)) for f in site.flows)
    return Site(flows, replace(site.cluster, pools=pools))


def clash_daily(g: Rng) -> Plan:
    """Two or three workflows start at the same minute each day, and each fills the nodes."""
    cores, hour, spaces = g.choice((4.0, 6.0, 8.0)), g.randint(1, 20), g.choice((("lab", "lab"), ("lab", "shop")))
    flows = tuple(
        Flow(f"daily-{i}", wide(g, cores, 300, 900), f"0 {hour} * * *", namespace=spaces[i % 2])
        for i in range(g.choice((2, 2, 3)))
    )
    site = Site(flows, Cluster((Pool("", 1, cores),)))
    return Plan(site, CLASH, absent=apart(site), fresh=10 * WEEKS)


def clash_hourly(g: Rng) -> Plan:
    """Two or three workflows start at the same minute each hour, and each fills the nodes."""
    cores, minute = g.choice((4.0, 6.0, 8.0)), g.randint(0, 30)
    flows = tuple(
        Flow(f"hourly-{i}", wide(g, cores, 200, 500), f"{minute} * * * *") for i in range(g.choice((2, 2, 3)))
    )
    site = Site(flows, Cluster((Pool("", 1, cores),)))
    return Plan(site, CLASH, absent=apart(site), fresh=WEEKS)


def clash_low_priority(g: Rng) -> Plan:
    """A workflow of low priority starts with one of high priority, whose pods are bound first, and evict its own."""
    cores, hour = g.choice((4.0, 6.0, 8.0)), g.randint(1, 20)
    low = Flow("report", wide(g, cores, 200, 500), f"{g.choice((0, 5))} {hour} * * *")
    low = replace(low, steps=tuple(replace(s, retries=6) for s in low.steps))
    high = Flow("billing", wide(g, 2 * cores, 500, 900), f"0 {hour} * * *", namespace="shop", priority=10)
    site = Site((low, high), Cluster((Pool("", 1, cores),), preempts=g.random() < 0.5))
    return Plan(site, CLASH, "report", apart(site), fresh=10 * WEEKS)


def clash_of_engines(g: Rng) -> Plan:
    """A CronWorkflow, a CronJob and a Pipeline that a trigger starts share nodes at the same time of the day."""
    cores, hour = g.choice((6.0, 8.0)), g.randint(1, 20)
    cron = Flow("etl", wide(g, cores, 300, 600), f"5 {hour} * * *", policy="Forbid")
    job = Flow(
        "archive", (Step("job", g.uniform(400, 900), items=int(cores)),), f"0 {hour} * * *", "cronjob", policy="Forbid"
    )
    events = Events(float(hour), 10 * 60.0)
    build = Flow("build", wide(g, cores, 200, 400), engine="tekton", namespace="ci", events=events)
    site = Site((cron, job, build), Cluster((Pool("", 1, cores),)))
    return Plan(site, CLASH, "etl", apart(site), fresh=10 * WEEKS)


def clash_since_moved(g: Rng) -> Plan:
    """A daily workflow was moved to the time of another one 8 to 10 days ago."""
    cores, hour = g.choice((4.0, 6.0, 8.0)), g.randint(4, 20)
    since = Before(NOW - g.uniform(8, 10) * DAY, f"0 {hour - 3} * * *")
    own = Flow("report", wide(g, cores, 200, 500), f"5 {hour} * * *", before=since)
    other = Flow("billing", wide(g, cores, 500, 900), f"0 {hour} * * *")
    site = Site((own, other), Cluster((Pool("", 1, cores),)))
    return Plan(site, CLASH, "report", apart(site), fresh=10 * WEEKS)


def clash_beside_events(g: Rng) -> Plan:
    """A daily workflow waits behind one that events start in the same hour of each day, which no schedule shows."""
    cores, hour = g.choice((4.0, 6.0, 8.0)), g.randint(2, 20)
    own = Flow("report", wide(g, cores, 200, 500), f"20 {hour} * * *")
    events = Events(float(hour), HOUR / 4)
    other = Flow("uploads", wide(g, 2 * cores, 500, 900), engine="argo", events=events)
    site = Site((own, other), Cluster((Pool("", 1, cores),)))
    return Plan(site, CLASH, "report", apart(site), fresh=10 * WEEKS)


def clash_beside_suspended(g: Rng) -> Plan:
    """Two daily workflows meet, and the nearest quiet hours are those of large ones, which were suspended some days ago."""
    cores, hour = g.choice((4.0, 6.0, 8.0)), g.randint(4, 18)
    own = Flow("report", wide(g, cores, 200, 500), f"5 {hour} * * *")
    other = Flow("billing", wide(g, cores, 500, 900), f"0 {hour} * * *")
    since, engine = NOW - g.uniform(0, 5) * DAY, g.choice(("cron", "cronjob"))
    held = tuple(
        Flow(f"vacuum-{h}", (Step("x", 1700.0, items=int(cores)),), f"0 {hour + h} * * *", engine, suspended=since)
        for h in (-1, 1)
    )
    site = Site((own, other, *held), Cluster((Pool("", 1, cores),)))
    return Plan(site, CLASH, "report", apart(site), fresh=10 * WEEKS)


KINDS: tuple[Kind, ...] = (
    clash_daily,
    clash_hourly,
    clash_low_priority,
    clash_of_engines,
    clash_since_moved,
    clash_beside_events,
    clash_beside_suspended,
)
