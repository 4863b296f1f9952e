"""Least squares: the slope of a line with its standard error, and what a parabola leaves unexplained."""

from __future__ import annotations

import math
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats

ROUNDING = 1e-9  # relative to a variance


class Slope(NamedTuple):
    """Of y per x: ``value`` and its standard ``error``; ``correlation`` of both (-1 to 1). All 0 when either is constant."""

    value: float
    error: float
    correlation: float


def slope(x: Floats, y: Floats) -> Slope:
    """The slope of y over x (at least three pairs)."""
    dx, dy = x - np.add.reduce(x) / x.size, y - np.add.reduce(y) / y.size
    xx, yy, xy = float(dx @ dx), float(dy @ dy), float(dx @ dy)
    if xx <= 0.0 or yy <= 0.0:
        return Slope(0.0, 0.0, 0.0)
    value = xy / xx
    return Slope(value, math.sqrt(max(0.0, yy - value * xy) / xx / (x.size - 2.0)), xy / math.sqrt(xx * yy))


def beside_parabola(x: Floats, y: Floats) -> Floats:
    """Residuals of y around its least-squares parabola over x; around a line or the mean where x has fewer values."""
    n = x.size
    dx, rest = x - np.add.reduce(x) / n, y - np.add.reduce(y) / n
    square = dx * dx
    xx = float(dx @ dx)
    bend = square - xx / n
    if xx > 0.0:
        bend -= float(bend @ dx) / xx * dx
        rest -= float(rest @ dx) / xx * dx
    curved = float(bend @ bend)
    if curved > ROUNDING * float(square @ square):
        rest -= float(bend @ rest) / curved * bend
    return np.asarray(rest)
