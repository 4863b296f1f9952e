"""Changes of slope in a drifting series: one straight line against two."""

from __future__ import annotations

import math

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint.scores import MIN_SEGMENT

PARAMETERS = 3  # a break adds a slope, a level and its own position


def best_break(values: Floats) -> tuple[int, float]:
    """Best position of a break between two lines in ``values`` (shape (n,), n >= 2 * MIN_SEGMENT), and the weight of the
    hypothesis that there is none.

    Two lines are compared with one by the Bayesian information criterion (Schwarz 1978) with three additional parameters.
    Correlated values count for less: n * (1 - r) / (1 + r), where r is the correlation of neighbouring residuals of the two
    lines (Bayley, Hammersley 1946).
    """
    n = values.size
    x = np.arange(n, dtype=np.float64) - (n - 1) / 2.0
    y = values - float(values.mean())
    sums = np.cumsum(np.stack([np.ones(n), x, x * x, y, x * y, y * y]), axis=1)
    k = np.arange(MIN_SEGMENT, n - MIN_SEGMENT + 1)
    left = sums[:, k - 1]
    unexplained = _residual_squares(left) + _residual_squares(sums[:, -1:] - left)
    place = int(np.argmin(unexplained))
    index = int(k[place])
    residuals = np.concatenate([_residuals(x[:index], y[:index]), _residuals(x[index:], y[index:])])
    one, two = float(np.sum(_residuals(x, y) ** 2)), float(np.sum(residuals**2))
    noise = 1e-18 * float(np.sum(y * y))
    if one <= noise:
        return index, 1.0
    correlation = float(residuals[1:] @ residuals[:-1]) / two if two > noise else 0.0
    correlation = min(0.99, max(0.0, correlation))
    counted = n * (1.0 - correlation) / (1.0 + correlation)
    evidence = counted * math.log(one / max(two, noise)) - PARAMETERS * math.log(n)
    return index, 1.0 / (1.0 + math.exp(min(700.0, evidence / 2.0)))


def _residual_squares(sums: Floats) -> Floats:
    """Residual sum of squares of a least-squares line; ``sums`` holds n, x, xx, y, xy, yy in rows."""
    n, x, xx, y, xy, yy = sums
    across = xx - x * x / n
    together = xy - x * y / n
    return np.asarray(np.maximum(0.0, yy - y * y / n - together * together / across), dtype=np.float64)


def _residuals(x: Floats, y: Floats) -> Floats:
    across = x - float(x.mean())
    up = y - float(y.mean())
    return up - across * float(across @ up) / float(across @ across)
