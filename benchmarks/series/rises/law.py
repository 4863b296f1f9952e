"""The law of a workflow that becomes slower: what its runs take by day, and when that changed.

Nothing here is taken from the product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.series.law import DAY, FIRST, HOUR, Rng, Rows, log_normal

SPAN = 14.0
"""Days within which everything happens; the level stays before and after."""

Level = Callable[[Rows], Rows]
"""Factor on what a run takes, at a time in days from 0 to ``SPAN``."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to the level: it rises at the days ``steps``, and grows from the first to the last day of ``growth``
    (None: it does not)."""

    level: Level
    steps: tuple[float, ...] = ()
    growth: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Usual:
    """What goes on beside it. Runs start ``every`` seconds; their logarithms have the standard deviation ``noise``, those
    of days ``of_days``. On weekends they take ``weekend`` times as long, and by the hour up to ``hours`` more or less (a
    share). ``slow``: share of the runs that take a Pareto-distributed factor longer. ``inputs``: factor by which known
    inputs, which the run time follows, grow over the span (0: unknown)."""

    every: float
    noise: float
    of_days: float = 0.0
    weekend: float = 1.0
    hours: float = 0.0
    slow: float = 0.0
    inputs: float = 0.0


@dataclass(frozen=True, slots=True)
class Rise:
    """``plan`` and ``usual`` are drawn for each history. ``rises``: whether runs lastingly take longer than before;
    ``before``: days of history before what happens."""

    name: str
    what: str
    plan: Callable[[Rng], Plan]
    usual: Callable[[Rng], Usual]
    rises: bool = True
    before: float = 0.0


@dataclass(frozen=True, slots=True)
class History:
    """Runs of one workflow: their start ``times`` (unix seconds), ``load`` (factor on the work) and ``inputs`` (bytes; None:
    unknown), all of shape (n,). ``begin``: when the span of the plan begins (unix seconds)."""

    plan: Plan
    every: float
    begin: float
    times: Rows
    load: Rows
    inputs: Rows | None

    def at(self, day: float) -> float:
        """Unix seconds of a day of the span."""
        return self.begin + day * DAY


def history(rise: Rise, rng: Rng, *, before: float, after: float) -> History:
    """A history from so many days before the span of the plan until so many days after its begin."""
    plan, usual = rise.plan(rng), rise.usual(rng)
    first = FIRST + float(rng.integers(0, 7 * 24)) * HOUR
    n = round((before + after) * DAY / usual.every)
    times = first + usual.every * (np.arange(n) + rng.uniform(0.0, 0.05, n))
    begin = first + before * DAY
    span = np.clip((times - begin) / DAY, 0.0, SPAN)
    load = plan.level(span) * log_normal(rng, n, usual.noise) * _by_time(usual, rng, times)
    if usual.slow:
        load = load * np.where(rng.random(n) < usual.slow, 1.0 + rng.pareto(1.5, n), 1.0)
    inputs = None
    if usual.inputs:
        sizes = log_normal(rng, n, 0.5) * usual.inputs ** (span / SPAN)
        load, inputs = load * (0.2 + 0.8 * sizes), 1e9 * sizes
    return History(plan, usual.every, begin, times, load, inputs)


def _by_time(usual: Usual, rng: Rng, times: Rows) -> Rows:
    """Factors of the hour, the day and the weekend."""
    day = (times // DAY).astype(np.intp)
    of_days = log_normal(rng, int(day[-1] - day[0]) + 1, usual.of_days)
    weekend = np.where((day + 3) % 7 >= 5, usual.weekend, 1.0)
    hours = 1.0 + usual.hours * np.sin(2.0 * np.pi * times / DAY)
    return np.asarray(of_days[day - day[0]] * weekend * hours)
