"""Runs that take longer than the interval of their schedule, and those that only seem to."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.clusters.kinds.plan import WEEKS, Kind, Plan
from benchmarks.clusters.law import DAY, MINUTE, NOW, Before, Cluster, Flow, Pool, Rng, Site, Step

_OVERLAP = ("overlapping-runs",)
_FEW = 5 * DAY


def _filling(g: Rng, share: float, every: float, policy: str, engine: str = "cron") -> Flow:
    """A workflow whose usual run takes that share of its interval of so many minutes."""
    zone = g.choice(("UTC", "Europe/Berlin", "America/New_York"))
    seconds = share * every * MINUTE
    if engine == "cronjob":
        steps: tuple[Step, ...] = (Step("job", seconds),)
    else:
        part = g.uniform(0.2, 0.6)
        steps = (Step("a", part * seconds), Step("b", (1 - part) * seconds, ("a",)))
    spread = g.choice((0.1, 0.3))
    return Flow("etl", steps, f"*/{int(every)} * * * *", engine, zone, policy, run_spread=spread)


def _alone(flow: Flow, **cluster: object) -> Site:
    return Site((flow,), Cluster((Pool("", 2, 16.0),), **cluster))  # type: ignore[arg-type]


def skipped_by_forbid(g: Rng) -> Plan:
    """Runs longer than the interval, with Forbid: starts are skipped."""
    flow = _filling(g, g.uniform(0.95, 1.6), g.choice((5, 10, 15, 20, 30)), "Forbid")
    return Plan(_alone(flow), _OVERLAP, "etl", window=_FEW, fresh=WEEKS)


def late_by_forbid(g: Rng) -> Plan:
    """The same of a CronJob, whose controller makes up for the last start that it missed as soon as the run is over."""
    flow = _filling(g, g.uniform(1.1, 1.6), g.choice((5, 10, 15, 20, 30)), "Forbid", "cronjob")
    return Plan(_alone(flow), _OVERLAP, "etl", window=_FEW, fresh=WEEKS)


def late_within_deadline(g: Rng) -> Plan:
    """The same of both controllers, where a start that is later than ``startingDeadlineSeconds`` is skipped."""
    every = g.choice((5, 10, 15, 20, 30))
    flow = _filling(g, g.uniform(1.1, 1.6), every, "Forbid", g.choice(("cron", "cronjob")))
    flow = replace(flow, deadline=int(g.uniform(0.1, 0.7) * every * MINUTE))
    return Plan(_alone(flow), _OVERLAP, "etl", window=_FEW, fresh=WEEKS)


def _changed(g: Rng, policy: str, share: float, factor: float) -> Flow:
    """A workflow whose runs took ``factor`` times as long until a day or two ago."""
    flow = _filling(g, share, g.choice((15, 20, 30)), policy)
    assert flow.schedule is not None
    return replace(flow, before=Before(NOW - g.uniform(1, 2) * DAY, flow.schedule, factor), run_spread=0.2)


def slower_now(g: Rng) -> Plan:
    """With Forbid, runs take longer than the interval, and starts are skipped, since a day or two."""
    share = g.uniform(1.1, 1.6)
    flow = _changed(g, "Forbid", share, g.uniform(0.4, 0.6) / share)
    return Plan(_alone(flow), _OVERLAP, "etl", window=_FEW, fresh=2 * WEEKS)


def stopped_by_replace(g: Rng) -> Plan:
    """Runs as long as the interval, with Replace: a part of them is stopped."""
    flow = _filling(g, g.uniform(0.85, 1.1), g.choice((10, 15, 20, 30)), "Replace")
    return Plan(_alone(flow), _OVERLAP, "etl", window=_FEW, fresh=WEEKS)


def overlap_that_waits(g: Rng) -> Plan:
    """Runs that overlap wait for each other's nodes."""
    cores = g.choice((4, 6))
    b = Step("b", g.uniform(1200, 1500), ("a",), items=cores)
    steps = (Step("a", g.uniform(60, 200)), b, Step("c", g.uniform(60, 200), ("b",)))
    flow = Flow("etl", steps, "*/30 * * * *", run_spread=g.choice((0.1, 0.2, 0.3)))
    site = Site((flow,), Cluster((Pool("", 1, float(cores)),)))
    return Plan(site, (*_OVERLAP, "queue-time"), "etl", site.roomy(), window=_FEW, fresh=2 * WEEKS)


def overlap_that_slows(g: Rng) -> Plan:
    """Runs that overlap share disks and caches of a node, and slow each other down."""
    cores = g.choice((4, 6))
    b = Step("b", g.uniform(800, 1100), ("a",), items=cores)
    steps = (Step("a", g.uniform(60, 200)), b, Step("c", g.uniform(60, 200), ("b",)))
    flow = Flow("etl", steps, "*/30 * * * *", run_spread=g.choice((0.1, 0.2, 0.3)))
    site = Site((flow,), Cluster((Pool("", 1, 4.0 * cores),), slowing=g.uniform(1.5, 3)))
    apart = site.having("etl", policy="Forbid")  # the pods of one run slow each other down all the same
    return Plan(site, _OVERLAP, "etl", apart, window=_FEW, fresh=2 * WEEKS)


