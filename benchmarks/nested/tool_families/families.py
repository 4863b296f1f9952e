"""Simulated steps of all families, as their executions would be recorded."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from benchmarks.nested.choose import Rows
from benchmarks.nested.tool_families import stable, unstable
from benchmarks.nested.tool_families.draws import Draws, Law
from benchmarks.nested.tool_families.recording import recorded, request

RUNS = (12, 30, 60, 150, 400)


@dataclass(frozen=True, slots=True)
class Executions:
    """Executions of one step in order of submission, all arrays of shape (n,): ``inputs`` and ``peaks`` in bytes, run
    times in ``seconds``, ``submitted`` in seconds since the first submission; ``request``: bytes, set by the authors."""

    inputs: Rows
    peaks: Rows
    seconds: Rows
    submitted: Rows
    request: float


def tool_families(steps: int, seed: int = 1) -> dict[str, list[Executions]]:
    """Executions of ``steps`` simulated steps of each family, by name of the family; 12 to 400 executions per step.

    Each step has its own random generator: more steps only add steps, and a new family changes no other.
    """
    laws = {**stable.LAWS, **unstable.LAWS}
    return {
        f"tool {name.replace('_', ' ')}": [_step(name, law, k, seed) for k in range(steps)]
        for name, law in laws.items()
    }


def _step(name: str, law: Law, number: int, seed: int) -> Executions:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
    draws = Draws(rng, int(rng.choice(RUNS)))
    peaks, seconds = law(draws)
    peaks = recorded(draws, peaks, seconds, stable=name in stable.LAWS)
    return Executions(
        np.maximum(draws.inputs, 1.0),
        peaks,
        np.round(seconds, 3),
        np.round(draws.submitted, 3),
        request(rng, float(peaks.max())),
    )
