"""The law of a series of runs: what each run takes at a given level, and when it starts.

Nothing here is taken from the product. A law draws all values of a series at once, since one may depend on the one before.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]

HOUR = 3600.0
DAY = 24 * HOUR
FIRST = 1_759_708_800.0  # 2025-10-06 00:00 UTC, a Monday


@dataclass(frozen=True, slots=True)
class Course:
    """The runs of a series, all of shape (n,): ``times`` in unix seconds, ascending; ``level``: factor on what a run usually
    takes; ``later``: whether it comes after the place of the change, which there is also where nothing changes."""

    times: Rows
    level: Rows
    later: Flags

    @property
    def size(self) -> int:
        """Number of runs."""
        return int(self.times.size)


Starts = Callable[[Rng, int], Rows]
"""Start times of that many runs in unix seconds, ascending."""


def every(seconds: float) -> Starts:
    """One run each so many seconds, up to a twentieth of that late."""

    def starts(rng: Rng, n: int) -> Rows:
        return np.asarray(FIRST + seconds * (rng.integers(0, 40) + np.arange(n) + rng.uniform(0.0, 0.05, n)))

    return starts


Draw = Callable[[Rng, Course], Rows]
"""Values of the runs of a course: positive, or zeros, NaN where one is missing; shape (n,)."""


FOUR_HOURLY = every(4 * HOUR)


@dataclass(frozen=True, slots=True)
class Law:
    """``draw``: the values of its runs; ``what`` goes on.

    ``factor``: of the level where something is planted. ``scales``: whether the level is a factor on every value, so that
    intervals of the ratio can be compared with it. ``alike``: whether two samples of runs can be compared: not where the
    hour or the day decides. ``independent``: whether its runs are, and alike but for the level, as the methods assume.
    ``falls``: whether values fall where the level rises. ``slow_runs``: whether the law itself
    has a minority of slow runs, as a problem would. ``flow``: whether it is also sent through the whole analysis of a
    workflow, as the seconds of a step.
    """

    name: str
    what: str
    draw: Draw
    factor: float = 1.5
    starts: Starts = FOUR_HOURLY
    scales: bool = True
    alike: bool = True
    independent: bool = True
    falls: bool = False
    slow_runs: bool = False
    flow: bool = False

    def series(self, rng: Rng, level: Rows, later: Flags) -> tuple[Course, Rows]:
        """Runs at these levels, and their values."""
        course = Course(self.starts(rng, level.size), level, later)
        return course, self.draw(rng, course)


def generator(name: str, seed: int, part: int = 0) -> Rng:
    """The random numbers of a kind and seed, and of a part of it."""
    return np.random.default_rng([zlib.crc32(name.encode()), seed, part])


def log_normal(rng: Rng, n: int, spread: float) -> Rows:
    """Factors around 1 whose logarithm has this standard deviation."""
    return np.asarray(np.exp(spread * rng.standard_normal(n)))
