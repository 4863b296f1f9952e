"""A small robust smoother: from a handful of runs to the expected value, and its spread, for a run of another shape.

Makespans grow with pods, machines and data along unknown curves, runs are few, and occasionally one takes twice as long for
reasons of its own. Gaussian process regression (Rasmussen and Williams, 2006) with a local linear trend plus a smooth
remainder needs no formula and quantifies its uncertainty; how smooth, the runs say by themselves (predictions are averaged
by their marginal likelihood, section 5.4.1). Huber weights (1964), applied iteratively, keep single outliers from bending
the curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from concertmaster.core import arrays as np

# All in natural logarithms. They describe runs in general and are not fitted to any workflow.
SLOPE = 0.5  # exponents of growth: doubling a feature rarely more than doubles the makespan
CURVE = 0.3  # deviation from a power law
CURVES = (0.1, CURVE, 0.5)  # of which the runs say by themselves how far each is right
REACH = 1.0  # a run is informative for runs up to about e times its size
NOISE = 0.1  # spread of runs of the same shape
HUBER = 1.345  # usual tuning: 95% efficiency without outliers
ITERATIONS = 8


@dataclass(frozen=True, slots=True)
class Smoothed:
    """Expected value at the requested point and standard deviation of a new observation there."""

    mean: float
    deviation: float


class _Fit(NamedTuple):
    """Mean and variance (logs) of a new observation, and the logarithm of the runs' likelihood, up to a constant."""

    mean: float
    variance: float
    evidence: float


def smooth(points: Sequence[Sequence[float]], values: Sequence[float], at: Sequence[float], level: float) -> Smoothed:
    """Prediction at ``at`` from ``values`` (logs, relative to a prior) observed at ``points`` (logs), shape (n, k).

    ``level``: prior standard deviation (log) of the common offset of all values from the prior. Rows with non-finite
    entries are left out; without rows the prior is returned: 0 with its full spread.
    """
    x = np.asarray(points, dtype=float).reshape(len(values), len(at)) - np.asarray(at, dtype=float)
    y = np.asarray(values, dtype=float)
    good = np.isfinite(y) & np.isfinite(x).all(axis=1)
    x, y = x[good], y[good]
    if not len(y):
        return Smoothed(0.0, math.sqrt(level**2 + CURVE**2 + NOISE**2))
    # Runs of one shape share a row and a column of the prior: the system has the size of the shapes, usually a handful.
    shapes, shape_of = different(x)
    line = level**2 + SLOPE**2 * (shapes @ shapes.T)
    near = np.exp(-0.5 * ((shapes[:, None, :] - shapes[None, :, :]) ** 2).sum(axis=-1) / REACH**2)
    to_target = np.exp(-0.5 * (shapes**2).sum(axis=1) / REACH**2)
    curves = CURVES if len(shapes) > 1 else (CURVE,)  # one shape says nothing of how others differ
    fits = [_fit(y, shape_of, line + c**2 * near, level**2 + c**2 * to_target, level**2 + c**2) for c in curves]
    most = max(fit.evidence for fit in fits)
    weights = [math.exp(fit.evidence - most) for fit in fits]
    total = sum(weights)
    mean = sum(w * fit.mean for w, fit in zip(weights, fits, strict=True)) / total
    spread = sum(w * (fit.variance + (fit.mean - mean) ** 2) for w, fit in zip(weights, fits, strict=True)) / total
    return Smoothed(mean, math.sqrt(spread))


def _fit(y: np.ndarray, shape_of: np.ndarray, prior: np.ndarray, cross: np.ndarray, own: float) -> _Fit:
    """The prediction under one ``prior`` covariance of the shapes; ``cross``: of them with the target, whose variance is
    ``own``."""
    noise = np.full(len(y), NOISE**2)
    for _ in range(ITERATIONS):
        sure, mean = _together(y, noise, shape_of)
        fitted = prior @ np.linalg.solve(prior + np.diag(1.0 / sure), mean)
        again = NOISE**2 * np.maximum(1.0, np.abs(y - fitted[shape_of]) / NOISE / HUBER)
        if np.array_equal(again, noise):  # as where nothing is an outlier: further iterations would repeat this one
            break
        noise = again
    sure, mean = _together(y, noise, shape_of)
    inverse = np.linalg.inv(prior + np.diag(1.0 / sure))
    left = np.diagonal(prior) - ((prior @ inverse) * prior).sum(axis=1)  # variance of a shape's value, given the runs
    variance = max(own - float(cross @ inverse @ cross), 0.0) + NOISE**2
    weights = (y - (prior @ (inverse @ mean))[shape_of]) / noise
    known = (1.0 - left[shape_of] / noise) / noise
    within = float((np.log(noise) + (y - mean[shape_of]) ** 2 / noise).sum() + np.log(sure).sum())
    between = float(mean @ inverse @ mean) - float(np.linalg.slogdet(inverse)[1])
    return _Fit(
        float(cross @ (inverse @ mean)), variance * _surprise(known, weights, noise) ** 2, -0.5 * (within + between)
    )


def different(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows, in order, and which of them each row is. NumPy's own takes ten times as long for few rows."""
    rows = [tuple(row) for row in x.tolist()]
    ordered = sorted(set(rows))
    place = {row: k for k, row in enumerate(ordered)}
    return np.array(ordered), np.array([place[row] for row in rows])


def _together(y: np.ndarray, noise: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The runs of each shape combined: the inverse of their common variance, and their weighted mean."""
    sure = np.bincount(of, 1.0 / noise)
    return sure, np.bincount(of, y / noise) / sure


def _surprise(known: np.ndarray, weights: np.ndarray, noise: np.ndarray) -> float:
    """Ratio of actual to expected leave-one-out errors (at least 1).

    Leave-one-out residuals have a closed form in the inverse of the runs' covariance, of which ``known`` is the diagonal
    and ``weights`` its product with the values (Rasmussen and Williams, section 5.4.2). Outliers count here: they do not
    bend the curve, but the next run may be one.
    """
    expected = np.maximum(1.0 / known - noise, 0.0) + NOISE**2
    return max(1.0, math.sqrt(float(np.mean((weights / known) ** 2 / expected))))
