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
# Half of fewer drivers leaves no noise to be estimated.
LEAST_RUNS = 6
# Autocorrelation from which on a trend and a walk look alike.
MOST_CARRIED = 0.95
ROUNDING = 1e-9  # of a variance


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


def driven_growth(values: Floats, drivers: Floats, z: float) -> float:
    """Growth per run of ``values`` whose ``drivers`` grow: what these bring, and growth of the rest. NaN: unknown driver.

    Drivers show growth long before the noise of values does, and without it. 0 unless they rise with their order and the
    values with them, both beyond ``z``. The relation is a least-squares slope, at most that of the larger half of the
    drivers plus its standard error: memory that has saturated grows no further.
    """
    known = np.isfinite(drivers[-MOST_RUNS:])
    y, x = values[-MOST_RUNS:][known], drivers[-MOST_RUNS:][known]
    if x.size < LEAST_RUNS or order_z(x) * _independent(x) <= z:
        return 0.0
    slope, correlation = _slope(x, y)
    if correlation * math.sqrt(x.size - 1.0) <= z:
        return 0.0
    upper = np.argsort(x, kind="stable")[x.size // 2 :]
    above, fit = _slope(x[upper], y[upper])
    error = math.sqrt(max(0.0, 1.0 / fit**2 - 1.0) / (upper.size - 2.0)) * abs(above) if fit else 0.0
    slope = min(slope, above + error)
    driven = slope * growth_per_run(x)
    if driven <= 0.0:
        return 0.0
    rest = y - slope * x
    return (driven + (growth_per_run(rest) if order_z(rest) > z else 0.0)) * float(known.mean())


def _independent(values: Floats) -> float:
    """Factor on a z of their order that leaves what carries over from run to run (a week, a season) no trend: the root of
    how many runs, each worth as much as an independent one, they amount to, by the first autocorrelation around a line."""
    place = np.arange(values.size) - (values.size - 1) / 2.0
    centred = values - values.mean()
    off = centred - place * (float(place @ centred) / float(place @ place))
    whole = float(off @ off)
    if whole <= ROUNDING * float(centred @ centred):
        return 1.0
    carried = min(MOST_CARRIED, max(0.0, float(off[1:] @ off[:-1]) / whole))
    return math.sqrt((1.0 - carried) / (1.0 + carried))


def _slope(x: Floats, y: Floats) -> tuple[float, float]:
    """Least-squares slope of y over x, and their correlation; 0 where either does not vary."""
    dx, dy = x - x.mean(), y - y.mean()
    xx, yy, xy = float(dx @ dx), float(dy @ dy), float(dx @ dy)
    return (xy / xx, xy / math.sqrt(xx * yy)) if xx > 0.0 and yy > 0.0 else (0.0, 0.0)


def carried_forward(values: Floats, growth: float, horizon: float) -> Floats:
    """Each value as it would be ``horizon`` history lengths after the last run, if ``growth`` per run went on."""
    n = values.size
    return np.asarray(values + growth * (n - 1.0 + horizon * n - np.arange(n)), dtype=np.float64)
