"""How well a mean is known from values that depend on each other, as runs of one day do.

Fourteen batches of values in a row, a day each in a window of two weeks, vary as their size says while values are
independent, and more where those of one batch have something in common (batch means; Law, Kelton, "Simulation Modeling and
Analysis"). What comes back each week is in both halves, and is no such variation: where the halves differ less than the
batches do, that counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices

_BATCHES = 14
_MIN_TIMES = 1.5  # the variance of independent batches: exceeded by chance in a twentieth of the cases


def dependence(series: Sequence[float] | Floats) -> float:
    """How many times as wide the interval of the mean of this ``series`` (in order of time) must be as that of independent
    values; 1 unless batches vary clearly more than theirs, and where there are fewer than two values for each."""
    n = len(series)
    if n < 2 * _BATCHES:
        return 1.0
    values = np.asarray(series, dtype=np.float64)
    starts, sizes = _batches(n)
    means = np.add.reduceat(values, starts) / sizes
    middle = float(np.add.reduce(values)) / n
    independent = float(np.add.reduce((values - middle) ** 2)) / (n - 1) / n
    around = float(np.add.reduce((means - middle) ** 2)) / (_BATCHES - 1) / _BATCHES
    weeks = means[: _BATCHES // 2] - means[_BATCHES // 2 :]
    between = float(np.add.reduce(weeks**2)) / _BATCHES / _BATCHES
    more = min(around, between)
    return math.sqrt(more / independent) if more > _MIN_TIMES * independent > 0.0 else 1.0


@lru_cache(maxsize=16)
def _batches(n: int) -> tuple[Indices, Floats]:
    """Where each batch of ``n`` values begins, and their sizes; shape (batches,)."""
    bounds = np.arange(_BATCHES + 1) * n // _BATCHES
    return bounds[:-1], np.diff(bounds).astype(np.float64)
