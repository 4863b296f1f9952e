"""Ranks with ties averaged: the base of tests that hold for any noise, however skewed."""

from __future__ import annotations

import numpy as np

from concertmaster.core.stats.summary import Floats


def midranks(values: Floats) -> Floats:
    """Ranks 1..n of ``values`` (shape (n,), finite); equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse.ravel()], dtype=np.float64)
