"""A planted problem and its truth: what answers it, at which step, with which number, and what it is worth a month."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.advice.law import DAY, GI, HOUR, MI, Flow, Step
from concertmaster.core.model import Recommendation
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.policy import Policy

Number = Callable[[Recommendation], bool]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Plant:
    """``mended``: the same workflow without the problem. ``rules``: any of them answers rightly; ``also``: what may be said
    besides. ``measure``: in which its worth counts (money, run_minutes, failed_runs; empty: none is promised).
    ``whole``: without all that is wrong, where it is more than the problem. ``bound``: the promise is an upper bound, so
    that the truth may lie below."""

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
    amount: float | None = None  # of the measure a month, by the law itself: what no run shows yet
    minor: bool = False  # nothing is promised for it: answered among the minor items


Kind = Callable[[Rng, Flow], Plant]


def fitted(step: Step, cpu: float, memory: float) -> Step:
    """The step with requests that it uses to these shares."""
    return replace(
        step, cpu_request=round(step.cpu / cpu, 3), memory_request=round(step.peak * 1.05 / memory / MI) * MI
    )


def base(rng: Rng, name: str, *, every: float | None = None, engine: str | None = None) -> Flow:
    """A healthy workflow of five steps (a chain with two branches) with requests that are used well."""
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
    """Seconds of the longest way through the steps, by their medians."""
    ends: dict[str, float] = {}
    for s in flow.steps:
        ends[s.name] = max((ends[d] for d in s.after), default=0.0) + s.seconds + s.start + s.wait + 0.5
    return max(ends.values())


def sized(step: str, name: str, low: float, high: float) -> Number:
    """Whether the table sets this field of the step between the two amounts (cores or bytes)."""

    def right(item: Recommendation) -> bool:
        rows = [r for r in item.items if r.step == step and r.field == name]
        return bool(rows) and all(low <= amount(r.new) <= high for r in rows)

    return right


def amount(words: str) -> float:
    """A quantity as the table shows it: ``500m``, ``1.5Gi``, ``2 cores``."""
    found = quantity(words.replace(" ", ""))
    if found is None:
        digits = re.match(r"[0-9.]+", words)
        found = float(digits.group()) if digits else 0.0
    return found


__all__ = [
    "DAY",
    "GI",
    "HOUR",
    "MI",
    "Flow",
    "Kind",
    "Number",
    "Plant",
    "Rng",
    "amount",
    "base",
    "chain_seconds",
    "fitted",
    "sized",
    "wide",
]
