"""Two problems at the same time: the effect of the first is that of fixing it while the second stays.

The recommendations for the second are acceptable beside it, as they answer it.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.graphs.kinds.regressions import regressed
from benchmarks.graphs.kinds.speed import EVEN, needless_order, straggling, throttled
from benchmarks.graphs.law import GI, Change, Container, Flow
from benchmarks.graphs.plant import MINUTES, Kind, Plant
from benchmarks.graphs.remedies import edited
from benchmarks.graphs.shapes import fan, flow

_NODE = {"slow_nodes": 1, "slow_factor": 2.0, "nodes": 6}


def _uneven(rng: Rng, name: str) -> tuple[Flow, float]:
    """A fan-out of which at most 2 to 4 items run at a time, and how many times as long its last item will take."""
    drawn = replace(flow(rng, name, fan(rng, int(rng.choice([8, 12, 20, 30])))), parallelism=int(rng.integers(2, 5)))
    return drawn.having("work", item_spread=0.1), float(rng.uniform(2.5, 6))


def few_slots_with_straggler(rng: Rng, name: str) -> Plant:
    """Too few pods at a time, and a last item that takes a multiple of the others. The fix is the recommended limit."""
    drawn, factor = _uneven(rng, name)
    bad = drawn.having("work", last_item=factor)
    return Plant(
        bad, replace(bad, parallelism=None), ("parallelism",), None, MINUTES, also=("straggler",), remedy=edited,
        note=f"{drawn.step('work').items} items, parallelism {drawn.parallelism}, x {factor:.1f}",
    )  # fmt: skip


def straggler_with_few_slots(rng: Rng, name: str) -> Plant:
    """The same, and the fix is a last item that is no straggler any more."""
    drawn, factor = _uneven(rng, name)
    bad = drawn.having("work", last_item=factor)
    return Plant(
        bad, bad.having("work", evened=EVEN), ("straggler",), "work", MINUTES, also=("parallelism",),
        note=f"{drawn.step('work').items} items, parallelism {drawn.parallelism}, x {factor:.1f}",
    )  # fmt: skip


def regressed_with_slow_node(rng: Rng, name: str) -> Plant | None:
    """A step that became slower, and a slow node. The fix is the step as it was before."""
    plant = regressed(rng, name)
    if plant is None:
        return None
    bad, fixed = (replace(f, **_NODE) for f in (plant.flow, plant.fixed))  # type: ignore[arg-type]
    return replace(plant, flow=bad, fixed=fixed, also=("node-skew", "straggler", "variance"))


def slow_node_with_regressed(rng: Rng, name: str) -> Plant | None:
    """The same, and the fix is a node like the others."""
    plant = regressed_with_slow_node(rng, name)
    if plant is None:
        return None
    return Plant(
        plant.flow,
        replace(plant.flow, slow_nodes=0),
        ("node-skew",),
        None,
        MINUTES,
        also=("degradation", "straggler", "variance"),
        note=plant.note,
    )


def slow_node_with_straggler(rng: Rng, name: str) -> Plant:
    """A slow node, and an item that takes a multiple of the others. The fix is a node like the others."""
    plant = straggling(rng, name)
    bad = replace(plant.flow, **_NODE)  # type: ignore[arg-type]
    return Plant(bad, plant.flow, ("node-skew",), None, MINUTES, also=("straggler", "variance"), note=plant.note)


def needless_order_with_regressed(rng: Rng, name: str) -> Plant:
    """A needless dependency, and one of the steps became slower. The fix is to run them side by side."""
    plant = needless_order(rng, name)
    at = str(rng.choice(["a", "o", "b"]))
    change = Change(float(rng.uniform(2, 9)), factor=float(rng.uniform(1.5, 2.5)))
    bad, fixed = (f.having(at, change=change) for f in (plant.flow, plant.fixed))
    note = f"{at} x {change.factor:.1f} since {change.since:.1f} d"
    return replace(plant, flow=bad, fixed=fixed, also=("degradation",), note=note)


def needless_order_with_few_slots(rng: Rng, name: str) -> Plant:
    """A needless dependency, and at most two pods at a time. The fix is to run them side by side within that."""
    plant = needless_order(rng, name)
    bad, fixed = (replace(f, parallelism=2) for f in (plant.flow, plant.fixed))
    return replace(plant, flow=bad, fixed=fixed, also=("parallelism",))


def throttled_with_kills(rng: Rng, name: str) -> Plant | None:
    """A CPU limit below the bursts of one step, and OOM kills of another. The fix is the recommended CPU limit."""
    plant = throttled(rng, name)
    if plant is None:
        return None
    other = str(rng.choice([s.name for s in plant.flow.steps if s.name != plant.step]))
    pod = Container(memory=1.2 * GI, memory_elasticity=1.0, memory_request=2 * GI, memory_limit=2 * GI)
    bad, fixed = (
        replace(f.having(other, containers=(pod,), retries=2), input_spread=0.4) for f in (plant.flow, plant.fixed)
    )
    return replace(plant, flow=bad, fixed=fixed, also=("memory-request",))


KINDS: tuple[Kind, ...] = (
    few_slots_with_straggler, straggler_with_few_slots, regressed_with_slow_node, slow_node_with_regressed,
    slow_node_with_straggler, needless_order_with_regressed, needless_order_with_few_slots, throttled_with_kills,
)  # fmt: skip
