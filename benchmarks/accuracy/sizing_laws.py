"""Simulated steps with memory models unknown to the sizing: does it keep its failure bound on each of them?

Inputs spread over up to four orders of magnitude, runs take minutes to days, noise is multiplicative. In each family
past peaks are misleading in a different way: heavy tails, rare large runs, jumps, saturation, inputs without influence,
growing inputs, and an order in which small runs end first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from concertmaster.core.arrays import Floats

MIB = 2.0**20
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of one step in order of submission, in bytes and seconds; ``preset`` is the request set by its authors."""

    family: str
    inputs: Floats
    peaks: Floats
    seconds: Floats
    submitted: Floats
    preset: float


def _power(inputs: Floats, rng: Rng) -> Floats:
    """Memory as a power of the input, with noise."""
    exponent, noise = rng.uniform(0.3, 1.0), rng.uniform(0.05, 0.6)
    return np.asarray(
        500.0 * MIB * (inputs / np.median(inputs)) ** exponent * np.exp(noise * rng.normal(size=inputs.size))
    )


def _flat(inputs: Floats, rng: Rng) -> Floats:
    """Memory independent of the input."""
    return np.asarray(2000.0 * MIB * np.exp(rng.uniform(0.1, 0.8) * rng.normal(size=inputs.size)))


def _jumps(inputs: Floats, rng: Rng) -> Floats:
    """A tool that switches its method at two input sizes."""
    at = np.quantile(inputs, rng.uniform(0.2, 0.95, 2))
    level = 300.0 * MIB * (1.0 + 4.0 * (inputs > at[0]) + 9.0 * (inputs > at[1]))
    return np.asarray(level * np.exp(0.1 * rng.normal(size=inputs.size)))


def _heavy(inputs: Floats, rng: Rng) -> Floats:
    """Pareto tail above a base."""
    return np.asarray(1000.0 * MIB * (1.0 + 0.3 * rng.pareto(rng.uniform(2.0, 4.0), inputs.size)))


def _rare(inputs: Floats, rng: Rng) -> Floats:
    """A few percent of the runs need several times as much."""
    large = rng.uniform(size=inputs.size) < rng.uniform(0.01, 0.06)
    return np.asarray(
        1500.0 * MIB * np.where(large, rng.uniform(2, 5), 1.0) * np.exp(0.05 * rng.normal(size=inputs.size))
    )


def _saturating(inputs: Floats, rng: Rng) -> Floats:
    """A buffer that grows up to its maximum size."""
    wanted = 200.0 * MIB + inputs * rng.uniform(0.2, 2.0)
    return np.asarray(
        np.minimum(wanted, rng.uniform(2, 30) * 1024.0 * MIB) * np.exp(0.08 * rng.normal(size=inputs.size))
    )


def _steady(inputs: Floats, rng: Rng) -> Floats:
    """Almost the same peak each time."""
    return np.asarray(rng.uniform(100, 8000) * MIB * (1.0 + rng.uniform(0.002, 0.05) * rng.normal(size=inputs.size)))


LAWS: dict[str, Callable[[Floats, Rng], Floats]] = {
    "power": _power,
    "flat": _flat,
    "jumps": _jumps,
    "heavy tail": _heavy,
    "rare giants": _rare,
    "saturating": _saturating,
    "steady": _steady,
}
FAMILIES = (*LAWS, "growing inputs")


def simulate(family: str, runs: int, rng: Rng) -> Runs:
    """Runs of one step. Run time is a power of the input with noise: minutes to days."""
    inputs = 1e9 * 10.0 ** rng.uniform(-2.0, 2.0) * 10.0 ** (rng.uniform(0.3, 2.0) * rng.normal(size=runs) / 1.6)
    if family == "growing inputs":
        inputs = 1e9 * np.exp(
            np.linspace(0.0, rng.uniform(0.3, 2.5), runs) + rng.uniform(0.05, 0.4) * rng.normal(size=runs)
        )
    peaks = LAWS.get(family, _power)(inputs, rng)
    seconds = np.clip(
        10.0 ** rng.uniform(1.8, 4.5)
        * (inputs / np.median(inputs)) ** rng.uniform(0.2, 1.0)
        * np.exp(0.4 * rng.normal(size=runs)),
        20.0,
        4e5,
    )
    gap = float(np.median(seconds)) * rng.choice([0.01, 0.3, 3.0])
    submitted = np.cumsum(rng.exponential(gap, runs))
    return Runs(family, inputs, peaks, seconds, submitted, float(peaks.max() * rng.uniform(1.1, 4.0)))
