"""Growth of peaks from run to run, and its extrapolation.

A size based on the largest peak so far is valid only while runs are exchangeable. When inputs grow, any method that takes a
maximum or a percentile plus a fixed margin falls behind.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.stats.least_squares import ROUNDING, beside_parabola, slope
from concertmaster.core.stats.ranks import midranks
from concertmaster.core.units import DAY, HOUR, WEEK

# One-sided significance (1%) at which growth of peaks or inputs is reported and gets room.
GROWTH_Z = 2.326
# Slopes are taken over pairs of runs; pairs beyond this many recent runs only cost time.
MAX_RUNS = 200
# Half of fewer drivers leaves no residuals to estimate noise from.
MIN_RUNS = 6
# Autocorrelation above which a trend and a random walk cannot be distinguished.
MAX_CARRIED = 0.95
# Span of the runs from which each day of a week is known twice, some hours less than of 14 daily runs; hours by which the
# run a week before may be off; and fewest such pairs, of which fewer cannot show growth at 1%.
TWO_WEEKS, ALIKE, MIN_PAIRS = 2.0 * WEEK - 1.25 * DAY, 6.0 * HOUR, 7


def order_z(values: Floats) -> float:
    """One-sided normal quantile of Daniels' trend test (Spearman's rank correlation of the values with their order). Ties
    share their mean rank; 0 for fewer than three values. With fewer than about seven values it cannot reach 1%."""
    return float(orders_z(values[None, :])[0])


def orders_z(values: Floats) -> Floats:
    """``order_z`` of each row."""
    recent = values[:, -MAX_RUNS:]
    n = recent.shape[-1]
    if n < 3:
        return np.zeros(len(recent))
    # Ranks and places, less their means, are whole or half numbers, so that sums are exact in any order. Those of the places
    # in the order of the values are the sums over ranks and places, as long as no values are equal.
    place, whole = _places(n), n * (n * n - 1) / 12.0
    order, ordered = recent.argsort(axis=-1, kind="stable"), np.sort(recent)
    correlation: Floats = order @ place / whole
    equal = ordered[:, 1:] == ordered[:, :-1]
    for row in equal.any(axis=-1).nonzero()[0].tolist() if np.count_nonzero(equal) else ():
        left, right = (ordered[row].searchsorted(recent[row], side) for side in ("left", "right"))
        rank = (left + right - n) / 2.0
        norm = math.sqrt(float(rank @ rank) * whole)
        correlation[row] = float(rank @ place) / norm if norm > 0.0 else 0.0
    correlation *= math.sqrt(n - 1.0)
    return correlation


@lru_cache(MAX_RUNS)
def _places(n: int) -> Floats:
    """Places of ``n`` runs in their order, less their mean."""
    return np.asarray(np.arange(n) - (n - 1) / 2.0, dtype=np.float64)


class Growth(NamedTuple):
    """``per_run``: growth from run to run, never negative. ``significant``: whether values grow at all. ``by_week``: whether
    each run was compared with that a week before."""

    per_run: float
    significant: bool
    by_week: bool


def growth(values: Floats, times: Floats | None, order: float) -> Growth:
    """Growth of ``values``, oldest first, beyond GROWTH_Z: from week to week where they repeat, else by their order, of
    which ``order`` is the ``order_z``. ``times``: unix seconds."""
    weekly = None if times is None else weekly_growth(values, times)
    if weekly is not None:
        return Growth(weekly, weekly > 0.0, True)
    return Growth(growth_per_run(values) if order > GROWTH_Z else 0.0, order > GROWTH_Z, False)


def growth_per_run(values: Floats) -> float:
    """Growth per run, never negative: median of all pairwise slopes (Theil 1950, Sen 1968) over the recent half.

    Only the recent half counts, because memory often saturates: early growth that has stopped must not be extrapolated.
    """
    recent = values[-MAX_RUNS:]
    recent = recent[recent.size // 2 :]
    if recent.size < 2:
        return 0.0
    first, second = np.triu_indices(recent.size, 1)
    return max(0.0, float(np.median((recent[second] - recent[first]) / (second - first))))


def weekly_growth(values: Floats, times: Floats) -> float | None:
    """Growth per run, never negative, of ``values`` that repeat from week to week: the median difference to the run a week
    before, 0 unless these differences are positive beyond GROWTH_Z (Wilcoxon's signed rank; the comparison within seasons is
    that of Hirsch, Slack and Smith 1982). None where values do not repeat, or less than two weeks are known.
    ``times``: unix seconds, ascending.

    Heavy weekdays and light weekends hide growth from a test by order, and where a window begins on a weekend, look like it.
    They repeat where the differences vary less than the values around a line.
    """
    if times.size <= MIN_PAIRS or not times[-1] - times[0] >= TWO_WEEKS:  # also without a time
        return None
    first, last = times.searchsorted([times[-1] - 2.0 * WEEK - ALIKE, times[-1] - WEEK], side="right").tolist()
    y, when, week_before = values[first:], times[first:], times[last:] - WEEK
    after = when.searchsorted(week_before)
    before = np.maximum(after - 1, 0)
    nearest = np.where(week_before - when[before] < when[after] - week_before, before, after)
    near = np.abs(when[nearest] - week_before) <= ALIKE
    differences = values[last:][near] - y[nearest[near]]
    if differences.size < MIN_PAIRS:
        return None
    off = off_line(y)
    if float(np.var(differences)) >= float(off @ off) / (y.size - 2.0):
        return None
    if not _signed_rank_z(differences) > GROWTH_Z:
        return 0.0
    weeks = float(when[-1] - when[0]) / WEEK  # not by pairs a week, of which there are fewer beside days without runs
    return max(0.0, float(np.median(differences))) * weeks / (when.size - 1.0)


def _signed_rank_z(differences: Floats) -> float:
    """Normal quantile of Wilcoxon's signed-rank sum; zeros count half."""
    n = differences.size
    signs = (np.sign(differences) + 1.0) / 2.0
    above = float(midranks(np.abs(differences)) @ signs) - n * (n + 1) / 4.0
    return above / math.sqrt(n * (n + 1) * (2 * n + 1) / 24.0)


