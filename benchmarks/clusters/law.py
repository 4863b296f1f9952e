"""The hidden model of workflows that share a cluster: steps, schedules, nodes, locks and quotas.

In seconds and cores. It knows nothing of the product's replay, fleet or forecast: nodes place pods, an autoscaler adds and
removes nodes, spot nodes are lost, and controllers admit pods by limits, locks and quotas, one event after the other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0
WINDOW = 14 * DAY
MONTH = 30 * DAY
MORNING, EVENING = 8 * HOUR, 20 * HOUR  # of each day
NOW = datetime(2026, 6, 17, 12, 0, tzinfo=UTC).timestamp()

Rng = random.Random


def stream(*key: object) -> Rng:
    """Random events by what they are about: equal keys yield equal events, whatever else differs."""
    return Rng("/".join(map(str, key)))


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``items`` pods of ``cores`` each, which work for about ``seconds`` (log-normal with ``spread``). ``lock``:
    what each pod holds, as "mutex/<name>" or "semaphore/<ConfigMap>/<key>"; ``pool``: the nodes it may run on (empty: the
    first pool); ``retries``: further attempts of a pod that was lost."""

    name: str
    seconds: float
    after: tuple[str, ...] = ()
    cores: float = 1.0
    items: int = 1
    spread: float = 0.1
    lock: str | None = None
    pool: str = ""
    retries: int = 2


@dataclass(frozen=True, slots=True)
class Before:
    """What a workflow was like before ``until`` (unix seconds): its schedule, and the time its steps took as a factor."""

    until: float
    schedule: str
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Events:
    """Starts that no schedule makes: so many on each day, up to ``jitter`` seconds after that ``hour`` (UTC)."""

    hour: float
    jitter: float = 10 * MINUTE
    times: int = 1


@dataclass(frozen=True, slots=True)
class Flow:
    """One workflow. ``engine``: cron (CronWorkflow), argo (WorkflowTemplate), cronjob or tekton. ``policy``: the
    concurrencyPolicy of its ``schedule`` (cron line) in its time ``zone``. ``limit``: pods at a time. ``run_spread``: common
    to all pods of a run. ``backfill``: starts by hand (unix seconds). ``run_lock``: a mutex that each run holds.
    ``deadline``: the startingDeadlineSeconds of its schedule. ``suspended``: since when that is (unix seconds)."""

    name: str
    steps: tuple[Step, ...]
    schedule: str | None = None
    engine: str = "cron"
    zone: str = "UTC"
    policy: str = "Allow"
    limit: int | None = None
    namespace: str = "lab"
    run_spread: float = 0.1
    before: Before | None = None
    events: Events | None = None
    backfill: tuple[float, ...] = ()
    priority: int = 0
    run_lock: str | None = None
    deadline: int | None = None
    suspended: float | None = None

    def having(self, name: str, **changes: object) -> Flow:
        """The workflow with changes to one step."""
        made = (replace(s, **changes) if s.name == name else s for s in self.steps)  # type: ignore[arg-type]
        return replace(self, steps=tuple(made))


@dataclass(frozen=True, slots=True)
class Pool:
    """Equal nodes. ``most``: an autoscaler keeps between ``nodes`` and that many, and a new one takes ``boot`` seconds and
    is removed after ``idle`` seconds without a pod. ``lost``: mean seconds until a spot node is lost (None: never); another
    one takes its place. ``services``: cores of each node that belong to pods outside workflows. ``taint``: of each node,
    as ``<key>=<value>:<effect>``, which steps tolerate that run there."""

    name: str
    nodes: int
    cores: float
    most: int | None = None
    boot: float = 180.0
    idle: float = 600.0
    lost: float | None = None
    services: float = 0.0
    by_day: float = 0.0
    taint: str = ""

    def services_at(self, time: float) -> float:
        """Cores of each node that belong to pods outside workflows at that time (unix seconds)."""
        return self.services + (self.by_day if MORNING <= time % DAY < EVENING else 0.0)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes, sizes of semaphores by lock (a mutex has one place), CPU quotas by namespace, and the cores that pods outside
    workflows take of these (``in_quotas``). ``slowing``: how much
    longer work takes on a node that is full, as a share. ``preempts``: whether pods of higher priority evict others."""

    pools: tuple[Pool, ...]
    semaphores: dict[str, int] = field(default_factory=dict)
    quotas: dict[str, float] = field(default_factory=dict)
    in_quotas: dict[str, float] = field(default_factory=dict)
    slowing: float = 0.0
    preempts: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """What is simulated: workflows on a cluster."""

    flows: tuple[Flow, ...]
    cluster: Cluster

    def flow(self, name: str) -> Flow:
        """The workflow of that name."""
        return next(f for f in self.flows if f.name == name)

    def having(self, name: str, **changes: object) -> Site:
        """The site with changes to one workflow."""
        made = (replace(f, **changes) if f.name == name else f for f in self.flows)  # type: ignore[arg-type]
        return replace(self, flows=tuple(made))

    def on(self, **changes: object) -> Site:
        """The site with changes to its cluster."""
        return replace(self, cluster=replace(self.cluster, **changes))  # type: ignore[arg-type]

    def roomy(self) -> Site:
        """The site with nodes for everybody at once."""
        pools = (
            replace(p, nodes=max(1, p.nodes), cores=1e6, most=None, services=0.0, by_day=0.0)
            for p in self.cluster.pools
        )
        return self.on(pools=tuple(pools))
