"""Run times that depend on those before."""

from __future__ import annotations

import numpy as np

from benchmarks.series.law import Course, Law, Rng, Rows

_BEFORE = 60  # values, so that a series does not begin at its mean


def carried(rng: Rng, n: int, share: float) -> Rows:
    """Deviations of variance 1 of which this share carries over to the next."""
    noise = rng.standard_normal(n + _BEFORE)
    values = np.zeros(n + _BEFORE)
    for i in range(1, n + _BEFORE):
        values[i] = share * values[i - 1] + noise[i]
    return np.asarray(values[_BEFORE:] * np.sqrt(1.0 - share**2))


def _half(rng: Rng, runs: Course) -> Rows:
    return np.asarray(300.0 * runs.level * np.exp(0.1 * carried(rng, runs.size, 0.5)))


def _most(rng: Rng, runs: Course) -> Rows:
    return np.asarray(300.0 * runs.level * np.exp(0.1 * carried(rng, runs.size, 0.8)))


def _nearly_all(rng: Rng, runs: Course) -> Rows:
    return np.asarray(300.0 * runs.level * np.exp(0.1 * carried(rng, runs.size, 0.95)))


def _with_noise(rng: Rng, runs: Course) -> Rows:
    noise = rng.standard_normal(runs.size)
    return np.asarray(300.0 * runs.level * np.exp(0.1 * (carried(rng, runs.size, 0.8) + noise)))


def _some_with_noise(rng: Rng, runs: Course) -> Rows:
    noise = rng.standard_normal(runs.size)
    return np.asarray(300.0 * runs.level * np.exp(0.1 * (0.5 * carried(rng, runs.size, 0.8) + noise)))


def _averages(rng: Rng, runs: Course) -> Rows:
    noise = np.convolve(rng.standard_normal(runs.size + 3), np.ones(4) / 2.0, "valid")
    return np.asarray(300.0 * runs.level * np.exp(0.1 * noise))


def _opposite(rng: Rng, runs: Course) -> Rows:
    return np.asarray(300.0 * runs.level * np.exp(0.1 * carried(rng, runs.size, -0.5)))


def _calm_and_not(rng: Rng, runs: Course) -> Rows:
    """Conditional variance of 0.1 + 0.3 times the last squared deviation + 0.6 of the last variance."""
    values, variance = np.zeros(runs.size + _BEFORE), 1.0
    for i in range(values.size):
        values[i] = rng.standard_normal() * np.sqrt(variance)
        variance = 0.1 + 0.3 * values[i] ** 2 + 0.6 * variance
    return np.asarray(300.0 * runs.level * np.exp(0.1 * values[_BEFORE:]))


LAWS = (
    Law("AR 0.5", "half of a deviation carries over", _half, 1.4, independent=False, flow=True),
    Law("AR 0.8", "most of it does", _most, 1.5, independent=False, flow=True),
    Law("AR 0.95", "nearly all of it does", _nearly_all, 1.6, independent=False),
    Law(
        "AR 0.8 and noise",
        "most carries over, and noise as large on top",
        _with_noise,
        1.5,
        independent=False,
        flow=True,
    ),
    Law(
        "weak AR and noise",
        "the same, twice the noise",
        _some_with_noise,
        1.4,
        independent=False,
        flow=True,
    ),
    Law("moving average", "of the noise of four runs", _averages, 1.4, independent=False),
    Law("AR -0.5", "a long run is followed by a short one", _opposite, 1.3, independent=False),
    Law("calm and not", "spread that carries over (GARCH)", _calm_and_not, 1.4, independent=False),
)
