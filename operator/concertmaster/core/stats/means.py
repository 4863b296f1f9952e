"""Interval of the mean of few, skewed values, for predicted savings, and of a value with several independent errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.model import Interval
from concertmaster.core.stats.dependence import dependence
from concertmaster.core.stats.quantiles import student_quantile

# Upper bound of the log error: beyond it the value is simply unknown.
_WIDEST = 20.0
_SKEWED = -1.645  # standard errors of a skewness, below which logarithms are skewed to the left: one-sided 5%


def mean_with_interval(values: Sequence[float]) -> Interval | None:
    """Arithmetic mean of finite ``values``, in order of time, with its 90% interval; None without any.

    Times and bytes are skewed, and mean plus or minus standard error then covers the true mean too rarely (three quarters
    instead of nine tenths for five values). If all values are positive, the interval is a factor: Student's t times the
    standard error of a mean on logarithms (Cox, in Land 1972), which also holds for wide noise, or the relative one of the
    values if larger, as logarithms hide what a few large values among many weigh; its upper end starts at the log-normal
    mean if that is larger, since few values mostly lack the largest ones. Where logarithms are clearly skewed to the left,
    as where some values are near zero, they exaggerate the spread, and the values' own error counts alone. If not all
    values are positive, the interval is Student's. Either is wider where values that follow each other are alike, and
    narrower where what they vary by comes back each day (``dependence``).
    """
    n = len(values)
    if not n:
        return None
    mean, least = math.fsum(values) / n, min(values)
    if least == max(values):
        return Interval(mean, mean, mean)
    rows = np.asarray(values, dtype=np.float64)
    quantile = student_quantile(0.95, n - 1.0) * dependence(rows)
    if least > 0.0:
        logs = np.log(rows)
        middle = float(np.add.reduce(logs)) / n
        apart = logs - middle
        squares = apart * apart
        variance = float(np.add.reduce(squares)) / (n - 1)
        squared, lacking = float(np.var(rows / mean, ddof=1)) / n, 0.0
        if float(squares @ apart) > _SKEWED * math.sqrt(6.0 * n) * variance**1.5:
            squared = max(squared, variance / n + variance**2 / (2.0 * (n - 1)))
            lacking = min(_WIDEST, max(0.0, middle + variance / 2.0 - math.log(mean)))
        off = min(_WIDEST, quantile * math.sqrt(squared))
        return Interval(mean * math.exp(-off), mean, mean * math.exp(off + lacking))
    half = quantile * float(np.std(rows, ddof=1)) / math.sqrt(n)
    return Interval(mean - half, mean, mean + half)


def clearly_positive(values: Floats, level: float) -> bool:
    """Whether the mean of ``values`` (shape (n,), in order of time) is above 0 by a one-sided t test at ``level``, which
    counts how alike values are that follow each other (``dependence``). One value shows nothing."""
    n, mean = values.size, float(values.mean()) if values.size else 0.0
    if n < 2 or mean <= 0.0:
        return False
    error = float(np.std(values, ddof=1)) / math.sqrt(n) * dependence(values)
    return mean > student_quantile(1.0 - level, n - 1.0) * error


def widened(interval: Interval, factor: float) -> Interval:
    """``interval`` with its ends so many times as far from its likely value: on logarithms while both have its sign."""
    low, likely, high = interval.low, interval.likely, interval.high
    if likely and low / likely > 0.0 and high / likely > 0.0:
        return Interval(likely * (low / likely) ** factor, likely, likely * (high / likely) ** factor)
    return Interval(likely + factor * (low - likely), likely, likely + factor * (high - likely))


def product(one: Interval, other: Interval) -> Interval:
    """The product of two independent values."""
    return combined(one.likely * other.likely, [one.scaled(other.likely), other.scaled(one.likely)])


def combined(likely: float, errors: Iterable[Interval]) -> Interval:
    """``likely`` with an interval for all of these independent ``errors``, each an interval around it for one of them alone.

    Errors of effects are factors: while all ends have the sign of ``likely``, distances add in quadrature on logarithms, so
    that an effect whose sign is certain to each error keeps it. Otherwise they add in the unit of the value.
    """
    rows, sign = list(errors), math.copysign(1.0, likely)
    if likely and all(sign * e.low > 0.0 and sign * e.high > 0.0 for e in rows):
        down = math.hypot(*[math.log(e.low / likely) for e in rows])
        up = math.hypot(*[math.log(e.high / likely) for e in rows])
        if likely < 0.0:
            return Interval(likely * math.exp(down), likely, likely * math.exp(-up))
        return Interval(likely * math.exp(-down), likely, likely * math.exp(up))
    below, above = math.hypot(*[likely - e.low for e in rows]), math.hypot(*[e.high - likely for e in rows])
    return Interval(likely - below, likely, likely + above)
