"""Problems of run time that were there from the first run on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from benchmarks.graphs.draws import Rng
from benchmarks.graphs.law import Container, Flow, Step
from benchmarks.graphs.plant import MINUTES, Kind, Plant, placed
from benchmarks.graphs.remedies import edited
from benchmarks.graphs.shapes import any_of, between, chain, diamond, fan, flow, layers, nested, step, two_paths
from concertmaster.core.model import Recommendation

EVEN = 1.25
"""Times the median that an item may take and still count as balanced."""
WAITING = 0.1
"""Of the makespan: waiting for nodes and startup are reported from there on (``minSharePercent``)."""


def throttled(rng: Rng, name: str) -> Plant | None:
    """The CPU limit of a step's own container is below its bursts; it may have a sidecar, which ends with it. The fix is a
    limit above them."""
    drawn = flow(rng, name, any_of(rng))
    at = placed(rng, drawn, 0.1)
    if at is None:
        return None
    hot = Container(
        cpu=0.4, bursts=float(rng.uniform(0.2, 0.9)), burst=float(rng.uniform(1.5, 4)), cpu_request=1.0, cpu_limit=1.0
    )
    cool = Container("helper", cpu=0.2, cpu_request=0.3, cpu_limit=0.5)
    containers = (hot, cool) if rng.random() < 0.6 else (hot,)
    bad = drawn.having(at, containers=containers)
    fixed = drawn.having(at, containers=tuple(replace(c, cpu_limit=None) for c in containers))
    note = f"{hot.bursts:.0%} of the time {hot.burst:.1f} cores"
    return Plant(bad, fixed, ("cpu-request",), at, MINUTES, remedy=edited, note=note)


def straggling(rng: Rng, name: str) -> Plant:
    """One item of a fan-out takes a multiple of the others: always the last, or another one in each run. The fix is
    what is recommended: not above a quarter longer than the median item and above all others."""
    if rng.random() < 0.6:
        steps, at = fan(rng, int(rng.choice([3, 5, 12, 30, 100]))), "work"
    else:
        steps, at = nested(rng), "calc"
    drawn = flow(rng, name, steps).having(at, item_spread=0.1)
    factor = float(rng.uniform(2.5, 6))
    if rng.random() < 0.5:
        bad = drawn.having(at, last_item=factor)
    else:
        bad = drawn.having(at, slow_item_share=float(rng.uniform(0.4, 1)), slow_item=factor)
    return Plant(
        bad,
        bad.having(at, evened=EVEN),
        ("straggler",),
        at,
        MINUTES,
        note=f"{drawn.step(at).items} items, x {factor:.1f}",
    )


def slow_node(rng: Rng, name: str) -> Plant:
    """One of 4 to 11 nodes takes 1.4 to 3 times as long. The fix is what the others take. Runs with
    pods there vary, and items that run there are the last: both may be said too."""
    drawn = replace(flow(rng, name, any_of(rng)), nodes=int(rng.integers(4, 12)))
    bad = replace(drawn, slow_nodes=1, slow_factor=float(rng.uniform(1.4, 3)))
    return Plant(
        bad,
        drawn,
        ("node-skew",),
        None,
        MINUTES,
        also=("straggler", "variance"),
        note=f"1 of {bad.nodes} nodes x {bad.slow_factor:.2f}",
    )


def few_slots(rng: Rng, name: str) -> Plant:
    """At most 2 to 4 pods at a time where there is work for more. The fix is the recommended limit."""
    drawn = flow(rng, name, any_of(rng, (fan, diamond, nested)))
    bad = replace(drawn, parallelism=int(rng.integers(2, 5)))
    return Plant(bad, drawn, ("parallelism",), None, MINUTES, remedy=edited)


def needless_order(rng: Rng, name: str) -> Plant:
    """A step waits for one whose data it does not read. The fix is to run them side by side."""
    long = between(rng, 60, 300)
    steps = [
        step(rng, "src", seconds=long / 3),
        step(rng, "a", "src", seconds=long),
        replace(step(rng, "b", "src", "a", seconds=long * float(rng.uniform(0.5, 1.5))), loose=("a",)),
        step(rng, "o", "src", seconds=long * float(rng.uniform(0.5, 1.8))),
    ]
    if rng.random() < 0.5:
        steps.append(step(rng, "x", "src", seconds=long / 2))
    end = step(rng, "end", *(s.name for s in steps[1:]), seconds=long / 3)
    bad = flow(rng, name, [*steps, end])
    return Plant(bad, bad.having("b", after=("src",)), ("parallel-steps",), "b", MINUTES)


def barrier(rng: Rng, name: str) -> Plant:
    """Two fan-outs over the same items, the second of which waits for all of the first. The fix is one over both. It
    costs time because the items differ, so that there are stragglers too."""
    items, long = int(rng.choice([4, 8, 20])), between(rng, 60, 200)
    first = step(rng, "fetch", "prep", seconds=long, spread=0.3)
    second = step(rng, "train", "fetch", seconds=1.2 * long, spread=0.3)
    steps = [
        step(rng, "prep", seconds=30.0),
        *(replace(s, items=items, item_spread=0.5) for s in (first, second)),
        step(rng, "merge", "train", seconds=40.0),
    ]
    bad = flow(rng, name, steps)
    return Plant(bad, bad.having("train", pipelined=True), ("overlap-stages",), "train", MINUTES, also=("straggler",))


def small_items(rng: Rng, name: str) -> Plant:
    """A fan-out of items of seconds, each with a pod that takes longer to begin. The fix is several items in a
    pod; less startup and, under a limit, more pods at a time help too."""
    items = int(rng.choice([8, 20, 60, 100]))
    work = replace(step(rng, "work", "prep", seconds=between(rng, 3, 10)), items=items, startup=between(rng, 10, 30))
    steps = [step(rng, "prep", seconds=60.0), work, step(rng, "merge", "work", seconds=60.0)]
    bad = replace(flow(rng, name, steps), parallelism=int(rng.choice([0, 4, 8])) or None)
    fixed = _batched(bad, math.ceil(items / 4))

    def remedy(flow: Flow, item: Recommendation) -> Flow:
        pods, *_ = item.proposed.split()  # no field of the definition holds it
        return _batched(flow, int(pods))

    note = f"{items} items, parallelism {bad.parallelism}"
    also = ("queue-time", "parallelism")
    return Plant(bad, fixed, ("batch-small-steps",), "work", MINUTES, also=also, remedy=remedy, note=note)


def _batched(flow: Flow, pods: int) -> Flow:
    """The items of ``work`` in so many pods, one item after the other."""
    own = flow.step("work")
    size = own.items / pods
    return flow.having("work", items=pods, seconds=own.seconds * size, spread=own.spread / math.sqrt(size))


def small_chain(rng: Rng, name: str) -> Plant:
    """A sequence of steps of seconds, each with a pod that takes longer to begin. The fix is one pod for all;
    less startup helps too."""
    count = int(rng.integers(6, 14))
    steps = [
        replace(
            step(rng, f"c{i}", *([f"c{i - 1}"] if i else []), seconds=between(rng, 4, 10)), startup=between(rng, 15, 30)
        )
        for i in range(count)
    ]
    bad = flow(rng, name, steps)
    one = Step(
        "c0", seconds=sum(s.seconds for s in steps), spread=0.05, startup=steps[0].startup,
        elasticity=float(np.average([s.elasticity for s in steps], weights=[s.seconds for s in steps])),
    )  # fmt: skip
    fixed = replace(bad, steps=(one,))
    return Plant(bad, fixed, ("batch-small-steps",), None, MINUTES, also=("queue-time",), note=f"{count} steps")


def repeated_inputs(rng: Rng, name: str) -> Plant | None:
    """35 to 70% of the executions of a step have the input of the run before, in a fan-out of all items or of each one for
    itself. The fix is a cache of the recommended age."""
    drawn = flow(rng, name, any_of(rng, (chain, layers, two_paths, fan)))
    at = placed(rng, drawn, 0.1)
    if at is None:
        return None
    bad = drawn.having(at, repeats=float(rng.uniform(0.35, 0.7)), by_item=bool(rng.random() < 0.5))
    own = bad.step(at)
    measure = MINUTES
    fixed = bad.having(at, cached=24 * 3600.0)
    note = (
        f"{own.repeats:.0%} repeated, {own.items} items{', each for itself' if own.by_item and own.items > 1 else ''}"
    )
    return Plant(bad, fixed, ("cache-step",), at, measure, remedy=edited, note=note)


def queueing(rng: Rng, name: str) -> Plant | None:
    """Pods of one step are pending about as long as they work. The fix is a queueing time like that of the others."""
    drawn = flow(rng, name, any_of(rng))
    at = placed(rng, drawn, 0.05)
    if at is None:
        return None
    bad = drawn.having(at, wait=drawn.step(at).seconds * float(rng.uniform(0.5, 1.5)))
    return Plant(bad, drawn, ("queue-time",), None, MINUTES, least_share=WAITING)


def slow_startup(rng: Rng, name: str) -> Plant:
    """Containers take 40% of the time of their work to start. The fix is all of it; the gain is said to be at most that."""
    drawn = flow(rng, name, any_of(rng, (chain, nested, layers)))
    bad = replace(drawn, steps=tuple(replace(s, startup=0.4 * s.seconds) for s in drawn.steps))
    return Plant(bad, drawn.everywhere(startup=0.0), ("queue-time",), None, MINUTES, least_share=WAITING)


KINDS: tuple[Kind, ...] = (
    throttled, straggling, slow_node, few_slots, needless_order, barrier, small_items, small_chain, repeated_inputs,
    queueing, slow_startup,
)  # fmt: skip
