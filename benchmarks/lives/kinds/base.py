"""The workflows that live, as different from seed to seed as those of different teams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.lives.law import GI, HOUR, MI, Calendar, Flow, Step
from benchmarks.lives.truth import Plan

Rng = np.random.Generator
Kind = Callable[[Rng], Plan]
"""Makes a life of this kind; its docstring says what happens."""

AFTER = 12.0  # days that a life goes on after its last event


def plain(rng: Rng) -> Flow:
    """Three steps, well sized, with nothing to recommend but perhaps a closer look at the longest one."""
    pace = float(rng.uniform(0.6, 1.6))
    return Flow(
        (
            Step("extract", seconds=200 * pace),
            Step("work", ("extract",), seconds=250 * pace, items=6),
            Step("load", ("work",), seconds=300 * pace),
        ),
        every=float(rng.choice([2, 3, 4, 6, 8])) * HOUR,
        noise=float(rng.uniform(0.04, 0.14)),
    )


def limited(rng: Rng) -> Flow:
    """The same with two pods at once where six would run."""
    return replace(plain(rng), parallelism=2)


def throttled(rng: Rng) -> Flow:
    """The same with a CPU limit at half of what one step would use."""
    return plain(rng).having("load", cores=2.0, cpu_request=1.0, cpu_limit=1.0)


def oversized(rng: Rng) -> Flow:
    """The same with a step that requests far more than it uses."""
    return plain(rng).having("extract", cores=0.4, cpu_request=4.0, memory=300 * MI, memory_request=8 * GI)


def seasonal(flow: Flow, rng: Rng) -> Flow:
    """The workflow on a cluster with busy hours and quiet weekends."""
    calendar = Calendar(swing=0.2, noon=float(rng.uniform(0.0, 24.0)), weekend=0.75)
    return replace(flow, calendar=calendar)


def some_day(rng: Rng) -> float:
    """A day of a life on which something happens, at any hour and weekday, with at least two weeks before it."""
    return 15.0 + float(rng.uniform(0.0, 7.0))
