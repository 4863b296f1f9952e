"""Summary statistics of a sample, None where there is no data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.fast_init import fast_init

PERCENTILES = (0.5, 0.95, 0.99)
_LARGE, _UNIT = (
    2.0**500,
    2.0**600,
)  # users' metrics may have any value, and sums of squares end at 2 to the power of 1024


@fast_init
@dataclass(frozen=True, slots=True)
class Summary:
    """Location and spread of a sample, in the unit of the values (``variance`` squared, ``cv`` without unit).

    Every field but ``count`` is None without finite values; ``variance`` and ``cv`` also with a single value, which has no
    spread. ``cv`` is None when the mean is not positive. Percentiles interpolate between neighbouring order statistics, so
    with few values ``p95`` and ``p99`` are close to the maximum: ``count`` shows how far to trust them.
    """

    count: int
    mean: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    variance: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    cv: float | None = None


def as_floats(values: Iterable[float | None] | Floats) -> Floats:
    """Values as a one-dimensional float array; None becomes NaN."""
    return np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=np.float64).ravel()


def summarize(values: Iterable[float | None] | Floats) -> Summary:
    """Count, mean, extremes, sample variance (n - 1), percentiles and coefficient of variation of the finite values.

    In plain Python, which takes a tenth of the time of NumPy at 30 values."""
    given = values.tolist() if isinstance(values, np.ndarray) else values
    data = sorted([float(v) for v in given if v is not None and math.isfinite(v)])
    n = len(data)
    if n == 0:
        return Summary(count=0)
    low, high = data[0], data[-1]
    if low == high:  # as waits in whole seconds often are
        level, spread = low + 0.0, 0.0 if n > 1 else None  # no negative zero
        return Summary(n, level, low, high, spread, level, level, level, spread if level > 0.0 else None)
    unit = _UNIT if max(-low, high) > _LARGE else 1.0  # a power of two, so that scaling is exact
    if unit != 1.0:
        data = [v / unit for v in data]
    mean = min(max(math.fsum(data) / n, data[0]), data[-1])
    variance = math.fsum([(d := v - mean) * d for v in data]) / (n - 1)
    cv = math.sqrt(variance) / mean if mean > 0.0 else None
    p50, p95, p99 = (unit * _percentile(data, share) for share in PERCENTILES)
    return Summary(n, unit * mean, low, high, unit * unit * variance, p50, p95, p99, cv)


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Interpolated between the two neighbouring order statistics, as in NumPy."""
    place = share * (len(ordered) - 1)
    below = int(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return min(low + (high - low) * (place - below), high)
