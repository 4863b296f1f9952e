"""Mutexes and semaphores, of steps and of whole runs."""

from __future__ import annotations

import math
from dataclasses import replace

from benchmarks.clusters.kinds.plan import WEEKS, Kind, Plan
from benchmarks.clusters.law import Cluster, Flow, Pool, Rng, Site, Step

_LOCK = ("queue-time.lock",)
_SEMAPHORE, _MUTEX = "semaphore/limits/db", "mutex/db"


def _loading(g: Rng, lock: str, items: int, hold: float) -> tuple[Step, ...]:
    load = Step("load", hold, ("prep",), 0.5, items, lock=lock)
    return (Step("prep", g.uniform(60, 150)), load, Step("end", 60.0, ("load",)))


def _every(g: Rng) -> str:
    return f"0 */{g.choice((2, 3, 6))} * * *"


def semaphore_too_small(g: Rng) -> Plan:
    """The pods of a fan-out wait for a semaphore that only they hold."""
    size, hold = g.choice((1, 2, 3)), g.uniform(100, 400)
    own = Flow("etl", _loading(g, _SEMAPHORE, size * g.choice((2, 3, 4)), hold), _every(g))
    site = Site((own,), Cluster((Pool("", 4, 16.0),), {_SEMAPHORE: size}))
    return Plan(site, _LOCK, "etl", site.on(semaphores={_SEMAPHORE: 1000}))


def semaphore_beside_a_branch(g: Rng) -> Plan:
    """The same, beside a step that takes nearly as long."""
    size, hold = g.choice((1, 2, 3)), g.uniform(100, 400)
    items = size * g.choice((2, 3, 4))
    prep, load, end = _loading(g, _SEMAPHORE, items, hold)
    branch = Step("branch", math.ceil(items / size) * hold * g.uniform(0.75, 0.97), ("prep",))
    own = Flow("etl", (prep, load, branch, replace(end, after=("load", "branch"))), _every(g))
    site = Site((own,), Cluster((Pool("", 4, 16.0),), {_SEMAPHORE: size}))
    return Plan(site, _LOCK, "etl", site.on(semaphores={_SEMAPHORE: 1000}))


def semaphore_of_others(g: Rng) -> Plan:
    """The semaphore is held by another workflow that starts at the same minute."""
    size, hold = g.choice((1, 2, 3)), g.uniform(100, 400)
    own = Flow("etl", _loading(g, _SEMAPHORE, size, hold), _every(g))
    use = Step("use", hold * g.uniform(1, 2), cores=0.5, items=2 * size, lock=_SEMAPHORE)
    other = Flow("foreign", (use,), own.schedule)
    site = Site((own, other), Cluster((Pool("", 4, 16.0),), {_SEMAPHORE: size}))
    return Plan(site, _LOCK, "etl", site.on(semaphores={_SEMAPHORE: 1000}))


def semaphore_on_few_nodes(g: Rng) -> Plan:
    """A semaphore that delays pods, of which the nodes hold only one or two more at a time."""
    size, hold = g.choice((1, 2, 3)), g.uniform(100, 400)
    prep, load, end = _loading(g, _SEMAPHORE, size * g.choice((3, 4)), hold)
    own = Flow("etl", (prep, replace(load, cores=1.0), end), _every(g))
    site = Site((own,), Cluster((Pool("", 1, float(size + g.choice((1, 2)))),), {_SEMAPHORE: size}))
    return Plan(site, _LOCK, "etl", site.on(semaphores={_SEMAPHORE: 1000}))


def semaphore_beside_services(g: Rng) -> Plan:
    """The same on a node that services fill but for as many pods."""
    size, hold = g.choice((1, 2, 3)), g.uniform(100, 400)
    prep, load, end = _loading(g, _SEMAPHORE, size * g.choice((3, 4)), hold)
    own = Flow("etl", (prep, replace(load, cores=1.0), end), _every(g))
    pool = Pool("", 1, 16.0, services=16.0 - size - g.choice((1, 2)))
    site = Site((own,), Cluster((pool,), {_SEMAPHORE: size}))
    return Plan(site, _LOCK, "etl", site.on(semaphores={_SEMAPHORE: 1000}))


def mutex_for_each_item(g: Rng) -> Plan:
    """The pods of a fan-out hold a mutex one after the other."""
    own = Flow("etl", _loading(g, _MUTEX, g.choice((2, 3, 4)), g.uniform(100, 400)), _every(g))
    site = Site((own,), Cluster((Pool("", 4, 16.0),)))
    return Plan(site, _LOCK, "etl", site.on(semaphores={_MUTEX: 1000}))


def mutex_of_whole_runs(g: Rng) -> Plan:
    """Two workflows start together, and each run as a whole holds the same mutex."""
    steps = [(Step("a", g.uniform(200, 600)), Step("b", g.uniform(200, 600), ("a",))) for _ in range(2)]
    schedule = _every(g)
    flows = tuple(Flow(f"flow-{i}", s, schedule, run_lock="nightly") for i, s in enumerate(steps))
    site = Site(flows, Cluster((Pool("", 1, 8.0),)))
    free = replace(site, flows=tuple(replace(f, run_lock=None) for f in flows))
    return Plan(site, ("queue-time.suspended",), absent=free)


def lock_nobody_waits_for(g: Rng) -> Plan:
    """A mutex, a semaphore and a lock of whole runs, which workflows hold at different times."""
    first = Flow("first", _loading(g, _MUTEX, 1, g.uniform(100, 400)), "0 */3 * * *")
    second = Flow("second", _loading(g, _SEMAPHORE, 3, g.uniform(100, 400)), "0 1-23/3 * * *")
    third = Flow("third", _loading(g, _MUTEX, 1, g.uniform(100, 400)), "0 2-23/3 * * *", run_lock="nightly")
    return Plan(Site((first, second, third), Cluster((Pool("", 2, 8.0),), {_SEMAPHORE: 4})))


def lock_beside_longer_step(g: Rng) -> Plan:
    """Pods wait for a mutex beside a step that takes longer than all of them."""
    hold = g.uniform(100, 300)
    prep, load, end = _loading(g, _MUTEX, 3, hold)
    branch = Step("branch", hold * g.uniform(4.5, 6.0), ("prep",), spread=0.05)
    own = Flow("etl", (prep, load, branch, replace(end, after=("load", "branch"))), _every(g))
    return Plan(Site((own,), Cluster((Pool("", 2, 8.0),))))


def lock_met_once_a_week(g: Rng) -> Plan:
    """A weekly workflow holds the mutex of a daily one for a while."""
    hour = g.randint(1, 20)
    own = Flow("daily", _loading(g, _MUTEX, 1, g.uniform(300, 600)), f"5 {hour} * * *")
    weekly = Flow("weekly", _loading(g, _MUTEX, 1, g.uniform(600, 900)), f"0 {hour} * * 0")
    return Plan(Site((own, weekly), Cluster((Pool("", 2, 8.0),))), fresh=8 * WEEKS)


PLANTED: tuple[Kind, ...] = (
    semaphore_too_small,
    semaphore_beside_a_branch,
    semaphore_of_others,
    semaphore_on_few_nodes,
    semaphore_beside_services,
    mutex_for_each_item,
    mutex_of_whole_runs,
)
HEALTHY: tuple[Kind, ...] = (lock_nobody_waits_for, lock_beside_longer_step, lock_met_once_a_week)
