"""A timeout no healthy run reaches: an upper tolerance bound of the run time.

Run times are right-skewed, their logarithms much less so. The bound covers a share of future runs with a given confidence
(one-sided normal tolerance limit on log durations; approximation of the factor: M. G. Natrella, Experimental Statistics,
NBS Handbook 91, 1963), is never below the longest run observed, and gets headroom on top.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from concertmaster.core import arrays as np
from concertmaster.core.stats.quantiles import normal_quantile

_MIN_EXECUTIONS = 10  # executions
_COVERAGE = 0.99  # share of future runs
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class RecommendedTimeout:
    """``seconds`` to set, None with a ``reason`` when too little is known. ``bound``: the tolerance bound without headroom;
    ``longest``: the longest run observed; seconds."""

    seconds: float | None
    bound: float | None
    longest: float | None
    runs: int
    reason: str


@lru_cache(1024)
def tolerance_factor(count: int) -> float:
    """Factor k so that mean + k * standard deviation of ``count`` normal values (ten or more) covers the share of later ones
    with that confidence."""
    z_coverage, z_confidence = normal_quantile(_COVERAGE), normal_quantile(_CONFIDENCE)
    a = 1.0 - z_confidence**2 / (2.0 * (count - 1))
    b = z_coverage**2 - z_confidence**2 / count
    return (z_coverage + math.sqrt(z_coverage**2 - a * b)) / a


def round_up(seconds: float) -> float:
    """``seconds`` rounded up to a common value: 5 s steps below 1 min, 30 s below 10 min, 1 min below 1 h, then 15 min."""
    for limit, step in ((60.0, 5.0), (600.0, 30.0), (3600.0, 60.0)):
        if seconds <= limit:
            return math.ceil(seconds / step - 1e-9) * step
    return math.ceil(seconds / 900.0 - 1e-9) * 900.0


def recommended_timeout(durations: Sequence[float], *, headroom: float, earlier: float = 0.0) -> RecommendedTimeout:
    """Timeout from run times (s) of succeeded executions; non-finite and non-positive values are ignored. ``earlier``: the
    longest before them."""
    values = np.asarray(durations, dtype=np.float64).ravel()
    values = values[np.isfinite(values) & (values > 0.0)]
    if values.size < _MIN_EXECUTIONS:
        return RecommendedTimeout(
            None, None, None, int(values.size), f"{values.size} executions, {_MIN_EXECUTIONS} are needed"
        )
    longest = max(float(values.max()), earlier)
    logs = np.log(values)
    bound = max(longest, float(np.exp(logs.mean() + tolerance_factor(int(values.size)) * logs.std(ddof=1))))
    return RecommendedTimeout(
        round_up(bound * (1.0 + headroom)),
        bound,
        longest,
        int(values.size),
        f"covers {100 * _COVERAGE:.0f}% of runs with {100 * _CONFIDENCE:.0f}% confidence, plus {100 * headroom:.0f}%",
    )
