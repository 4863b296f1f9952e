"""A planted problem and its truth: the right rule, step and number, and its monthly effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.advice.law import DAY, GI, HOUR, MI, Flow, Step
from benchmarks.advice.numbers import Number
from concertmaster.core.model.policy import Policy

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Plant:
    """``mended``: the same workflow without the problem. ``rules``: any of them is a right answer; ``also``: acceptable
    additional ones. ``measure``: the unit of its effect (money, run_minutes, failed_runs; empty: no prediction).
    ``whole``: the workflow without any problem, if it has more than the planted one. ``bound``: the prediction is an
    upper bound, so the true effect may be smaller."""

    kind: str
    flow: Flow
    mended: Flow
    rules: tuple[str, ...]
    step: str | None
    measure: str
    also: tuple[str, ...] = ()
    number: Number | None = None
    policy: Policy = field(default_factory=Policy)
    bound: bool = False
    whole: Flow | None = None
    others: tuple[Flow, ...] = ()  # workflows on the same nodes
    amount: float | None = None  # true effect per month by the model itself, for effects that no run shows yet
    counted: Callable[[Flow], float] | None = None  # the same, from the runs of the workflow with the problem
    minor: bool = False  # no predicted effect: the right answer is a minor item


Kind = Callable[[Rng, Flow], Plant]


def fitted(step: Step, cpu: float, memory: float) -> Step:
    """The step with requests of which it uses these shares."""
    return replace(
        step, cpu_request=round(step.cpu / cpu, 3), memory_request=round(step.peak * 1.05 / memory / MI) * MI
    )


def base(rng: Rng, name: str, *, every: float | None = None, engine: str | None = None) -> Flow:
    """A healthy workflow of five steps (a sequence with two branches) with well-used requests."""
    seconds = rng.uniform(90, 700, 5)

    def one(index: int, step: str, *after: str, items: int = 1) -> Step:
        made = Step(
            step,
            after,
            items,
            seconds=float(seconds[index]),
            cv=float(rng.uniform(0.03, 0.12)),
            cpu=float(rng.uniform(0.4, 1.8)),
            peak=float(rng.uniform(300, 3000)) * MI,
            peak_cv=float(rng.uniform(0.01, 0.05)),
        )
        return fitted(made, float(rng.uniform(0.65, 0.85)), float(rng.uniform(0.7, 0.85)))

    steps = (
        one(0, "extract"),
        one(1, "transform", "extract"),
        replace(one(2, "validate", "transform"), seconds=float(seconds[2]) * 0.5),
        replace(one(3, "enrich", "transform"), seconds=float(seconds[3]) * 0.8),
        one(4, "load", "validate", "enrich"),
    )
    return Flow(
        name,
        steps,
        engine=engine or str(rng.choice(["argo", "argo", "tekton", "cron"])),
        every=every or float(rng.choice([2, 3, 4, 6])) * HOUR,
        noise=float(rng.uniform(0.02, 0.08)),
        seed=int(rng.integers(1, 2**31)),
        namespace=f"team-{int(rng.integers(0, 6))}",
    )


def wide(flow: Flow, items: int, **changes: object) -> Flow:
    """The workflow with ``transform`` as a fan-out."""
    engine = "argo" if flow.engine == "tekton" else flow.engine
    return replace(flow, engine=engine).having("transform", items=items, **changes)


def chain_seconds(flow: Flow) -> float:
    """Seconds of the longest path through the steps, by their medians."""
    ends: dict[str, float] = {}
    for s in flow.steps:
        ends[s.name] = max((ends[d] for d in s.after), default=0.0) + s.seconds + s.start + s.wait + 0.5
    return max(ends.values())


__all__ = [
    "DAY",
    "GI",
    "HOUR",
    "MI",
    "Flow",
    "Kind",
    "Plant",
    "Rng",
    "base",
    "chain_seconds",
    "fitted",
    "wide",
]
