"""The interval of a mean of few, skewed values: what a saving promises."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from concertmaster.core.model import Interval
from concertmaster.core.stats.quantiles import student_quantile

# Of logarithms: an error beyond it says nothing but that nothing is known.
_WIDEST = 20.0


def mean_with_interval(values: Sequence[float], level: float = 0.90) -> Interval | None:
    """Arithmetic mean of finite ``values`` with its interval at ``level`` (0 to 1); None without any.

    Times and bytes are skewed, and a mean plus or minus its standard error then misses the true mean too often (three
    quarters instead of nine tenths for five values). Where all values are positive, the interval is a factor: Student's t
    times the standard error of a mean on logarithms (Cox, in Land 1972), which also holds for wide noise; upwards it starts
    at the mean that logarithms lead to where that is larger, as few values mostly lack the largest ones. Else it is
    Student's.
    """
    rows = np.asarray(values, dtype=np.float64)
    n = rows.size
    if not n:
        return None
    mean = math.fsum(values) / n
    if n == 1 or rows.min() == rows.max():
        return Interval(mean, mean, mean)
    quantile = student_quantile(0.5 + level / 2.0, n - 1.0)
    if rows.min() > 0.0:
        logs = np.log(rows)
        variance = float(np.var(logs, ddof=1))
        off = min(_WIDEST, quantile * math.sqrt(variance / n + variance**2 / (2.0 * (n - 1))))
        lacking = min(_WIDEST, max(0.0, float(logs.mean()) + variance / 2.0 - math.log(mean)))
        return Interval(mean * math.exp(-off), mean, mean * math.exp(off + lacking))
    half = quantile * float(np.std(rows, ddof=1)) / math.sqrt(n)
    return Interval(mean - half, mean, mean + half)
