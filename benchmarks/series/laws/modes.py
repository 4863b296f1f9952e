"""Runs of several kinds: caches that hit or miss, inputs of a few sizes, kinds that take turns or stay for a while."""

from __future__ import annotations

import numpy as np

from benchmarks.series.law import Course, Law, Rng, Rows, log_normal


def _cached(rng: Rng, runs: Course) -> Rows:
    """The level is that of hits and misses."""
    return runs.level * np.where(rng.random(runs.size) < 0.2, 300.0, 40.0) * log_normal(rng, runs.size, 0.05)


def _fading(rng: Rng, runs: Course) -> Rows:
    """The level is that of the share of misses."""
    return np.where(rng.random(runs.size) < 0.15 * runs.level, 300.0, 40.0) * log_normal(rng, runs.size, 0.05)


def _three(rng: Rng, runs: Course) -> Rows:
    return np.asarray(runs.level * rng.choice([60.0, 120.0, 240.0], runs.size))


def _turns(rng: Rng, runs: Course) -> Rows:
    return np.asarray(runs.level * np.where(np.arange(runs.size) % 2, 60.0, 120.0) * log_normal(rng, runs.size, 0.05))


def _thirds(rng: Rng, runs: Course) -> Rows:
    sizes = np.array([60.0, 120.0, 240.0])[np.arange(runs.size) % 3]
    return np.asarray(runs.level * sizes * log_normal(rng, runs.size, 0.05))


def _staying(rng: Rng, runs: Course) -> Rows:
    other = np.cumsum(rng.random(runs.size) < 0.2) % 2
    return np.asarray(runs.level * np.where(other, 120.0, 60.0) * log_normal(rng, runs.size, 0.05))


LAWS = (
    Law("cache hit or miss", "one run in five misses the cache", _cached, 1.3, slow_runs=True, flow=True),
    Law(
        "share of misses", "what changes is the share of runs that miss it", _fading, 5.0, scales=False, slow_runs=True
    ),
    Law("three sizes", "exactly one, two or four minutes", _three, 1.5, slow_runs=True),
    Law("taking turns", "short and long runs in turn", _turns, 1.3, independent=False, slow_runs=True, flow=True),
    Law("every third", "three sizes in turn", _thirds, 1.3, independent=False, slow_runs=True),
    Law(
        "kinds that stay",
        "two kinds; the next run is mostly of the same",
        _staying,
        1.5,
        independent=False,
        slow_runs=True,
    ),
)
