"""Problems in workflows whose few runs, or runs of two kinds, tell little about the mean run."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.graphs.kinds.cost import idle_gpus, oversized
from benchmarks.graphs.kinds.speed import needless_order
from benchmarks.graphs.law import HOUR, WINDOW
from benchmarks.graphs.plant import Kind, Plant

_FEW = WINDOW / 7.3  # seconds between starts, so that the window has seven runs


def _both(plant: Plant, **law: object) -> Plant:
    """The problem in a workflow with another law of its runs. Some runs take far longer, for no reason that is seen."""
    flow, fixed = (replace(f, **law) for f in (plant.flow, plant.fixed))  # type: ignore[arg-type]
    return replace(plant, flow=flow, fixed=fixed, also=(*plant.also, "variance"))


def _two_kinds(rng: Rng) -> dict[str, object]:
    """A run every six hours, of which a tenth to a fifth takes three to ten times as long."""
    return {"every": 6 * HOUR, "others": float(rng.uniform(0.1, 0.2)), "others_factor": float(rng.uniform(3, 10))}


def needless_order_in_few_runs(rng: Rng, name: str) -> Plant:
    """A needless dependency, of which seven runs are known that vary by a third."""
    return _both(needless_order(rng, name), every=_FEW, run_spread=0.35)


def idle_gpus_in_few_runs(rng: Rng, name: str) -> Plant:
    """GPUs that are not used, in seven runs that vary by a third."""
    return _both(idle_gpus(rng, name), every=_FEW, run_spread=0.35)


def idle_gpus_in_two_kinds(rng: Rng, name: str) -> Plant:
    """GPUs that are not used, in runs of two kinds."""
    return _both(idle_gpus(rng, name), **_two_kinds(rng))


def oversized_in_two_kinds(rng: Rng, name: str) -> Plant:
    """Requests far above the use, in runs of two kinds."""
    return _both(oversized(rng, name), **_two_kinds(rng))


KINDS: tuple[Kind, ...] = (
    needless_order_in_few_runs, idle_gpus_in_few_runs, idle_gpus_in_two_kinds, oversized_in_two_kinds,
)  # fmt: skip
