"""Planted problems of sizing and cost."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from benchmarks.advice.law import GI, MI, Sidecar
from benchmarks.advice.numbers import retried, sized
from benchmarks.advice.plant import Flow, Kind, Plant, Rng, fitted, wide
from benchmarks.advice.truth import cost_of, excess_of
from concertmaster.core.model.policy import Objectives, Policy

_ENOUGH = 0.8  # share of a request from which it counts as well used


def _cpu(flow: Flow, step: str, factor: float) -> Plant:
    own = flow.step(step)
    bad = flow.having(step, cpu_request=round(own.cpu * factor, 2))
    mended = flow.having(step, cpu_request=own.cpu / _ENOUGH)
    number = sized(step, "requests.cpu", own.cpu, own.cpu * 1.6 + 0.05)
    return Plant("cpu-over", bad, mended, ("right-size",), step, "money", number=number)


def cpu_over(rng: Rng, flow: Flow) -> Plant:
    """One step requests a multiple of its CPU usage."""
    return _cpu(flow, str(rng.choice(["extract", "transform", "enrich"])), float(rng.uniform(4, 10)))


def memory_over(rng: Rng, flow: Flow) -> Plant:
    """One step requests a multiple of its memory usage."""
    flow = flow.having("transform", seconds=1500.0, peak=float(rng.uniform(2, 4)) * GI)
    own = flow.step("transform")
    bad = flow.having("transform", memory_request=round(own.peak * rng.uniform(8, 14) / MI) * MI)
    mended = flow.having("transform", memory_request=own.peak * 1.1 / _ENOUGH)
    number = sized("transform", "requests.memory", own.peak * 1.02, own.peak * 1.7)
    return Plant("memory-over", bad, mended, ("right-size",), "transform", "money", number=number)


def all_over(rng: Rng, flow: Flow) -> Plant:
    """Every container requests two to four times its usage."""
    steps = tuple(fitted(s, float(rng.uniform(0.2, 0.35)), float(rng.uniform(0.15, 0.35))) for s in flow.steps)
    mended = tuple(fitted(s, _ENOUGH, _ENOUGH) for s in flow.steps)
    right = [sized(s.name, "requests.cpu", s.cpu, s.cpu * 1.6 + 0.05) for s in flow.steps]
    return Plant(
        "all-over", replace(flow, steps=steps), replace(flow, steps=mended), ("right-size",), None, "money",
        number=lambda item: any(r.field == "requests.cpu" for r in item.items) and all(n(item) for n in right),
    )  # fmt: skip


def one_of_several(rng: Rng, flow: Flow) -> Plant:
    """A fan-out whose pods request too much memory and CPU, beside correctly sized steps."""
    flow = wide(flow, int(rng.integers(6, 14)))
    own = flow.step("transform")
    bad = flow.having("transform", cpu_request=round(own.cpu * 3.2, 2), memory_request=round(own.peak * 3 / MI) * MI)
    mended = flow.having("transform", cpu_request=own.cpu / _ENOUGH, memory_request=own.peak * 1.1 / _ENOUGH)
    number = sized("transform", "requests.cpu", own.cpu, own.cpu * 1.6 + 0.05)
    return Plant("fan-out-over", bad, mended, ("right-size",), "transform", "money", number=number)


def guaranteed_over(rng: Rng, flow: Flow) -> Plant:
    """Equal requests and limits, both far too large."""
    own = flow.step("enrich")
    cpu, memory = round(own.cpu * rng.uniform(4, 6), 2), round(own.peak * 4 / MI) * MI
    bad = flow.having("enrich", cpu_request=cpu, cpu_limit=cpu, memory_request=memory, memory_limit=memory)
    mended = flow.having("enrich", cpu_request=own.cpu / _ENOUGH, memory_request=own.peak * 1.1 / _ENOUGH)
    number = sized("enrich", "limits.memory", own.peak * 1.1, own.peak * 2)
    return Plant("guaranteed-over", bad, mended, ("right-size",), "enrich", "money", number=number)


def sidecar(rng: Rng, flow: Flow) -> Plant:
    """A proxy in every step that reserves far more than it uses."""
    big = Sidecar(cpu_request=float(rng.uniform(1.0, 2.0)), memory_request=2 * GI)
    small = replace(big, cpu_request=0.06, memory_request=100 * MI)
    flow = replace(flow, engine="argo")
    steps = tuple(replace(s, sidecar=big) for s in flow.steps)
    mended = tuple(replace(s, sidecar=small) for s in flow.steps)
    return Plant(
        "sidecar", replace(flow, steps=steps), replace(flow, steps=mended), ("sidecar-overhead",), None, "money"
    )


def useless_retries(rng: Rng, flow: Flow) -> Plant:
    """A step that fails permanently is retried six times."""
    flow = flow.having("transform", seconds=2400.0, cpu=6.0, peak=12 * GI, cpu_request=8.0, memory_request=16 * GI)
    bad = flow.having("transform", broken=float(rng.uniform(0.15, 0.25)), retries=6)
    mended = bad.having("transform", retries=1)
    whole = bad.having("transform", broken=0.0)
    return Plant(
        "useless-retries", bad, mended, ("retry-policy",), "transform", "money",
        also=("objective-at-risk", "failing-step"), whole=whole, number=retried(0, 2),
    )  # fmt: skip


def budget(rng: Rng, flow: Flow) -> Plant:
    """Runs cost more than their budget."""
    most = cost_of(flow) * float(rng.uniform(0.6, 0.8))
    policy = Policy(objectives=Objectives(max_cost_per_run=most))
    above = partial(excess_of, most=most)
    return Plant("budget", flow, flow, ("budget",), None, "money", policy=policy, counted=above)


KINDS: tuple[Kind, ...] = (
    cpu_over, memory_over, all_over, one_of_several, guaranteed_over, sidecar, useless_retries, budget,
)  # fmt: skip
