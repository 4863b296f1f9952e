"""How well a mean is known from values that depend on each other, as runs of one day do.

Fourteen batches of values in a row, a day each in a window of two weeks, vary as their size says while values are
independent, and more where those of one batch have something in common (batch means; Law, Kelton, "Simulation Modeling and
Analysis"). What comes back each week is in both halves, and is no error of a mean over two weeks: where the halves differ
less than the batches do, that counts. What comes back each day is in all batches, which then vary less. Batches of few
values show too little of what carries over from one value to the next; the differences between the halves show it, without
days and weeks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices

_BATCHES = 14
_MIN_TIMES = 1.5  # the variance of independent batches: exceeded by chance in a twentieth of the cases
_MAX_SHARE = 0.5  # of that variance, below which batches vary less: as rare by chance
_MIN_SHARE = 0.1  # of it, at least: two weeks show no more
_FEW_DAYS = 1.3  # square of Student's quantile of the seven differences between weeks, over that of many values
_CARRIES = 1.645  # standard errors of an autocorrelation above which values carry over: as rare by chance
_MAX_CARRIED = 0.9  # autocorrelation, at most: two weeks show no more


def dependence(series: Sequence[float] | Floats) -> float:
    """How many times as wide the interval of the mean of this ``series`` (in order of time) must be as that of independent
    values; 1 unless batches vary clearly more than theirs, or less, or values clearly carry over. Fewer than two values for
    each batch show only the latter, and fewer than one nothing."""
    n = len(series)
    if n < _BATCHES:
        return 1.0
    values = np.asarray(series, dtype=np.float64)
    if n < 2 * _BATCHES:
        return math.sqrt(_carried_over(values))
    starts, sizes = _batches(n)
    middle = float(np.add.reduce(values)) / n
    apart = values - middle
    independent = float(apart @ apart) / (n - 1) / n
    if not independent > 0.0:
        return 1.0
    means = np.add.reduceat(apart, starts) / sizes
    around = float(means @ means) / (_BATCHES - 1) / _BATCHES / independent
    if _MAX_SHARE <= around <= 1.0:
        return 1.0  # whatever the halves show
    weeks = means[: _BATCHES // 2] - means[_BATCHES // 2 :]
    between = float(weeks @ weeks) / _BATCHES / _BATCHES / independent
    least, most = min(around, between), max(around, between)
    carried = _carried_over(values) if least > 1.0 else 1.0
    if carried > 1.0 or least > _MIN_TIMES:
        return math.sqrt(max(least, carried))
    if around > _MIN_TIMES and between < _MAX_SHARE:  # weekdays differ, and weeks do not
        return math.sqrt(max(_MIN_SHARE, _FEW_DAYS * between))
    return math.sqrt(max(_MIN_SHARE, most)) if most < _MAX_SHARE else 1.0


def _carried_over(values: Floats) -> float:
    """How many times as much the mean of ``values`` varies as that of independent ones, by what each carries over to the
    next; 1 unless clearly. The autocorrelation of few values is too low (Marriott, Pope 1954)."""
    half = values.size // 2
    apart = values[-half:] - values[:half]
    apart -= float(np.add.reduce(apart)) / half
    whole = float(apart @ apart)
    carried = float(apart[1:] @ apart[:-1]) / whole if whole > 0.0 else 0.0
    if carried <= _CARRIES / math.sqrt(half):
        return 1.0
    carried = min(_MAX_CARRIED, carried + (1.0 + 3.0 * carried) / half)
    return (1.0 + carried) / (1.0 - carried)


@lru_cache(maxsize=16)
def _batches(n: int) -> tuple[Indices, Floats]:
    """Where each batch of ``n`` values begins, and their sizes; shape (batches,)."""
    bounds = np.arange(_BATCHES + 1) * n // _BATCHES
    return bounds[:-1], np.diff(bounds).astype(np.float64)
