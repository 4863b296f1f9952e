"""Graphs of random shape: chains, diamonds, layers, fan-outs, graphs inside a fan-out, two paths of similar length."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.graphs.law import WINDOW, Flow, Step

Shape = Callable[[Rng], tuple[Step, ...]]


def between(rng: Rng, low: float, high: float) -> float:
    """A log-uniform amount."""
    return math.exp(float(rng.uniform(math.log(low), math.log(high))))


def step(rng: Rng, name: str, *after: str, seconds: float | None = None, spread: float | None = None) -> Step:
    """A step of 20 to 400 s, which may follow the input by half or in full."""
    long, wide = between(rng, 20, 400), float(rng.uniform(0.05, 0.2))
    elasticity = float(rng.choice([0.0, 0.5, 1.0]))
    return Step(
        name,
        after,
        seconds=long if seconds is None else seconds,
        spread=wide if spread is None else spread,
        elasticity=elasticity,
    )


def flow(rng: Rng, name: str, steps: Sequence[Step]) -> Flow:
    """A workflow of these steps with 10 to 200 runs in the window."""
    return Flow(
        name,
        tuple(steps),
        every=WINDOW / int(between(rng, 10, 200)),
        input_spread=float(rng.choice([0.0, 0.2, 0.4])),
        inputs_known=bool(rng.integers(0, 2)),
        seed=int(rng.integers(1, 10**6)),
    )


def chain(rng: Rng) -> tuple[Step, ...]:
    """6 to 15 steps, each after the one before."""
    count = int(rng.integers(6, 16))
    return tuple(step(rng, f"c{i}", *([f"c{i - 1}"] if i else [])) for i in range(count))


def diamond(rng: Rng) -> tuple[Step, ...]:
    """5 to 15 different steps side by side."""
    middle = [step(rng, f"m{i}", "split") for i in range(int(rng.integers(5, 16)))]
    return (step(rng, "split"), *middle, step(rng, "join", *(s.name for s in middle)))


def layers(rng: Rng) -> tuple[Step, ...]:
    """3 to 5 layers of up to four steps, each after one or two of the layer before."""
    rows: list[Step] = []
    made: list[Step] = []
    for depth in range(int(rng.integers(3, 6))):
        names = [s.name for s in rows]
        rows = []
        for place in range(int(rng.integers(1, 5))):
            count = min(len(names), int(rng.integers(1, 3)))
            after = sorted({str(n) for n in rng.choice(names, size=count, replace=False)}) if names else []
            rows.append(step(rng, f"l{depth}x{place}", *after))
        made += rows
    return tuple(made)


def fan(rng: Rng, items: int | None = None) -> tuple[Step, ...]:
    """A fan-out of 3 to 60 items between two steps."""
    count = int(rng.choice([3, 5, 12, 30, 60])) if items is None else items
    return (
        step(rng, "prep"),
        _items(step(rng, "work", "prep"), count, float(rng.uniform(0, 0.3))),
        step(rng, "merge", "work"),
    )


def nested(rng: Rng) -> tuple[Step, ...]:
    """A fan-out in a graph that is the body of another one."""
    count = int(rng.choice([3, 6, 12]))
    return (
        step(rng, "prep"),
        _inside(step(rng, "fetch", "prep")),
        _inside(_items(step(rng, "calc", "fetch"), count, 0.15)),
        _inside(step(rng, "pack", "calc")),
        step(rng, "merge", "pack"),
    )


def two_paths(rng: Rng) -> tuple[Step, ...]:
    """Two steps side by side, of which now the one, now the other is on the critical path."""
    long = between(rng, 100, 400)
    return (
        step(rng, "start", seconds=long / 4),
        step(rng, "pa", "start", seconds=long, spread=0.2),
        step(rng, "pb", "start", seconds=long * float(rng.uniform(0.85, 1.1)), spread=0.2),
        step(rng, "end", "pa", "pb", seconds=long / 3),
    )


SHAPES: tuple[Shape, ...] = (chain, diamond, layers, fan, nested, two_paths)


def any_of(rng: Rng, shapes: Sequence[Shape] = SHAPES) -> tuple[Step, ...]:
    """A graph of one of these shapes."""
    return shapes[int(rng.integers(0, len(shapes)))](rng)


def _items(one: Step, count: int, spread: float) -> Step:
    return replace(one, items=count, item_spread=spread)


def _inside(one: Step) -> Step:
    return replace(one, group="parts")
