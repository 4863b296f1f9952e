"""Run times in whole seconds or minutes, of polls, and values most of which are equal."""

from __future__ import annotations

import numpy as np

from benchmarks.series.law import Course, Law, Rng, Rows, log_normal


def _seconds(seconds: Rows) -> Rows:
    return np.asarray(np.maximum(1.0, np.round(seconds)))


def _five(rng: Rng, runs: Course) -> Rows:
    return _seconds(5.0 * runs.level * log_normal(rng, runs.size, 0.14))


def _two_or_three(rng: Rng, runs: Course) -> Rows:
    return _seconds(runs.level * rng.uniform(1.9, 2.7, runs.size))


def _twenty(rng: Rng, runs: Course) -> Rows:
    return _seconds(20.0 * runs.level * log_normal(rng, runs.size, 0.03))


def _hundred(rng: Rng, runs: Course) -> Rows:
    return _seconds(100.0 * runs.level * log_normal(rng, runs.size, 0.003))


def _minutes(rng: Rng, runs: Course) -> Rows:
    return np.asarray(60.0 * np.maximum(1.0, np.round(3.0 * runs.level * log_normal(rng, runs.size, 0.2))))


def _polled(rng: Rng, runs: Course) -> Rows:
    return np.asarray(5.0 * np.ceil(runs.level * (12.0 + rng.exponential(3.0, runs.size)) / 5.0))


def _mostly_equal(rng: Rng, runs: Course) -> Rows:
    return np.asarray(runs.level * np.where(rng.random(runs.size) < 0.25, rng.uniform(10.0, 12.0, runs.size), 10.0))


def _equal_but_some(rng: Rng, runs: Course) -> Rows:
    return np.asarray(runs.level * np.where(rng.random(runs.size) < 0.1, 60.0, 10.0))


LAWS = (
    Law("whole seconds, 5", "whole seconds about 5", _five, 1.6, flow=True),
    Law("whole seconds, 2 or 3", "2 or 3 s", _two_or_three, 1.6),
    Law("whole seconds, 20", "whole seconds about 20, within one", _twenty, 1.2, flow=True),
    Law("whole seconds, 100", "100 s, now and then one more or less", _hundred, 1.1),
    Law("whole minutes", "whole minutes about 3", _minutes, 1.8),
    Law("polled", "ends are read every 5 s", _polled, 1.6),
    Law("mostly equal", "10 s, one run in four up to 12 s", _mostly_equal, 1.2),
    Law("two values", "10 s exactly, one run in ten 60 s", _equal_but_some, 1.3, slow_runs=True),
)