def piling_up(g: Rng) -> Plan:
    """More work is started than the nodes can do, so that ever more runs are in progress."""
    steps = (Step("a", g.uniform(60, 200)), Step("b", g.uniform(1200, 1600), ("a",), items=4))
    flow = Flow("etl", steps, "*/15 * * * *")
    return Plan(Site((flow,), Cluster((Pool("", 1, 5.0),))), _OVERLAP, "etl", window=2 * DAY, fresh=2 * DAY)


def overlap_without_effect(g: Rng) -> Plan:
    """Runs that vary overlap now and then on nodes for all of them."""
    flow = _filling(g, g.uniform(0.6, 0.9), 30, "Allow")
    return Plan(_alone(replace(flow, run_spread=g.choice((0.3, 0.5)))), window=_FEW)


def long_now_and_then(g: Rng) -> Plan:
    """With Forbid, a start in a hundred is skipped."""
    flow = _filling(g, g.uniform(0.4, 0.6), g.choice((15, 20, 30)), "Forbid")
    return Plan(_alone(replace(flow, run_spread=0.25)), window=_FEW)


def faster_now(g: Rng) -> Plan:
    """With Forbid or Replace, starts were skipped, or runs stopped, until a day or two ago, when runs became much faster."""
    flow = _changed(g, g.choice(("Forbid", "Replace")), g.uniform(0.35, 0.5), g.uniform(2.5, 3.5))
    return Plan(_alone(flow), window=_FEW)


def backfill_by_hand(g: Rng) -> Plan:
    """A hundred runs that somebody started at once, some days ago, overlap and slow each other down."""
    at = NOW - g.uniform(2, 10) * DAY
    by_hand = tuple(at + 2 * i for i in range(g.choice((50, 100, 150))))
    load = Step("load", g.uniform(200, 600), ("extract",), items=3)
    steps = (Step("extract", g.uniform(100, 300)), load)
    flow = Flow("daily", steps, g.choice(("0 * * * *", "0 */2 * * *", "0 */3 * * *")), backfill=by_hand)
    return Plan(Site((flow,), Cluster((Pool("", g.choice((1, 2)), 16.0),), slowing=0.3)))


def more_often_now(g: Rng) -> Plan:
    """With Forbid, long hourly runs became short ones every 15 minutes some days ago: no start has been skipped."""
    before = Before(NOW - g.uniform(2, 8) * DAY, "0 * * * *", g.uniform(4, 6))
    steps = (Step("a", g.uniform(60, 150)), Step("b", g.uniform(200, 350), ("a",)))
    flow = Flow("etl", steps, "*/15 * * * *", policy="Forbid", before=before)
    return Plan(_alone(flow))


def seldom_now(g: Rng) -> Plan:
    """Runs that overlapped, and waited for each other's nodes, are started less often since some days ago."""
    cores = g.choice((4, 6))
    steps = (Step("a", g.uniform(60, 200)), Step("b", g.uniform(1500, 2000), ("a",), items=cores))
    before = Before(NOW - g.uniform(3, 6) * DAY, "*/30 * * * *")
    flow = Flow("etl", steps, "0 */2 * * *", before=before, run_spread=0.2)
    return Plan(Site((flow,), Cluster((Pool("", 1, 1.5 * cores),))))


def moved_away(g: Rng) -> Plan:
    """A daily workflow that met a larger one was moved to a quiet hour some days ago; its runs take longer than the move."""
    hour, cores = g.randint(1, 18), g.choice((4.0, 6.0))
    before = Before(NOW - g.uniform(2, 6) * DAY, f"0 {hour} * * *")
    steps = (Step("a", g.uniform(1500, 2400)), Step("b", g.uniform(1900, 2800), ("a",), items=int(cores)))
    own = Flow("report", steps, f"0 {hour + 2} * * *", policy=g.choice(("Forbid", "Allow")), before=before)
    other = Flow("billing", (Step("x", g.uniform(3000, 5000), items=int(cores)),), f"0 {hour} * * *")
    return Plan(Site((own, other), Cluster((Pool("", 1, cores),))), fresh=8 * WEEKS)


PLANTED: tuple[Kind, ...] = (
    skipped_by_forbid,
    late_by_forbid,
    late_within_deadline,
    slower_now,
    stopped_by_replace,
    overlap_that_waits,
    overlap_that_slows,
    piling_up,
)
HEALTHY: tuple[Kind, ...] = (
    overlap_without_effect,
    long_now_and_then,
    faster_now,
    backfill_by_hand,
    more_often_now,
    seldom_now,
    moved_away,
)
