"""Problems of a step that runs in some runs only."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.graphs.kinds.cost import INJECTED
from benchmarks.graphs.kinds.regressions import LEAST_SHARE
from benchmarks.graphs.kinds.speed import WAITING
from benchmarks.graphs.law import GI, Change, Container, Flow
from benchmarks.graphs.plant import MINUTES, MONEY, Kind, Plant, changed, ran
from benchmarks.graphs.remedies import edited
from benchmarks.graphs.shapes import between, flow, step


def _branch(rng: Rng, name: str, least: float, length: float) -> Flow:
    """``deep`` beside ``b``, ``length`` times as long, in a share of the runs from ``least`` to 0.6."""
    long, share = between(rng, 60, 200), float(rng.uniform(least, 0.6))
    return flow(
        rng,
        name,
        [
            step(rng, "a", seconds=long),
            replace(step(rng, "deep", "a", seconds=length * long), in_runs=share),
            step(rng, "b", "a", seconds=long),
            step(rng, "end", "deep", "b", seconds=long / 2),
        ],
    )


def _plant(bad: Flow, fixed: Flow, rule: str, measure: str, step: str | None = "deep") -> Plant:
    return Plant(
        bad, fixed, (rule,), step, measure, shown=ran("deep"), note=f"in {bad.step('deep').in_runs:.0%} of the runs"
    )


def conditional_regressed(rng: Rng, name: str) -> Plant:
    """It takes longer since some day. The fix is what it was before."""
    drawn = _branch(rng, name, 0.25, 3)
    change = Change(float(rng.uniform(3, 10)), factor=float(rng.uniform(1.5, 2.5)))
    bad = drawn.having("deep", change=change)
    return replace(_plant(bad, drawn, "degradation", MINUTES), shown=changed("deep"), least_share=LEAST_SHARE)


def conditional_throttled(rng: Rng, name: str) -> Plant:
    """Its CPU limit is below its bursts. The fix is the recommended limit."""
    drawn = _branch(rng, name, 0.25, 3)
    pod = Container(
        cpu=0.4, bursts=float(rng.uniform(0.5, 0.95)), burst=float(rng.uniform(1.5, 3)), cpu_request=1.0, cpu_limit=1.0
    )
    bad, fixed = (drawn.having("deep", containers=(p,)) for p in (pod, replace(pod, cpu_limit=None)))
    return replace(_plant(bad, fixed, "cpu-request", MINUTES), remedy=edited)


def conditional_gpus(rng: Rng, name: str) -> Plant:
    """It reserves four GPUs and uses one. The fix is one."""
    drawn, pod = _branch(rng, name, 0.15, 3), Container(gpus=4, gpus_busy=1, gpu_use=0.5)
    bad, fixed = (drawn.having("deep", containers=(p,)) for p in (pod, replace(pod, gpus=1)))
    return _plant(bad, fixed, "gpu-request", MONEY)


def conditional_oversized(rng: Rng, name: str) -> Plant:
    """It requests far more CPU and memory than it uses. The fix is what is recommended."""
    drawn = _branch(rng, name, 0.15, 8)
    pod = Container(cpu=0.3, cpu_request=8.0, memory=0.3 * GI, memory_request=16 * GI)
    small = replace(pod, cpu_request=0.4, memory_request=0.5 * GI)
    bad, fixed = (drawn.having("deep", containers=(p,)) for p in (pod, small))
    return replace(_plant(bad, fixed, "right-size", MONEY), remedy=edited)


def conditional_sidecar(rng: Rng, name: str) -> Plant:
    """It has an injected sidecar that reserves far more than it uses. The fix is one that reserves what it uses."""
    drawn = _branch(rng, name, 0.15, 6)
    large = replace(INJECTED, cpu_request=2.0, memory_request=2 * GI)
    bad, fixed = (drawn.having("deep", containers=(Container(), c)) for c in (large, INJECTED))
    return _plant(bad, fixed, "sidecar-overhead", MONEY, None)


def conditional_queueing(rng: Rng, name: str) -> Plant:
    """Its pods are pending for minutes. The fix is no queueing; the gain is said to be at most that."""
    drawn = _branch(rng, name, 0.25, 3)
    bad = drawn.having("deep", wait=2 * drawn.step("b").seconds)
    plant = _plant(bad, drawn.having("deep", wait=0.0), "queue-time", MINUTES, None)
    return replace(plant, least_share=WAITING)


KINDS: tuple[Kind, ...] = (
    conditional_regressed, conditional_throttled, conditional_gpus, conditional_oversized, conditional_sidecar,
    conditional_queueing,
)  # fmt: skip
