"""Spread that changes at the place of the change, with the level or without it."""

from __future__ import annotations

import numpy as np

from benchmarks.series.law import Course, Law, Rng, Rows


def _spread(before: float, after: float, tail: float | None = None) -> Law:
    noise = "normal" if tail is None else "heavy-tailed"

    def draw(rng: Rng, runs: Course) -> Rows:
        drawn = rng.standard_normal(runs.size) if tail is None else rng.standard_t(tail, runs.size)
        return np.asarray(300.0 * runs.level * np.exp(np.where(runs.later, after, before) * drawn))

    name = f"spread {100 * before:.0f} to {100 * after:.0f}%" + ("" if tail is None else ", heavy tails")
    factor = 1.6 if max(before, after) > 0.2 else 1.3
    return Law(name, f"{noise} noise whose spread changes there", draw, factor, independent=False)


def _equal_before(rng: Rng, runs: Course) -> Rows:
    return np.asarray(10.0 * runs.level * np.where(runs.later, np.exp(0.2 * rng.standard_normal(runs.size)), 1.0))


LAWS = (
    _spread(0.05, 0.1),
    _spread(0.05, 0.25),
    _spread(0.25, 0.05),
    _spread(0.05, 0.25, 3.0),
    Law("equal, then 20%", "10 s exactly, and from some run on they vary", _equal_before, 2.0, independent=False),
)
