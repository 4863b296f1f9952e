"""Memory: peaks in steps, heaps that double, caches that fill up and are dropped."""

from __future__ import annotations

import numpy as np

from benchmarks.series.law import Course, Law, Rng, Rows, log_normal

_MI = 1024.0**2


def _slabs(rng: Rng, runs: Course) -> Rows:
    return np.asarray(64.0 * _MI * np.ceil(runs.level * 540.0 * log_normal(rng, runs.size, 0.1) / 64.0))


def _heaps(rng: Rng, runs: Course) -> Rows:
    """A power of two that holds what is needed."""
    needed = runs.level * 600.0 * log_normal(rng, runs.size, 0.5)
    return np.asarray(_MI * 2.0 ** np.ceil(np.log2(needed)))


def _sawtooth(rng: Rng, runs: Course) -> Rows:
    """A cache on the node grows by 5% a run, and is dropped after ten runs or so."""
    age, ages = 0, np.zeros(runs.size)
    for i in range(runs.size):
        ages[i] = age
        age = 0 if rng.random() < 0.1 else age + 1
    return np.asarray(_MI * runs.level * 500.0 * 1.05 ** np.minimum(ages, 20.0) * log_normal(rng, runs.size, 0.03))


LAWS = (
    Law("memory in slabs", "peaks in steps of 64 MiB", _slabs, 1.4),
    Law("heaps that double", "peaks are powers of two", _heaps, 4.0),
    Law("sawtooth", "a cache grows, and is dropped now and then", _sawtooth, 2.0, independent=False),
)
