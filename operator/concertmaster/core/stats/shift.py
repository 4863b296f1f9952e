"""Robust difference between two groups, adjusted for a covariate: the basis of before/after verdicts.

Model: y = level + shift * group + slope * covariate + noise. Outliers are bounded by Huber's function; the shift is tested
by a score test, that is, with the residuals of the model *without* the shift under test. Unlike intervals from estimated
standard errors this keeps its level with eight values per side (He, Shao, Ann. Stat. 24, 1996; Markatou, Ronchetti,
Handbook of Statistics 15, 1997), and with a large bound it is exactly the classical analysis of covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.stats.robust import array_median

BOUND = 1.0  # robust standard deviations at which residuals are bounded; 90% efficient on normal noise (Huber 1964)


@dataclass(frozen=True, slots=True)
class GroupShift:
    """Two groups prepared for testing, or amounts of what may shift the values.

    ``y``, ``group`` (0 or 1, or the amount) and ``covariate`` (centred, or None) have shape (n,). ``degrees``: n minus the
    number of parameters; ``information``: sum of squares of the group indicator not explained by the covariate. ``grain``:
    see ``_grain``.
    """

    y: Floats
    group: Floats
    covariate: Floats | None
    degrees: int
    information: float
    grain: float

    def t(self, shift: float = 0.0) -> float:
        """Score statistic of the hypothesis that the second group lies ``shift`` above the first: Student's t with
        ``degrees`` degrees of freedom if true, positive if the difference is larger. Decreases in ``shift``."""
        bounded, weights = _bounded_residuals(self.y - shift * self.group, self.covariate, self.grain)
        group = self.group - _line(self.group, self.covariate, weights)
        scale = float(group @ group) * float(bounded @ bounded)
        if scale <= 0:
            return 0.0
        r = float(group @ bounded) / math.sqrt(scale)
        return r * math.sqrt(self.degrees / max(1.0 - r * r, 1e-12))

    def solve(self, target: float, near: float | None = None) -> float:
        """The shift at which ``t`` equals ``target``, searched outwards from ``near``; infinite when no shift reaches
        it.
        """
        start = (
            near if near is not None else array_median(self.y[self.group == 1]) - array_median(self.y[self.group == 0])
        )
        value = self.t(start) - target
        if value == 0:
            return start
        # t decreases in the shift: a positive value means the solution lies above the start.
        reach = 10.0 * float(np.ptp(self.y)) / (float(np.max(self.group)) or 1.0) + 1e-9
        sign = 1.0 if value > 0 else -1.0
        inner, inner_value, step = start, value, self._typical_error()
        while True:
            outer = start + sign * min(step, reach)
            outer_value = self.t(outer) - target
            if outer_value * value <= 0:
                break
            if step >= reach:
                return sign * math.inf
            inner, inner_value, step = outer, outer_value, step * 3.0
        return self._between(target, inner, inner_value, outer, outer_value)

    def _typical_error(self) -> float:
        residuals = self.y - _line(self.y, self.covariate, np.ones(self.y.size))
        spread = 1.4826 * array_median(np.abs(residuals))
        return max(spread / math.sqrt(max(self.information, 1e-9)), 1e-9 * float(np.ptp(self.y)), 1e-12)

    def _between(self, target: float, a: float, at_a: float, b: float, at_b: float) -> float:
        """Root between a and b by the Illinois variant of false position: as safe as bisection, with fewer evaluations."""
        close = 1e-4 * self._typical_error()
        side = 0
        for _ in range(40):
            if abs(b - a) <= close or at_a == at_b:
                break
            c = (a * at_b - b * at_a) / (at_b - at_a)
            at_c = self.t(c) - target
            if at_c == 0:
                return c
            if at_c * at_b > 0:
                moved = abs(c - b)
                b, at_b = c, at_c
                at_a = at_a / 2 if side == 1 else at_a
                side = 1
            else:
                moved = abs(c - a)
                a, at_a = c, at_c
                at_b = at_b / 2 if side == -1 else at_b
                side = -1
            if moved <= close:
                return c
        return (a + b) / 2


def group_shift(before: Floats, after: Floats, covariates: tuple[Floats, Floats] | None = None) -> GroupShift:
    """Prepares the comparison of finite ``before`` (shape (n,)) and ``after`` (m,), with covariates of the same shapes.

    A constant covariate is ignored.
    """
    group = np.concatenate([np.zeros(before.size), np.ones(after.size)])
    return amount_shift(
        np.concatenate([before, after]), group, np.concatenate(covariates) if covariates is not None else None
    )


def amount_shift(y: Floats, group: Floats, covariate: Floats | None = None) -> GroupShift:
    """Prepares the test of a shift of ``y`` by unit of an amount, ``group``; all finite, of shape (n,). A constant covariate
    is ignored; ``solve`` needs a value to begin with."""
    if covariate is not None:
        covariate = covariate - float(covariate.mean())
        if float(covariate.std()) <= 1e-9:
            covariate = None
    rest = group - _line(group, covariate, np.ones(y.size))
    degrees = y.size - (2 if covariate is None else 3)
    return GroupShift(y, group, covariate, max(degrees, 1), float(rest @ rest), _grain(y))


def residuals(y: Floats, x: Floats | None) -> Floats:
    """Residuals of the robust line of y over x (of a constant without x)."""
    _, weights = _bounded_residuals(y, x, _grain(y))
    return y - _line(y, x, weights)


def _grain(y: Floats) -> float:
    """Half the distance from the median to the next value, which a clock may have rounded away: where most values are equal,
    a smaller shift would separate them completely."""
    values = np.unique(y)
    at = int(np.searchsorted(values, array_median(y)))
    return 0.5 * float(np.diff(values)[max(0, at - 1) : at + 1].min()) if values.size > 1 else 0.0


def _bounded_residuals(y: Floats, x: Floats | None, grain: float) -> tuple[Floats, Floats]:
    """Bounded residuals of y over x in robust standard deviations, at least ``grain``, and the weights of the fit."""
    weights = np.ones(y.size)
    residuals = y - _line(y, x, weights)
    for _ in range(6):  # least absolute deviations, a starting point robust to outliers
        size = np.abs(residuals)
        typical = array_median(size)
        if typical <= 0:
            break
        weights = 1.0 / np.maximum(size, 1e-3 * typical)
        residuals = y - _line(y, x, weights)
    parameters = 1 if x is None else 2
    scale = 1.4826 * array_median(np.sort(np.abs(residuals))[parameters:])
    scale = max(scale, grain, 1e-9)
    for _ in range(30):
        weights = np.minimum(1.0, BOUND * scale / np.maximum(np.abs(residuals), 1e-300))
        refined = y - _line(y, x, weights)
        moved = float(np.max(np.abs(refined - residuals)))
        residuals = refined
        if moved < 1e-4 * scale:
            break
    return np.clip(residuals / scale, -BOUND, BOUND), weights


def _line(y: Floats, x: Floats | None, weights: Floats) -> Floats:
    """Fitted values of the weighted least-squares line of y over x (a constant without x)."""
    total = float(weights.sum())
    level = float(weights @ y) / total
    if x is None:
        return np.full(y.size, level)
    across = x - float(weights @ x) / total
    spread = float(weights @ (across * across))
    slope = float(weights @ (across * (y - level))) / spread if spread > 1e-300 else 0.0
    return level + slope * across
