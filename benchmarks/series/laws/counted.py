"""Figures that may be zero: waits, counts, shares of items that failed."""

from __future__ import annotations

import numpy as np

from benchmarks.series.law import Course, Law, Rng, Rows

_ITEMS = 20


def _waits(rng: Rng, runs: Course) -> Rows:
    return np.asarray(runs.level * np.where(rng.random(runs.size) < 0.3, 0.0, rng.exponential(20.0, runs.size)))


def _retries(rng: Rng, runs: Course) -> Rows:
    return np.asarray(rng.poisson(2.0 * runs.level), dtype=np.float64)


def _rare(rng: Rng, runs: Course) -> Rows:
    return np.asarray(rng.poisson(0.3 * runs.level), dtype=np.float64)


def _failed(rng: Rng, runs: Course) -> Rows:
    return np.asarray(rng.binomial(_ITEMS, np.minimum(0.95, 0.08 * runs.level)) / _ITEMS)


def _succeeded(rng: Rng, runs: Course) -> Rows:
    """The level is that of the share that fails."""
    return np.asarray(1.0 - rng.binomial(_ITEMS, np.minimum(0.95, 0.08 * runs.level)) / _ITEMS)


LAWS = (
    Law("waits with zeros", "three runs in ten do not wait", _waits, 4.0, scales=False),
    Law("counts about 2", "Poisson counts", _retries, 3.0, scales=False),
    Law("rare counts", "Poisson counts of 0.3", _rare, 6.0, scales=False),
    Law("share that failed", "of 20 items, 8% on average", _failed, 4.0, scales=False),
    Law("success rate", "the rest of these", _succeeded, 4.0, scales=False, falls=True),
)
