"""Run time and memory of a step over its input size: what a bigger or smaller input will cost.

Runs at hand often process smaller inputs than those to come, so the model has to extrapolate: it is deliberately stiff
(a line that never falls), weighted towards the larger inputs, and says when the input explains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class InputRelation:
    """y = max(floor, intercept + slope * x): seconds or bytes over input bytes.

    ``enough``: False when too few usable points exist; the prediction is then a constant, or NaN without any point.
    ``explained``: True when the input size explains y (slope above zero). ``spread``: typical relative error seen, 0 to 1.
    ``count``: usable points. ``largest_input``: largest input seen, bytes.
    """

    intercept: float
    slope: float
    floor: float
    enough: bool
    explained: bool
    reason: str
    spread: float | None = None
    count: int = 0
    largest_input: float | None = None

    def predict(self, inputs: Sequence[float] | Floats) -> Floats:
        """y per input (bytes), same shape. Inputs that are not finite give the value at the typical input: the floor."""
        x = np.asarray(inputs, dtype=np.float64)
        line = self.intercept + self.slope * np.where(np.isfinite(x), x, 0.0)
        return np.asarray(np.maximum(line, self.floor), dtype=np.float64)


def fit_runtime(inputs: Sequence[float] | Floats, seconds: Sequence[float] | Floats) -> InputRelation:
    """Run time (s) over input size (bytes), one pair per execution. Never raises."""
    return _fit(inputs, seconds)


def fit_memory(inputs: Sequence[float] | Floats, peaks: Sequence[float] | Floats) -> InputRelation:
    """Peak memory (bytes) over input size (bytes), one pair per execution. Never raises."""
    return _fit(inputs, peaks)


def _fit(inputs: Sequence[float] | Floats, values: Sequence[float] | Floats) -> InputRelation:
    x = np.asarray(inputs, dtype=np.float64).ravel()
    y = np.asarray(values, dtype=np.float64).ravel()
    if x.size != y.size:
        return InputRelation(np.nan, 0.0, np.nan, False, False, "inputs and values have different lengths")
    good = np.isfinite(x) & np.isfinite(y) & (x >= 0.0) & (y > 0.0)
    x, y = x[good], y[good]
    if not y.size:
        return InputRelation(np.nan, 0.0, np.nan, False, False, "no usable pair of input size and value")
    if y.size < 3 or x.min() == x.max():
        level = float(np.median(y))
        return InputRelation(
            level,
            0.0,
            level,
            y.size >= 3,
            False,
            "the input size never changes" if y.size >= 3 else "fewer than 3 runs",
            count=int(y.size),
        )
    upper = np.argsort(x, kind="stable")[x.size // 2 :]
    xu, yu = x[upper], y[upper]
    spread_x = float(((xu - xu.mean()) ** 2).sum())
    slope = max(0.0, float(((xu - xu.mean()) * (yu - yu.mean())).sum()) / spread_x) if spread_x > 0.0 else 0.0
    intercept = float(yu.mean() - slope * xu.mean())
    fitted = np.maximum(intercept + slope * x, y.min())
    return InputRelation(
        intercept,
        slope,
        float(y.min()),
        True,
        slope > 0.0,
        "line through the upper half of the inputs",
        spread=float(np.median(np.abs(fitted - y) / y)),
        count=int(y.size),
        largest_input=float(x.max()),
    )
