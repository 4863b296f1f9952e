"""Series of run times with properties missing in the public sets: seasons, modes, heavy tails, gaps, ramps,
autocorrelation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.nested.choose import Rows

LENGTHS = (40, 80, 160)
FACTORS = (0.8, 1.1, 1.2, 1.5, 2.0)
RAMP = 30
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
            logs, kind = noise(n, rng), ("none", "one", "ramp")[k % 3]
            at = int(rng.integers(12, n - (12 if kind == "one" else RAMP - 6)))
            rise = np.log(rng.choice(FACTORS))
            if kind == "one":
                logs = logs + rise * (np.arange(n) >= at)
            if kind == "ramp":
                logs = logs + rise * np.clip((np.arange(n) - at) / RAMP, 0.0, 1.0)
            values = [None if np.isnan(v) else float(100.0 * np.exp(v)) for v in logs]
            series = {"kind": kind, "truth": [] if kind == "none" else [at], "values": values}
            found.setdefault(f"law {name}", []).append(series)
    return found
