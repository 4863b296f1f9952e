"""Quantiles of the distributions used for intervals, without scipy."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()
Z90 = 1.645
"""Standard errors from the middle of a 90% interval to each of its ends: what one tail exceeds by chance in a twentieth."""


def normal_quantile(p: float) -> float:
    """The p-quantile (0 < p < 1) of the standard normal distribution."""
    return _NORMAL.inv_cdf(p)


def normal_cdf(z: float) -> float:
    """P(Z <= z) of the standard normal distribution."""
    return _NORMAL.cdf(z)


def normal_density(z: float) -> float:
    """Density of the standard normal distribution at ``z``."""
    return _NORMAL.pdf(z)


def student_tail(t: float, df: float) -> float:
    """P(T > t) of Student's t with ``df`` degrees of freedom (df > 0, not necessarily whole)."""
    if math.isnan(t) or not df > 0:
        return math.nan
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    half = 0.5 * beta_cdf(df / (df + t * t), df / 2, 0.5)
    return half if t >= 0 else 1.0 - half


@lru_cache(maxsize=1024)  # each costs a hundred evaluations of the tail, and few different ones occur
def student_quantile(p: float, df: float) -> float:
    """The p-quantile (0.5 <= p < 1) of Student's t with ``df`` degrees of freedom, to about 1e-10; NaN without any."""
    if not df > 0:
        return math.nan
    low, high = 0.0, 2.0
    while student_tail(high, df) > 1.0 - p:
        low, high = high, high * 2.0
        if math.isinf(high):
            return high
    for _ in range(200):
        middle = (low + high) / 2
        if student_tail(middle, df) > 1.0 - p:
            low = middle
        else:
            high = middle
        if high - low <= 1e-11 * high:
            break
    return (low + high) / 2


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b): the distribution function of Beta(a, b) at x.

    Continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), evaluated by Lentz's method.
    """
    if math.isnan(x) or not (a > 0 and b > 0):
        return math.nan
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(x, a, b) / a
    return 1.0 - front * _beta_fraction(1.0 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c = 1.0
    d = 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    h = d
    for m in range(1, 500):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + numerator * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + numerator / c
            c = c if abs(c) > tiny else tiny
            h *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return h
