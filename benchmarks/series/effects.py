"""What happens to the level of a series: nothing, a step, a stretch that returns, a ramp, slow growth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.series.law import Flags, Rng, Rows

_AWAY = 7  # runs at least between a change and either end, and of a stretch
_STEADY = 30  # runs from which a series can have more than one change


@dataclass(frozen=True, slots=True)
class Planted:
    """``level``: factor on each run; ``later``: runs after the place of the change; ``at``: first runs of the new levels, or
    the first and the last run of a ramp. ``up``: whether the first change is an increase."""

    level: Rows
    later: Flags
    at: tuple[int, ...]
    up: bool = True


Effect = Callable[[Rng, int, float], Planted]
"""The level of so many runs, with changes by that factor."""


def _after(n: int, at: int) -> Flags:
    return np.asarray(np.arange(n) >= at)


def _place(rng: Rng, n: int) -> int:
    return int(rng.integers(_AWAY, n - _AWAY + 1))


def nothing(rng: Rng, n: int, factor: float) -> Planted:
    """Nothing changes; laws of spread change theirs somewhere."""
    return Planted(np.ones(n), _after(n, _place(rng, n)), ())


def step(rng: Rng, n: int, factor: float) -> Planted:
    """From some run on, in one series of three downwards."""
    up, at = bool(rng.random() < 2 / 3), _place(rng, n)
    later = _after(n, at)
    return Planted(np.where(later, factor if up else 1.0 / factor, 1.0), later, (at,), up)


def stretch(rng: Rng, n: int, factor: float) -> Planted:
    """Up to a third of the runs, somewhere inside; then the level returns."""
    length = int(rng.integers(_AWAY, max(_AWAY, n // 3) + 1))
    first = int(rng.integers(_AWAY, n - length - _AWAY + 1))
    within = _after(n, first) & ~_after(n, first + length)
    return Planted(np.where(within, factor, 1.0), within, (first, first + length))


def end(rng: Rng, n: int, factor: float) -> Planted:
    """The first or the last runs, up to a quarter of them."""
    length = int(rng.integers(_AWAY, max(_AWAY, n // 4) + 1))
    first = bool(rng.random() < 0.5)
    at = length if first else n - length
    later = _after(n, at)
    return Planted(np.where(later == first, 1.0, factor), later, (at,), not first)


def ramp(rng: Rng, n: int, factor: float) -> Planted:
    """Within a third of the runs, to half as much again as a step on the logarithms."""
    length = n // 3
    first = int(rng.integers(_AWAY, n - length - _AWAY + 1))
    share = np.clip((np.arange(n) - first) / length, 0.0, 1.0)
    return Planted(factor ** (1.5 * share), _after(n, first), (first, first + length))


def growth(rng: Rng, n: int, factor: float) -> Planted:
    """Slowly, over the whole series, by as much as that."""
    return Planted(factor ** (1.5 * np.arange(n) / n), _after(n, n // 2), (0, n - 1))


EFFECTS: dict[str, tuple[Effect, int]] = {
    "quiet": (nothing, 0),
    "step": (step, 0),
    "stretch": (stretch, _STEADY),
    "end": (end, _STEADY),
    "ramp": (ramp, _STEADY),
    "growth": (growth, _STEADY),
}
"""By name, with the least number of runs."""
