"""How well a mean is known from values that depend on each other, as runs of one day do.

Fourteen batches of values in a row, a day each in a window of two weeks, vary as their size says while values are
independent, and more where those of one batch have something in common (batch means; Law, Kelton, "Simulation Modeling and
Analysis"). What comes back each week is in both halves, and is no such variation: where the halves differ less than the
batches do, that counts. What comes back each day is in all batches, which then vary less.
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


def dependence(series: Sequence[float] | Floats) -> float:
    """How many times as wide the interval of the mean of this ``series`` (in order of time) must be as that of independent
    values; 1 unless batches vary clearly more than theirs, or less, and where there are fewer than two values for each."""
    n = len(series)
    if n < 2 * _BATCHES:
        return 1.0
    values = np.asarray(series, dtype=np.float64)
    starts, sizes = _batches(n)
    middle = float(np.add.reduce(values)) / n
    apart = values - middle
    means = np.add.reduceat(apart, starts) / sizes
    independent = float(apart @ apart) / (n - 1) / n
    around = float(means @ means) / (_BATCHES - 1) / _BATCHES
    weeks = means[: _BATCHES // 2] - means[_BATCHES // 2 :]
    between = float(weeks @ weeks) / _BATCHES / _BATCHES
    if not independent > 0.0:
        return 1.0
    least, most = min(around, between) / independent, max(around, between) / independent
    if least > _MIN_TIMES:
        return math.sqrt(least)
    return math.sqrt(max(_MIN_SHARE, most)) if most < _MAX_SHARE else 1.0


@lru_cache(maxsize=16)
def _batches(n: int) -> tuple[Indices, Floats]:
    """Where each batch of ``n`` values begins, and their sizes; shape (batches,)."""
    bounds = np.arange(_BATCHES + 1) * n // _BATCHES
    return bounds[:-1], np.diff(bounds).astype(np.float64)
