"""Independent run times with light and heavy tails, and runs that are many times as long."""

from __future__ import annotations

import numpy as np

from benchmarks.series.law import Course, Law, Rng, Rows, log_normal


def _narrow(rng: Rng, runs: Course) -> Rows:
    return 300.0 * runs.level * log_normal(rng, runs.size, 0.1)


def _wide(rng: Rng, runs: Course) -> Rows:
    return 300.0 * runs.level * log_normal(rng, runs.size, 0.6)


def _exponential(rng: Rng, runs: Course) -> Rows:
    return np.asarray(runs.level * (1.0 + rng.exponential(60.0, runs.size)))


def _pareto(rng: Rng, runs: Course) -> Rows:
    return np.asarray(60.0 * runs.level * (1.0 + rng.pareto(1.5, runs.size)))


def _cauchy(rng: Rng, runs: Course) -> Rows:
    return np.asarray(runs.level * (50.0 + 3.0 * np.abs(rng.standard_cauchy(runs.size))))


def _shorter(rng: Rng, runs: Course) -> Rows:
    return np.asarray(runs.level * np.maximum(20.0, 100.0 - rng.exponential(12.0, runs.size)))


def _hung(rng: Rng, runs: Course) -> Rows:
    slow = np.where(rng.random(runs.size) < 0.05, 8.0, 1.0)
    return 120.0 * runs.level * slow * log_normal(rng, runs.size, 0.1)


def _storms(rng: Rng, runs: Course) -> Rows:
    """Of every twenty runs or so, three in a row take four times as long."""
    slow = np.ones(runs.size)
    for first in np.flatnonzero(rng.random(runs.size) < 0.04):
        slow[first : first + 3] = 4.0
    return 120.0 * runs.level * slow * log_normal(rng, runs.size, 0.1)


LAWS = (
    Law("log-normal, 10%", "vary by a tenth", _narrow, 1.3, flow=True),
    Law("log-normal, 60%", "vary by 60%", _wide, 3.0, flow=True),
    Law("exponential", "exponential, as waits for requests are", _exponential, 4.0),
    Law("Pareto", "Pareto with exponent 1.5: no variance", _pareto, 2.0),
    Law("Cauchy", "a level, and a tail without a mean", _cauchy, 1.3),
    Law("skewed to the left", "at most 100 s, and sometimes much less", _shorter, 1.4),
    Law("some runs hang", "one run in twenty takes eight times as long", _hung, 1.3, slow_runs=True, flow=True),
    Law(
        "storms",
        "at times three in a row take four times as long",
        _storms,
        1.3,
        independent=False,
        slow_runs=True,
        flow=True,
    ),
)
