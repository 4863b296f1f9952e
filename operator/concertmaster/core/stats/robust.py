"""Location, spread and slope that a few outliers cannot bend."""

from __future__ import annotations

import math

import numpy as np

from concertmaster.core.model import Interval
from concertmaster.core.stats.quantiles import normal_quantile
from concertmaster.core.stats.summary import Floats

MAD_TO_SIGMA = 1.482602218505602  # 1 / the 75 % quantile of the standard normal: MAD of normal noise -> its sigma


def mad_sigma(values: Floats) -> float:
    """Robust standard deviation: scaled median absolute deviation. 0 for no values or more than half of them equal."""
    if values.size == 0:
        return 0.0
    return MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values))))


def median_difference(before: Floats, after: Floats, level: float = 0.95, most: int = 400) -> Interval | None:
    """Hodges-Lehmann shift ``after - before`` with its distribution-free interval, None when a side is empty.

    The median of all pairwise differences; the interval inverts the rank-sum test (Hollander, Wolfe, Chicken 2014,
    section 4.3). Long samples are thinned to ``most`` evenly spaced values, which bounds time and memory; the interval
    is then the wider one of the thinned sample. With very few values the interval is the whole range of differences.
    """
    if before.size == 0 or after.size == 0:
        return None
    a, b = thinned(before, most), thinned(after, most)
    differences = np.sort((b[:, None] - a[None, :]).ravel())
    n, m = a.size, b.size
    half = normal_quantile(0.5 + level / 2) * math.sqrt(n * m * (n + m + 1) / 12.0)
    k = max(0, int(n * m / 2.0 - half))
    return Interval(float(differences[k]), float(np.median(differences)), float(differences[-1 - k]))


def thinned(values: Floats, most: int) -> Floats:
    """At most ``most`` values, evenly spaced over the series, order kept."""
    if values.size <= most:
        return values
    return values[np.linspace(0, values.size - 1, most).round().astype(np.intp)]


def theil_sen(x: Floats, y: Floats, level: float = 0.95, most: int = 400) -> Interval | None:
    """Theil-Sen slope of y over x with Sen's interval (Sen 1968), in units of y per unit of x.

    None with fewer than three distinct x. The interval inverts Kendall's test; beyond ``most`` points the series is
    thinned.
    """
    x, y = thinned(x, most), thinned(y, most)
    i, j = np.triu_indices(x.size, k=1)
    run = x[j] - x[i]
    apart = run != 0
    if np.unique(x).size < 3:
        return None
    slopes = np.sort((y[j] - y[i])[apart] / run[apart])
    n = x.size
    half = normal_quantile(0.5 + level / 2) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18.0)
    low = math.floor((slopes.size - half) / 2)
    high = math.ceil((slopes.size + half) / 2)
    return Interval(float(slopes[max(low, 0)]), float(np.median(slopes)), float(slopes[min(high, slopes.size - 1)]))
