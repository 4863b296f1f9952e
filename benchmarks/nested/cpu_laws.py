"""Steps whose CPU usage follows models unknown to the methods, in the order in which their runs end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.accuracy.sizing_laws import Runs, simulate
from benchmarks.nested.choose import Rows

Rng = np.random.Generator
KNOWN_AND_AHEAD = (20, 50, 120, 300)
LEAST, MOST = 0.005, 32.0


def _idle(runs: Runs, rng: Rng) -> Rows:
    return rng.uniform(0.02, 0.2) * np.exp(0.3 * rng.normal(size=runs.seconds.size))


def _bursty(runs: Runs, rng: Rng) -> Rows:
    """Mostly idle, occasionally busy."""
    n = runs.seconds.size
    busy = rng.uniform(size=n) < rng.uniform(0.02, 0.15)
    return np.asarray(np.where(busy, rng.uniform(2, 8), rng.uniform(0.05, 0.4)) * np.exp(0.2 * rng.normal(size=n)))


def _wide(runs: Runs, rng: Rng) -> Rows:
    return rng.uniform(0.3, 4) * np.exp(rng.uniform(0.2, 0.8) * rng.normal(size=runs.seconds.size))


def _steady(runs: Runs, rng: Rng) -> Rows:
    return rng.uniform(0.5, 8) * (1.0 + rng.uniform(0.002, 0.05) * rng.normal(size=runs.seconds.size))


def _by_input(runs: Runs, rng: Rng) -> Rows:
    relative = runs.inputs / np.median(runs.inputs)
    return np.asarray(
        rng.uniform(0.5, 4) * relative ** rng.uniform(0.05, 0.4) * np.exp(0.1 * rng.normal(size=relative.size))
    )


def _two_modes(runs: Runs, rng: Rng) -> Rows:
    n = runs.seconds.size
    mode = np.where(rng.uniform(size=n) < 0.5, 1.0, rng.uniform(2, 4))
    return np.asarray(mode * rng.uniform(0.5, 2) * np.exp(0.05 * rng.normal(size=n)))


def _parallel(runs: Runs, rng: Rng) -> Rows:
    """Starts on one core, then uses all of them: long runs use more on average."""
    most, start = float(rng.choice([4, 8, 16])), rng.uniform(5, 200)
    share = runs.seconds / (runs.seconds + start * most)
    return np.asarray(most * share * np.exp(0.03 * rng.normal(size=share.size)))


LAWS: dict[str, Callable[[Runs, Rng], Rows]] = {
    "idle": _idle,
    "bursty": _bursty,
    "wide": _wide,
    "steady": _steady,
    "by input": _by_input,
    "growing inputs": _by_input,
    "two modes": _two_modes,
    "parallel": _parallel,
}


def simulated_use(law: str, number: int) -> tuple[Runs, Rows, float]:
    """One step: its runs, mean cores of each in the order they ended, and the request set by its authors."""
    rng = np.random.default_rng([77, list(LAWS).index(law), number])
    runs = simulate("growing inputs" if law == "growing inputs" else "power", int(rng.choice(KNOWN_AND_AHEAD)), rng)
    done = np.argsort(runs.submitted + runs.seconds, kind="stable")
    cores = np.clip(LAWS[law](runs, rng), LEAST, MOST)[done]
    return runs, cores, float(np.ceil(cores.max() * rng.uniform(1.0, 3.0)))
