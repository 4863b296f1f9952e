"""Simulated steps of all families, as their executions would be recorded."""

from __future__ import annotations

import zlib

import numpy as np

from benchmarks.accuracy.sizing_laws import Runs
from benchmarks.nested.tool_families import stable, unstable
from benchmarks.nested.tool_families.draws import Draws, Law
from benchmarks.nested.tool_families.recording import recorded, request

RUNS = (12, 30, 60, 150, 400)


def tool_families(steps: int) -> dict[str, list[Runs]]:
    """Runs of ``steps`` simulated steps of each family, by name of the family; 12 to 400 runs per step.

    Each step has its own random generator: more steps only add steps, and a new family changes no other.
    """
    laws = {**stable.LAWS, **unstable.LAWS}
    found = [[_step(name, law, k) for k in range(steps)] for name, law in laws.items()]
    return {of_family[0].family: of_family for of_family in found if of_family}


def _step(name: str, law: Law, number: int) -> Runs:
    rng = np.random.default_rng([1, zlib.crc32(name.encode()), number])
    draws = Draws(rng, int(rng.choice(RUNS)))
    peaks, seconds = law(draws)
    peaks = recorded(draws, peaks, seconds, stable=name in stable.LAWS)
    return Runs(
        f"tool {name.replace('_', ' ')}",
        np.maximum(draws.inputs, 1.0),
        peaks,
        np.round(seconds, 3),
        np.round(draws.submitted, 3),
        request(rng, float(peaks.max())),
    )
