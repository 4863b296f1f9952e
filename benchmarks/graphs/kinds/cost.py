"""Resources that are reserved and not used."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.graphs.law import GI, MI, Container
from benchmarks.graphs.plant import MINUTES, MONEY, Kind, Plant, anywhere, unexplained
from benchmarks.graphs.remedies import edited
from benchmarks.graphs.shapes import any_of, between, diamond, flow

INJECTED = Container(
    "proxy", cpu=0.02, cpu_request=0.02, memory=50 * MI, memory_request=50 * MI, declared=False, paces=False
)
"""A sidecar that reserves what it uses and ends with the step."""


def oversized(rng: Rng, name: str) -> Plant:
    """One step requests about ten times the CPU and twenty times the memory it uses; the peak follows the input. The fix
    is what is recommended, with what it then costs and kills."""
    drawn = replace(flow(rng, name, any_of(rng)), input_spread=0.5)
    at = anywhere(rng, drawn)
    large = Container(
        cpu=between(rng, 0.1, 0.5), cpu_request=4.0, memory=between(rng, 0.15, 0.5) * GI, memory_elasticity=1.0,
        memory_request=8 * GI, memory_limit=8 * GI if rng.random() < 0.5 else None,
    )  # fmt: skip
    bad = drawn.having(at, containers=(large,), seconds=400.0)
    small = replace(large, cpu_request=1.3 * large.cpu, memory_request=4.0 * large.memory)
    return Plant(
        bad, bad.having(at, containers=(small,)), ("right-size",), at, MONEY, also=unexplained(drawn), remedy=edited
    )


def idle_gpus(rng: Rng, name: str) -> Plant:
    """A step reserves 2, 4 or 8 GPUs, of which it uses one or none. The fix is the number that is used."""
    drawn = flow(rng, name, any_of(rng))
    at, have, busy = anywhere(rng, drawn), int(rng.choice([2, 4, 8])), int(rng.choice([0, 1]))
    pod = Container(gpus=have, gpus_busy=busy, gpu_use=0.6)
    bad = drawn.having(at, containers=(pod,))
    fixed = drawn.having(at, containers=(replace(pod, gpus=busy),))
    return Plant(bad, fixed, ("gpu-request",), at, MONEY, note=f"{have} GPUs, {busy} used")


def large_sidecar(rng: Rng, name: str) -> Plant:
    """An injected sidecar reserves far more than it uses in every pod, and may outlive the step by up to a minute. The fix
    is one that reserves what it uses and ends with the step."""
    drawn = flow(rng, name, any_of(rng))
    late = float(rng.choice([0, 30, 60]))
    side = replace(INJECTED, cpu_request=float(rng.uniform(0.5, 1)), memory_request=0.5 * GI, outlives=late)
    bad = drawn.everywhere(containers=(Container(), side))
    fixed = drawn.everywhere(containers=(Container(), INJECTED))
    return Plant(bad, fixed, ("sidecar-overhead",), None, MINUTES if late else MONEY, note=f"{late:.0f} s longer")


def late_sidecar(rng: Rng, name: str) -> Plant:
    """An injected sidecar outlives some steps side by side by 40 or 90 s: only one of them decides about the makespan. The
    fix is one that ends with the step."""
    drawn, late = flow(rng, name, diamond(rng)), float(rng.choice([40, 90]))
    bad = fixed = drawn
    for step in drawn.steps[1:-1]:
        bad = bad.having(step.name, containers=(Container(), replace(INJECTED, outlives=late)))
        fixed = fixed.having(step.name, containers=(Container(), INJECTED))
    return Plant(bad, fixed, ("sidecar-overhead",), None, MINUTES, note=f"{late:.0f} s longer")


KINDS: tuple[Kind, ...] = (oversized, idle_gpus, large_sidecar, late_sidecar)
