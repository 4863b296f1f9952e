"""Models of run time and memory over input size, vectorised over queries with runs of their own.

Every function takes ``queries`` (shape (m,)), and for each of them the inputs ``x`` (ascending) and values ``y`` of the runs
to use, both of shape (m, n): the same runs each time for a prediction, all but one for cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Flags, Floats

# A line and an estimate of its noise need four points.
MIN_NEIGHBOURS = 4
# Share of all runs used for a local power law and a local median; their weights decrease with distance.
POWER_SPAN = 0.5
MAX_EXPONENT = 1.5
# Prior of the exponent of a step: mean 0.3, standard deviation 0.4; and the least noise of runs.
EXPONENT, EXPONENT_SPREAD, MIN_NOISE = 0.3, 0.4, 0.2
MAD_TO_SIGMA = 1.482602218505602
# The models by index; further lines follow, then the median of neighbours where it is requested.
LINE, NEAR_POWER, POWER, MEDIAN, FURTHER = range(5)
MIN_INPUT = 1e-300


def predictions(
    queries: Floats, x: Floats, y: Floats, spans: Sequence[tuple[float, float]], *, levels: bool = False
) -> Floats:
    """Log predictions of each model (rows) for each query; ``spans``: of each line, for inputs up to the largest and beyond,
    see ``line``; ``levels``: with the median of neighbours as the last model, for values that stay on one level and jump to
    the next. None falls below the least value, or as inputs grow beyond the largest."""
    smallest = _smallest(x)
    size, value = np.log(np.maximum(x, smallest[:, None])), np.log(y)
    asked = np.log(np.maximum(queries, smallest))
    exponent, level = power(size, value)
    least = value.min(axis=1)
    larger = queries > x[:, -1]
    nearest, *further = (np.log(np.maximum(_line(queries, x, y, of_line, larger), MIN_INPUT)) for of_line in spans)
    weights = _nearness(asked, size, POWER_SPAN)
    near = _near_power(asked, size, value, weights)
    # A start-up makes the exponent rise with the input, saturation makes it fall: halfway to the line, if steeper.
    near = np.where(larger, near + np.maximum(nearest - near, 0.0) / 2.0, near)
    return np.array(
        [
            nearest,
            np.maximum(near, least),
            np.maximum(level + exponent * asked, least),
            _median(value),
            *further,
            *([np.log(_weighted_median(y, weights))] if levels else []),
        ]
    )


def line(queries: Floats, x: Floats, y: Floats, span: float) -> Floats:
    """Least-squares line through the nearest ``span`` (a share) of the runs, with weights that decrease with distance, or
    through all with equal weights; where it would fall with x, their median; never below the least y."""
    weights = _nearness(queries, x, span) if span < 1.0 else np.ones_like(x)
    middle, level, slope = _weighted_line(x, y, weights)
    fitted = level + slope * (queries - middle)
    flat = ~(slope > 0.0)
    if flat.any():
        fitted[flat] = _weighted_median(y[flat], weights[flat])
    return np.asarray(np.maximum(fitted, y.min(axis=1)))


def _line(queries: Floats, x: Floats, y: Floats, spans: tuple[float, float], larger: Flags) -> Floats:
    """The line with the first of the ``spans``, and with the second for queries ``larger`` than all inputs."""
    within, beyond = spans
    out = line(queries, x, y, within)
    if beyond != within and larger.any():
        out[larger] = line(queries[larger], x[larger], y[larger], beyond)
    return out


def power(size: Floats, value: Floats) -> tuple[Floats, Floats]:
    """Exponent and level of a power law of the input through all runs, both axes on logarithms.

    The exponent is the precision-weighted mean of the estimate and the prior; noise is estimated from the median deviation,
    so that a few runs of another kind do not inflate it.
    """
    n = size.shape[1]
    centred = size - size.mean(axis=1, keepdims=True)
    deviation = value - value.mean(axis=1, keepdims=True)
    square, product = (centred**2).sum(axis=1), (centred * deviation).sum(axis=1)
    slope = np.clip(np.divide(product, square, out=np.zeros_like(square), where=square > 0.0), 0.0, MAX_EXPONENT)
    off = deviation - slope[:, None] * centred
    off -= _median(off)[:, None]
    noise = np.maximum(MIN_NOISE, MAD_TO_SIGMA * _median(np.abs(off))) * (n / max(1.0, n - 2.0)) ** 0.5
    belief = (noise / EXPONENT_SPREAD) ** 2
    exponent = np.clip((product + EXPONENT * belief) / (square + belief), 0.0, MAX_EXPONENT)
    return exponent, _median(value - exponent[:, None] * size)


def _weighted_line(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Weighted means of x and y, and the slope of the least-squares line through them; 0 where x is constant."""
    total = weights.sum(axis=1)
    middle, level = (weights * x).sum(axis=1) / total, (weights * y).sum(axis=1) / total
    centred = x - middle[:, None]
    held = weights * centred
    square, product = (held * centred).sum(axis=1), (held * (y - level[:, None])).sum(axis=1)
    return middle, level, np.divide(product, square, out=np.zeros_like(square), where=square > 0.0)


def _near_power(asked: Floats, size: Floats, value: Floats, weights: Floats) -> Floats:
    middle, level, slope = _weighted_line(size, value, weights)
    slope = np.clip(slope, 0.0, MAX_EXPONENT)
    return np.asarray(level + slope * (asked - middle))


def _nearness(queries: Floats, x: Floats, span: float) -> Floats:
    """Weights of the nearest runs for each query. Ties are included, or the order of equal inputs would decide."""
    n = x.shape[1]
    neighbours = min(n, max(MIN_NEIGHBOURS, round(span * n)))
    # Beyond the observed inputs all neighbours lie on one side; distance then counts from the edge.
    held = np.minimum(np.maximum(queries, x[:, 0]), x[:, -1])
    distance = np.abs(x - held[:, None])
    reach = np.partition(distance, neighbours - 1, axis=1)[:, neighbours - 1 : neighbours]
    near = distance <= reach
    share = np.divide(distance, reach * 1.01, out=np.zeros_like(distance), where=near & (reach > 0.0))
    return np.asarray(np.where(near, (1.0 - share**3) ** 3, 0.0))


def _median(values: Floats) -> Floats:
    """Median of each row; NumPy's takes three times as long because it checks for NaN."""
    ordered = np.sort(values, axis=1)
    n = values.shape[1]
    return np.asarray((ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / 2.0)


def _weighted_median(y: Floats, weights: Floats) -> Floats:
    rows = np.arange(y.shape[0])
    order = np.argsort(y, axis=1)
    running = np.cumsum(weights[rows[:, None], order], axis=1)
    place = (running >= running[:, -1:] / 2.0).argmax(axis=1)
    return np.asarray(y[rows, order[rows, place]])


def _smallest(x: Floats) -> Floats:
    """The least positive input of each row; 1 where there is none."""
    least = np.where(x > 0.0, x, np.inf).min(axis=1)
    return np.where(np.isfinite(least), least, 1.0)
