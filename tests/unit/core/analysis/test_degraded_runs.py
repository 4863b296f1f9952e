"""Degraded runs and their causes on generated runs with known problems."""

from __future__ import annotations

import math

import numpy as np
import pytest

from concertmaster.core.analysis.degraded_runs import find_degraded

STEPS = ["extract", "transform", "load", "side"]


def healthy(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.array([60.0, 120.0, 30.0, 20.0]) * np.exp(rng.normal(0, 0.06, (n, 4)))


def total(table: np.ndarray) -> np.ndarray:
    return np.asarray(table[:, :3].sum(axis=1))  # the side step runs in the shadow of the others


def test_healthy_runs_have_no_problem() -> None:
    rng = np.random.default_rng(1)
    found = [find_degraded(STEPS, t, total(t)) for t in (healthy(rng, 150) for _ in range(20))]
    assert sum(bool(p) for p in found) <= 1


def test_two_problems_are_distinguished_with_their_steps() -> None:
    rng = np.random.default_rng(2)
    table = healthy(rng, 200)
    table[:20, 0] += 90.0
    table[20:35, 1] += 100.0
    table[20:35, 2] += 60.0
    result = find_degraded(STEPS, table, total(table))
    by_steps = {frozenset(p.steps): set(p.runs) for p in result}
    assert by_steps == {frozenset({"extract"}): set(range(20)), frozenset({"transform", "load"}): set(range(20, 35))}
    worst = result[0]
    assert worst.steps == ("transform", "load")
    assert worst.extra_seconds == pytest.approx(160.0, abs=15)


def test_a_slow_step_off_the_critical_path_is_no_problem() -> None:
    rng = np.random.default_rng(3)
    table = healthy(rng, 200)
    table[::3, 3] *= 4.0
    assert find_degraded(STEPS, table, total(table)) == ()


def test_steps_that_did_not_run_and_runs_without_total() -> None:
    rng = np.random.default_rng(4)
    table = healthy(rng, 120)
    table[:15, 1] *= 2.0
    totals = total(table)
    table[::2, 3] = math.nan
    table[100:, 2] = math.nan
    totals[50] = math.nan
    result = find_degraded(STEPS, table, totals)
    assert [(set(p.runs), p.steps) for p in result] == [(set(range(15)), ("transform",))]


@pytest.mark.parametrize(
    ("durations", "totals"),
    [
        ([], []),
        ([[1.0, 2.0, 3.0, None]], [6.0]),
        ([[1.0] * 4] * 30, [math.nan] * 30),
    ],
)
def test_too_little_data_shows_no_problem(durations: list[list[float | None]], totals: list[float]) -> None:
    assert find_degraded(STEPS, durations, totals) == ()


def test_constants_and_zeros() -> None:
    assert find_degraded(STEPS, np.ones((50, 4)), np.ones(50)) == ()
    assert find_degraded(STEPS, np.zeros((50, 4)), np.zeros(50)) == ()


@pytest.mark.parametrize(("seconds", "spread", "extra"), [(5.0, 0.15, 10.0), (20.0, 0.3, 20.0), (60.0, 2.0, 30.0)])
def test_steps_of_nearly_constant_whole_seconds_have_degraded_runs(seconds: float, spread: float, extra: float) -> None:
    rng = np.random.default_rng(5)
    right, slow, called = 0, 0, 0
    for _ in range(20):
        bad = rng.random(100) < 0.1
        step = np.maximum(1.0, np.round(rng.normal(seconds, spread, 100) + extra * bad))
        other = np.maximum(1.0, np.round(rng.normal(8.0, 0.5, 100)))
        table = np.column_stack([step, other])
        problems = find_degraded(["extract", "load"], table, table.sum(axis=1))
        found = {run for problem in problems for run in problem.runs}
        right, slow, called = right + len(found & set(np.flatnonzero(bad))), slow + int(bad.sum()), called + len(found)
    assert 2 * right / (slow + called) > 0.8
