"""Nodes: autoscaled, preemptible, of two generations, or chosen by the hour; and waits for them that are in bounds."""

from __future__ import annotations

import math
from dataclasses import replace

from benchmarks.healthy.law import DAY, HOUR, Flow, Kind, Rng, Run, Step, in_sequence
from benchmarks.healthy.starts import at_random, every


def autoscaled(rng: Rng) -> Flow:
    """A third of the runs waits once for a new node, and pulls its image there."""

    def prepare(run: Run) -> None:
        run.marks |= {"pull"} | ({"node"} if run.chance(0.35) else set())

    def wait(run: Run) -> float:
        return 80 * run.varied(0.25) if run.once("node") else float(run.rng.exponential(1.5))

    def pull(run: Run) -> float:
        cold = run.once("pull") and run.chance(0.4)
        return 35 * run.varied(0.3) if cold else float(run.rng.uniform(2, 4))

    steps = in_sequence(Step("load", 500, 0.15), Step("solve", 700, 0.15), Step("store", 300, 0.15))
    steps = tuple(replace(step, wait=wait, pull=pull) for step in steps)
    return Flow("autoscaled", steps, at_random(8), prepare=prepare)


def _two_generations(factor: float) -> Flow:
    def node(run: Run) -> tuple[str, float]:
        old = run.chance(0.5)
        return f"{'old' if old else 'new'}-{run.rng.integers(0, 6)}", factor if old else 1.0

    steps = in_sequence(Step("load", 300, 0.15), Step("solve", 500, 0.15), Step("store", 200, 0.15))
    return Flow("generations", steps, at_random(8), node=node, true={"node-skew": "the old nodes are slower"})


def two_generations(rng: Rng) -> Flow:
    """Half of the nodes are older and take 35% longer, which was decided when the new ones were bought."""
    return _two_generations(1.35)


def two_generations_alike(rng: Rng) -> Flow:
    """Half of the nodes are older and take 20% longer."""
    return _two_generations(1.2)


def preemptible(rng: Rng) -> Flow:
    """Spot nodes: 3% of the pods are evicted and retried, at a third of the price."""

    def fails(run: Run) -> str | None:
        return "Evicted" if run.chance(0.03) else None

    steps = in_sequence(*(Step(name, 500, 0.2, fails=fails, retries=3) for name in ("load", "solve", "store")))
    return Flow("preemptible", steps, at_random(10))


def more_nodes_by_day(rng: Rng) -> Flow:
    """More work and additional nodes by day: pods on these nodes take longer because of the hour."""

    def prepare(run: Run) -> None:
        by_day = not run.weekend and 8 <= run.hour < 18
        run.marks |= {"day"} if by_day else set()
        run.load = (1.6 if by_day else 1.0) * run.varied(0.1)

    def node(run: Run) -> tuple[str, float]:
        if "day" in run.marks and run.chance(0.6):
            return f"scaled-{int(run.start // DAY) % 7}{run.rng.integers(0, 4)}", 1.0
        return f"base-{run.rng.integers(0, 4)}", 1.0

    steps = in_sequence(Step("load", 300, 0.1, scales=1), Step("index", 500, 0.1, scales=1))
    return Flow("by-day", steps, every(HOUR), "cron", "0 * * * *", prepare=prepare, node=node)


def one_node_for_each_run(rng: Rng) -> Flow:
    """All pods of a run share a node, and work follows the hour, as does the node."""

    def prepare(run: Run) -> None:
        run.load = (1.0 + 0.5 * math.sin(2 * math.pi * (run.hour - 8) / 24)) * run.varied(0.1)
        run.node = f"node-{int(run.hour // 6)}"

    steps = in_sequence(Step("load", 300, 0.1, scales=1), Step("index", 500, 0.1, scales=1))
    return Flow("affinity", steps, every(HOUR), "cron", "0 * * * *", prepare=prepare)


def rarely_pending(rng: Rng) -> Flow:
    """One run in 80 is pending for three hours, as long as the repair of a node takes."""

    def prepare(run: Run) -> None:
        run.marks |= {"pending"} if run.chance(0.012) else set()

    def wait(run: Run) -> float:
        return 3 * HOUR if run.once("pending") else float(run.rng.exponential(2.0))

    steps = in_sequence(Step("load", 300, 0.15, wait=wait), Step("store", 300, 0.15))
    return Flow("pending", steps, at_random(10), prepare=prepare, true={"queue-time": "a run did wait for three hours"})


def _queueing(seconds: float) -> Flow:
    def wait(run: Run) -> float:
        return seconds * run.varied(0.8)

    steps = in_sequence(*(Step(name, 250, 0.15, wait=wait) for name in ("load", "solve", "store")))
    return Flow("queueing", steps, at_random(10), true={"queue-time": "some of each run is spent waiting"})


def waits_of_15_seconds(rng: Rng) -> Flow:
    """Pods of four minutes that are pending for a quarter of one."""
    return _queueing(15)


def waits_of_30_seconds(rng: Rng) -> Flow:
    """Pods of four minutes that are pending for half of one."""
    return _queueing(30)


KINDS: tuple[Kind, ...] = (
    autoscaled, two_generations, two_generations_alike, preemptible, more_nodes_by_day, one_node_for_each_run,
    rarely_pending, waits_of_15_seconds, waits_of_30_seconds,
)  # fmt: skip
