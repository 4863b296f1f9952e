"""What is left of an increase without what chance added to it, as only clear ones are reported."""

from __future__ import annotations

import math

from concertmaster.core.changepoint.clear import CLEAR_Z, SIGNIFICANCE
from concertmaster.core.model import Interval
from concertmaster.core.stats.quantiles import normal_quantile
from concertmaster.core.stats.selection_bias import corrected_for_selection


def true_factor(chance: float, ratio: float, low: float, high: float) -> Interval:
    """The factor of an increase that is reported because it ``is_clear``, without what chance added to it."""
    logs = Interval(*(math.log(max(r, 1e-9)) for r in (low, ratio, min(high, 1e9))))
    # The smallest increase that would be clear: p-values of ranks hardly fall any more where there are few runs.
    by_chance = logs.likely * _deviations(SIGNIFICANCE) / max(_deviations(chance), _deviations(SIGNIFICANCE))
    by_size = CLEAR_Z * (logs.likely - logs.low) / 1.96
    truly = corrected_for_selection(logs, min(by_chance, by_size, logs.likely))
    return Interval(math.exp(truly.low), math.exp(truly.likely), math.exp(truly.high))


def _deviations(chance: float) -> float:
    """Standard deviations whose two-sided p-value is ``chance``."""
    return -normal_quantile(max(chance, 1e-16) / 2.0)


def share_of_present(truly: Interval) -> Interval:
    """The share (0 to 1) of the present time that a factor adds."""
    return Interval(*(max(0.0, 1.0 - 1.0 / max(1.0, r)) for r in (truly.low, truly.likely, truly.high)))
