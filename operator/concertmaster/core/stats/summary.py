"""Summary statistics of a sample, None where there is no data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.fast_init import fast_init

# Up to this length plain Python is faster than NumPy, by a factor of ten at 30 values.
MAX_PLAIN_PYTHON = 256
PERCENTILES = (0.5, 0.95, 0.99)


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


def finite(values: Iterable[float | None] | Floats) -> Floats:
    """The finite values as a one-dimensional float array; None, NaN and infinities are missing data and dropped."""
    array = as_floats(values)
    return array[np.isfinite(array)]


def as_floats(values: Iterable[float | None] | Floats) -> Floats:
    """Values as a one-dimensional float array; None and non-numbers become NaN."""
    if isinstance(values, np.ndarray):
        try:
            return np.asarray(values, dtype=np.float64).ravel()
        except (TypeError, ValueError):
            values = values.ravel().tolist()
    items = list(values)
    try:
        return np.asarray(items, dtype=np.float64).ravel()
    except (TypeError, ValueError, OverflowError):
        return np.array([_number(item) for item in items], dtype=np.float64)


def _number(item: object) -> float:
    try:
        return float(item)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def summarize(values: Iterable[float | None] | Floats) -> Summary:
    """Count, mean, extremes, sample variance (n - 1), percentiles and coefficient of variation of the finite values."""
    if isinstance(values, (list, tuple)) and len(values) <= MAX_PLAIN_PYTHON:
        few = _summarize_few(values)
        if few is not None:
            return few
    data = finite(values)
    n = int(data.size)
    if n == 0:
        return Summary(count=0)
    # Values near the largest float would overflow when summed or squared; scaling by a power of two is exact.
    scale = float(np.max(np.abs(data)))
    extreme = scale > 1e150 or 0 < scale < 1e-150
    unit = math.ldexp(1.0, math.frexp(scale)[1] - 1) if extreme else 1.0
    scaled = data / unit
    # Rounding may move the mean of equal values beyond them, and scaling may flush very small ones to zero; keep means and
    # percentiles within the sample.
    low, high = float(data.min()), float(data.max())
    mean = min(max(float(scaled.mean()) * unit, low), high)
    variance = cv = None
    if n > 1:
        spread = 0.0 if low == high else float(scaled.std(ddof=1))
        with np.errstate(over="ignore"):
            variance = float(np.float64(spread * unit) ** 2)
        cv = spread * unit / mean if mean > 0 else None
    p50, p95, p99 = (min(max(float(q) * unit, low), high) for q in np.quantile(scaled, PERCENTILES))
    return Summary(n, mean, low, high, variance, p50, p95, p99, cv)


def _summarize_few(values: Sequence[float | None]) -> Summary | None:
    """``summarize`` of a short list; None for values that need NumPy (no numbers, extremely large or small ones)."""
    try:
        data = _ordered(values)
    except (TypeError, ValueError, OverflowError):
        return None
    n = len(data)
    if n == 0:
        return Summary(count=0)
    low, high = data[0], data[-1]
    scale = max(-low, high)
    if scale > 1e150 or 0.0 < scale < 1e-150:
        return None
    if low == high:  # as waits in whole seconds often are
        level, spread = low + 0.0, 0.0 if n > 1 else None  # no negative zero
        return Summary(n, level, low, high, spread, level, level, level, spread if level > 0.0 else None)
    mean = min(max(math.fsum(data) / n, low), high)
    variance = math.fsum([(d := v - mean) * d for v in data]) / (n - 1)
    cv = math.sqrt(variance) / mean if mean > 0.0 else None
    p50, p95, p99 = (_percentile(data, share) for share in PERCENTILES)
    return Summary(n, mean, low, high, variance, p50, p95, p99, cv)


def _ordered(values: Sequence[float | None]) -> list[float]:
    """The finite values in ascending order. If the sum is finite, so are all values: one pass of fsum is faster than a look
    at each."""
    try:
        data = list(map(float, values))  # type: ignore[arg-type]
        if math.isfinite(math.fsum(data)):
            return sorted(data)
    except (TypeError, ValueError, OverflowError):  # None and what is no number; both infinities; too large a sum
        pass
    return sorted([float(v) for v in values if v is not None and -math.inf < v < math.inf])


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Interpolated between the two neighbouring order statistics, as in NumPy."""
    place = share * (len(ordered) - 1)
    below = int(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return min(low + (high - low) * (place - below), high)
