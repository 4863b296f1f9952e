"""Series with planted changes: of properties missing in the public sets (seasons, modes, heavy tails, gaps, ramps,
autocorrelation), and with the noise of recorded steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.nested.cases import Step
from benchmarks.nested.choose import Rows

LENGTHS = (40, 80, 160)
FACTORS = (0.8, 1.1, 1.2, 1.5, 2.0)
RAMP = 30
KINDS = ("none", "one", "ramp")
# Values of a series are single runs, or medians of ten, of steps with at least so many runs and so much noise (a share).
RUNS_PER_VALUE = (1, 10)
FEWEST_DRAWN, LEAST_NOISE = 40, 0.001
Rng = np.random.Generator


def _season(n: int, rng: Rng) -> Rows:
    """A daily or weekly season in the run times; it counts as quiet, because it recurs."""
    return np.asarray(0.15 * np.sin(2.0 * np.pi * np.arange(n) / rng.choice([7, 24])) + 0.05 * rng.normal(size=n))


def _modes(n: int, rng: Rng) -> Rows:
    """Small and large inputs in alternation."""
    return np.asarray(np.where(rng.uniform(size=n) < 0.3, 0.7, 0.0) + 0.06 * rng.normal(size=n))


def _heavy(n: int, rng: Rng) -> Rows:
    """Some runs take many times as long."""
    return np.asarray(0.1 * rng.standard_t(1.5, size=n))


def _gaps(n: int, rng: Rng) -> Rows:
    """A fifth of the values is missing."""
    values = 0.1 * rng.normal(size=n)
    values[rng.uniform(size=n) < 0.2] = np.nan
    return values


def _carried(n: int, rng: Rng) -> Rows:
    """A third of each deviation carries over to the next run."""
    values = 0.1 * rng.normal(size=n)
    for i in range(1, n):
        values[i] += 0.35 * values[i - 1]
    return values


def _spreading(n: int, rng: Rng) -> Rows:
    """Growing spread at a constant level."""
    return np.asarray(np.linspace(0.03, 0.2, n) * rng.normal(size=n))


NOISES: dict[str, Callable[[int, Rng], Rows]] = {
    "season": _season,
    "two modes": _modes,
    "heavy tail": _heavy,
    "gaps": _gaps,
    "carried over": _carried,
    "spreading": _spreading,
}


def simulated_series(count: int = 24) -> dict[str, list[dict[str, Any]]]:
    """Series by model: a third without a change, a third with one step, a third with one ramp; in the format of the
    public sets of steps."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number, (name, noise) in enumerate(NOISES.items()):
        rng = np.random.default_rng(20261121 + number)
        for k in range(count):
            n = int(rng.choice(LENGTHS))
            found.setdefault(f"law {name}", []).append(_planted(np.log(100.0) + noise(n, rng), KINDS[k % 3], rng))
    return found


def recorded_series(families: Mapping[str, Sequence[Step]], count: int = 2) -> dict[str, list[dict[str, Any]]]:
    """The same with real noise: run times and peaks of these steps drawn at random, one by one and as medians of ten,
    ``count`` of each kind; steps with few executions or without noise are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    rng = np.random.default_rng(20261127)
    for family, steps in families.items():
        for values in (values for step in steps for values in (step.seconds, step.peaks)):
            if values.size < FEWEST_DRAWN or values.std() < LEAST_NOISE * values.mean():
                continue
            for runs, kind in itertools.product(RUNS_PER_VALUE, count * KINDS):
                drawn = values[rng.integers(values.size, size=(int(rng.choice(LENGTHS)), runs))]
                logs = np.log(np.median(drawn, axis=1))
                found.setdefault(family, []).append(_planted(logs, kind, rng))
    return found


def _planted(logs: Rows, kind: str, rng: Rng) -> dict[str, Any]:
    """The series of these logarithms with a change of this kind at a random place, by a random factor."""
    at = int(rng.integers(12, logs.size - (12 if kind == "one" else RAMP - 6)))
    rise = np.log(rng.choice(FACTORS))
    if kind == "one":
        logs = logs + rise * (np.arange(logs.size) >= at)
    if kind == "ramp":
        logs = logs + rise * np.clip((np.arange(logs.size) - at) / RAMP, 0.0, 1.0)
    values = [None if np.isnan(v) else float(np.exp(v)) for v in logs]
    return {"kind": kind, "truth": [] if kind == "none" else [at], "values": values}
