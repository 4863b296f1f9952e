"""Fan-outs: many items or few, of sizes that vary, on many nodes or few, under limits that are meant."""

from __future__ import annotations

import math
from dataclasses import replace

from benchmarks.healthy.law import GI, MI, Flow, Kind, Rng, Run, Starts, Step, each, in_sequence, light
from benchmarks.healthy.starts import at_random

_LIST = light(Step("list", 12, 0.2))
_LARGE = {"straggler": "runs do wait for their largest item; whether it can be split, only its owner knows"}
_SIZES = {"variance": "the sizes of the items"}
_STARTUP = {"queue-time": "some seconds of each minute are startup"}
_PROTECTED = {"parallelism": "that the limit protects a database"}


def fan_out(
    least: int, most: int, *, spread: float = 0.5, seconds: float = 90, pull: float = 3.0, sized: bool = False,
    starts: Starts | None = None, parallelism: int | None = None,
) -> Flow:  # fmt: skip
    """A list, a pod for each of its items, and a step that merges them. The number of items is log-uniform between the
    two; their sizes vary by ``spread``."""

    def prepare(run: Run) -> None:
        count = int(math.exp(run.rng.uniform(math.log(least), math.log(most + 0.5))))
        run.sizes = tuple(run.varied(spread) for _ in range(count))
        run.load = count  # of the merge

    steps = in_sequence(
        _LIST,
        Step("process", seconds, 0.12, items=each, sized=sized, slow=0.003, flaky=0.002, pull=pull),
        Step("merge", 0.4, 0.2, fixed=20, scales=1),
    )
    return Flow(
        "fan-out", steps, starts or at_random(4), parallelism=parallelism, prepare=prepare, hidden=_SIZES, true=_LARGE
    )


def items_of_unknown_size(rng: Rng) -> Flow:
    """Five to 200 items whose sizes vary by half, as they come: the largest takes longest, and no metric shows it."""
    return fan_out(5, 200)


def items_of_known_size(rng: Rng) -> Flow:
    """Five to 200 items whose sizes vary by half, as the metrics show."""
    return fan_out(5, 200, sized=True)


def twelve_items(rng: Rng) -> Flow:
    """Twelve items whose sizes vary by 30%."""
    return fan_out(12, 12, spread=0.3)


def twelve_items_of_any_size(rng: Rng) -> Flow:
    """Twelve items whose sizes vary by 60%."""
    return fan_out(12, 12, spread=0.6, seconds=150, starts=at_random(6))


def forty_items(rng: Rng) -> Flow:
    """Forty items whose sizes vary by 20%."""
    return fan_out(40, 40, spread=0.2)


def short_items(rng: Rng) -> Flow:
    """Twenty items of 40 seconds, which start in four."""
    made = fan_out(20, 20, spread=0.25, seconds=40, pull=4.0, starts=at_random(8))
    return replace(made, true=_LARGE | _STARTUP)


def very_short_items(rng: Rng) -> Flow:
    """Fifteen items of 15 seconds, which start in four: they take part of a minute all the same."""
    made = fan_out(15, 15, spread=0.25, seconds=15, pull=4.0, starts=at_random(8))
    return replace(made, true=_LARGE | _STARTUP)


def limited_to_ten(rng: Rng) -> Flow:
    """Ten to 120 items under a limit of ten, which protects the database that they read."""
    return replace(fan_out(10, 120, parallelism=10), hidden=_SIZES | _PROTECTED)


def limited_to_eight(rng: Rng) -> Flow:
    """Ten to 40 items under a limit of eight, which protects the database that they read."""
    made = fan_out(10, 40, spread=0.3, parallelism=8, starts=at_random(8))
    return replace(made, hidden=_SIZES | _PROTECTED)


def limited_to_nodes(rng: Rng) -> Flow:
    """Thirty to 60 items under a limit of 20, which is what its nodes hold."""
    made = fan_out(30, 60, spread=0.3, parallelism=20, starts=at_random(6))
    return replace(made, nodes={"cpu": 20.5, "memory": 24 * GI})


def _on_nodes(count: int) -> Flow:
    made = fan_out(8, 40, starts=at_random(6))
    return replace(made, node=lambda run: (f"node-{run.rng.integers(0, count)}", 1.0))


def one_node(rng: Rng) -> Flow:
    """Items of a cluster with a single node."""
    return _on_nodes(1)


def two_nodes(rng: Rng) -> Flow:
    """Items on two nodes of equal speed."""
    return _on_nodes(2)


def three_nodes(rng: Rng) -> Flow:
    """Items on three nodes of equal speed."""
    return _on_nodes(3)


def map_and_reduce(rng: Rng) -> Flow:
    """A fan-out over 6 to 24 inputs, a shuffle that needs all of them, and a fan-out over six partitions."""

    def prepare(run: Run) -> None:
        run.sizes = tuple(run.varied(0.4) for _ in range(int(run.rng.integers(6, 25))))

    steps = in_sequence(
        _LIST,
        Step("map", 120, 0.15, items=each),
        Step("shuffle", 40, 0.2),
        Step("reduce", 150, 0.2, items=lambda run: (1.0,) * 6),
        Step("collect", 30),
    )
    return Flow("map-reduce", steps, at_random(5), prepare=prepare, hidden=_SIZES, true=_LARGE)


def _two_stages(count: int, spread: float) -> Flow:
    def prepare(run: Run) -> None:
        run.sizes = tuple(run.varied(spread) for _ in range(count))

    steps = in_sequence(
        replace(_LIST, memory_request=130 * MI),
        Step("map", 200, 0.1, items=each),
        Step("enrich", 150, 0.1, items=each),
        Step("collect", 40),
    )
    return Flow("two-stages", steps, at_random(6), prepare=prepare, hidden=_SIZES, true=_LARGE)


def two_stages(rng: Rng) -> Flow:
    """Two fan-outs over the same ten items, the second of which waits for all of the first: a large item is large in
    both, so that little time would be gained without the barrier."""
    return _two_stages(10, 0.35)


def two_stages_of_any_size(rng: Rng) -> Flow:
    """Two fan-outs over the same twenty items, whose sizes vary by 60%: a large item is large in both."""
    return _two_stages(20, 0.6)


KINDS: tuple[Kind, ...] = (
    items_of_unknown_size, items_of_known_size, twelve_items, twelve_items_of_any_size, forty_items, short_items,
    very_short_items, limited_to_ten, limited_to_eight, limited_to_nodes, one_node, two_nodes, three_nodes,
    map_and_reduce, two_stages, two_stages_of_any_size,
)  # fmt: skip
