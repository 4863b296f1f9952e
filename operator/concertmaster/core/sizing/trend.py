"""Do peaks grow from run to run, and where will they be if that goes on?

A size that rests on the largest peak so far is right only while runs could have come in any order. When inputs grow, every
peer that takes a maximum or a percentile plus a fixed margin falls behind.
"""

from __future__ import annotations

import math

import numpy as np

from concertmaster.core.sizing.tail import Floats

# Slopes are taken over pairs of runs; beyond this many recent runs the pairs only cost time.
MOST_RUNS = 200


def order_z(values: Floats) -> float:
    """How clearly the values rise with their order, by Daniels' test: Spearman's rank correlation with the order, as a
    one-sided normal quantile. Ties share their mean rank; 0 for fewer than three. Fewer than about seven runs cannot reach
    1%."""
    recent = values[-MOST_RUNS:]
    n = int(recent.size)
    if n < 3:
        return 0.0
    ordered = np.sort(recent)
    rank = np.searchsorted(ordered, recent, side="left") + np.searchsorted(ordered, recent, side="right")
    rank = rank - rank.mean()
    place = np.arange(n) - (n - 1) / 2.0
    norm = math.sqrt(float(rank @ rank) * float(place @ place))
    return float(rank @ place) / norm * math.sqrt(n - 1.0) if norm > 0.0 else 0.0


def rising(values: Floats, z: float) -> bool:
    """True when the values rise with their order beyond ``z``, the normal quantile of the significance."""
    return order_z(values) > z


def growth_per_run(values: Floats) -> float:
    """Growth per run, never negative: median of all pairwise slopes (Theil 1950, Sen 1968) over the recent half.

    Only the recent half counts, because memory often saturates: early growth that has come to rest must not be carried on.
    """
    recent = values[-MOST_RUNS:]
    recent = recent[recent.size // 2 :]
    if recent.size < 2:
        return 0.0
    first, second = np.triu_indices(recent.size, 1)
    return max(0.0, float(np.median((recent[second] - recent[first]) / (second - first))))


def carried_forward(values: Floats, growth: float, horizon: float) -> Floats:
    """Each value as it would be ``horizon`` history lengths after the last run, if ``growth`` per run went on."""
    n = values.size
    return np.asarray(values + growth * (n - 1.0 + horizon * n - np.arange(n)), dtype=np.float64)