def driven_growth(values: Floats, drivers: Floats) -> float:
    """Growth per run of ``values`` with growing ``drivers``: the part explained by these, plus growth of the residuals. NaN
    marks an unknown driver.

    Drivers show growth long before it emerges from the noise of the values. 0 unless the drivers rise with their order and
    the values with the drivers, both beyond GROWTH_Z. The relation is a least-squares slope, at most that of the larger half
    of the drivers plus its standard error: memory that has saturated grows no further.
    """
    known = np.isfinite(drivers[-MAX_RUNS:])
    y, x = values[-MAX_RUNS:][known], drivers[-MAX_RUNS:][known]
    if x.size < MIN_RUNS:
        return 0.0
    ordered = order_z(x)
    if ordered * _independent(x) <= GROWTH_Z:
        return 0.0
    over_all = slope(x, y)
    if over_all.correlation * math.sqrt(x.size - 1.0) <= GROWTH_Z:
        return 0.0
    upper = np.argsort(x, kind="stable")[x.size // 2 :]
    above = slope(x[upper], y[upper])
    per_driver = min(over_all.value, above.value + above.error)
    driven = per_driver * growth_per_run(x)
    if driven <= 0.0:
        return 0.0
    rest = y - per_driver * x
    return (driven + (growth_per_run(rest) if order_z(rest) > GROWTH_Z else 0.0)) * float(known.mean())


def unexplained_growth(values: Floats, drivers: Floats) -> float:
    """Growth per run of what the least-squares parabola of ``values`` over ``drivers`` leaves unexplained; 0 unless that
    rises with its order beyond GROWTH_Z. NaN marks an unknown driver.

    A straight line would not do: where the relation bends and larger drivers come later, as with memory that is a constant
    plus a share of the input, its residuals rise with their order although nothing else grows.
    """
    known = np.isfinite(drivers[-MAX_RUNS:])
    y, x = values[-MAX_RUNS:][known], drivers[-MAX_RUNS:][known]
    rest = beside_parabola(x, y) if x.size >= MIN_RUNS else y[:0]
    return growth_per_run(rest) * float(known.mean()) if order_z(rest) > GROWTH_Z else 0.0


def records_z(values: Floats) -> Floats:
    """For each row, how many more of the values than expected exceed all before them, in standard deviations (Renyi 1962).
    The i-th of exchangeable values does so with probability 1 / i. Shows a growing maximum even where most values stay
    small."""
    n = values.shape[-1]
    if n < MIN_RUNS:
        return np.zeros(len(values))
    expected, deviation = _records_by_chance(n)
    records = np.add.reduce(values[:, 1:] > np.maximum.accumulate(values, axis=-1)[:, :-1], axis=-1)
    z: Floats = (records - expected) / deviation
    return z


@lru_cache(1024)
def _records_by_chance(n: int) -> tuple[float, float]:
    """Expected number of records among ``n`` exchangeable values, the first excluded, and its standard deviation."""
    share = 1.0 / np.arange(2.0, n + 1.0)
    return float(share.sum()), math.sqrt(float(share @ (1.0 - share)))


def _independent(values: Floats) -> float:
    """Correction factor for the z of a trend test under autocorrelation (a week, a season): square root of the effective
    share of independent runs, from the first autocorrelation of the residuals around a line."""
    off = off_line(values)
    whole = float(off @ off)
    if not whole:
        return 1.0
    carried = min(MAX_CARRIED, max(0.0, float(off[1:] @ off[:-1]) / whole))
    return math.sqrt((1.0 - carried) / (1.0 + carried))


def off_line(values: Floats) -> Floats:
    """Residuals around the least-squares line over the order of the values; zeros where rounding leaves nothing else."""
    place = _places(values.size)
    centred = values - np.add.reduce(values) / values.size
    off = centred - place * (float(place @ centred) / float(place @ place))
    return np.zeros(off.size) if float(off @ off) <= ROUNDING * float(centred @ centred) else np.asarray(off)


def carried_forward(values: Floats, growth: float, horizon: float) -> Floats:
    """Each value extrapolated ``horizon`` history lengths beyond the last run, with ``growth`` per run."""
    n = values.size
    return np.asarray(values + growth * (n - 1.0 + horizon * n - np.arange(n)), dtype=np.float64)
