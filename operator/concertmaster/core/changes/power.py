"""Can a verification tell at all? How surely a slowdown is caught, given how much a workflow's runs vary by themselves.

The limit of any test: of n runs before and m after, the difference of the mean logs has the standard error
s * sqrt(1 / n + 1 / m), s being the spread of the log durations at equal input size. The last look of ``verdict.watch``
calls it when it passes the critical value, so the chance is that of a shifted Student's t (two-sample test, e.g. Cohen,
Statistical Power Analysis, 1988; here in its normal approximation). Huber's bound costs a tenth of the information.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from concertmaster.core.stats.comparison import LAST_LEVEL, MIN_RUNS
from concertmaster.core.stats.quantiles import normal_quantile
from concertmaster.core.stats.shift import residuals
from concertmaster.core.text import percent

SLOWDOWN = 0.20  # the degradation that a verification must not miss
TOLERATED = 0.02  # a change is only called slower when it surely costs more than this; less is the price of a saving
POWER = 0.90  # in this share of all cases
EFFICIENCY = 0.90  # of the bounded residuals on normal noise
_SHIFT = math.log((1.0 + SLOWDOWN) / (1.0 + TOLERATED))
_Z = normal_quantile(1.0 - LAST_LEVEL / 2.0)
_MOST = 1000  # runs after a change; more is not worth a number


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a verification of at most ``most`` runs can tell. ``noise`` is the standard deviation of log durations at equal
    input size, ``power`` the chance to catch SLOWDOWN, ``needed`` the runs after the change that POWER takes (None: no
    number of runs would do with so few before)."""

    noise: float
    before: int
    most: int
    power: float
    needed: int | None

    @property
    def enough(self) -> bool:
        """Whether a verification would very likely see the slowdown."""
        return self.needed is not None and self.needed <= self.most

    def warns(self) -> str | None:
        """A sentence for a person when a verification could well miss the slowdown; None when it would not."""
        if self.enough:
            return None
        runs = f"runs vary by {percent(self.noise)}, so that {self.most} runs after the change (verify.maxRuns)"
        chance = f"{runs} would show a slowdown of {percent(SLOWDOWN)} in {percent(self.power)} of the cases"
        if self.needed is not None:
            return f"{chance}; {percent(POWER)} takes {self.needed}"
        return f"{chance}, and with only {self.before} before it no number of runs is sure to"


def outlook(seconds: Sequence[float], sizes: Sequence[float], most: int) -> Outlook | None:
    """The outlook of a change made after runs of ``seconds`` (positive) on inputs of ``sizes``; None with too few."""
    if len(seconds) < MIN_RUNS:
        return None
    noise, before = spread(seconds, sizes), len(seconds)
    return Outlook(noise, before, most, power(noise, before, most), needed(noise, before))


def spread(seconds: Sequence[float], sizes: Sequence[float]) -> float:
    """Standard deviation of log durations around their line over the log sizes (where all are positive), outliers
    bounded."""
    y = np.log(np.asarray(seconds, dtype=float))
    x = np.log(np.asarray(sizes, dtype=float)) if all(s > 0 for s in sizes) else np.zeros(y.size)
    varies = float(x.std()) > 1e-9
    rest = residuals(y, x - float(x.mean()) if varies else None)
    parameters = 2 if varies else 1
    size = np.abs(rest)
    # Where most runs take the same time the median says nothing of the others: the mean is the least the scale can be.
    # On normal noise it is 0.8 standard deviations and binds nothing, and a few stuck runs hardly move it.
    bound = 2.5 * max(1.4826 * float(np.median(size)), float(np.mean(size)))
    kept = np.clip(rest, -bound, bound)
    return math.sqrt(float(kept @ kept) / max(1, y.size - parameters))


def power(noise: float, before: int, after: int, shift: float = _SHIFT) -> float:
    """The chance that the last look calls a true ``shift`` of the mean log duration, 0 to 1."""
    if before < MIN_RUNS or after < MIN_RUNS:
        return 0.0
    if noise <= 0:
        return 1.0
    error = noise * math.sqrt((1.0 / before + 1.0 / after) / EFFICIENCY)
    critical = _Z + (_Z**3 + _Z) / (4.0 * (before + after - 2))  # Student's quantile, to its first order in 1 / degrees
    return 0.5 * math.erfc((critical - shift / error) / math.sqrt(2.0))


def needed(noise: float, before: int, shift: float = _SHIFT) -> int | None:
    """The fewest runs after a change that catch the slowdown with POWER; None when none do."""
    if power(noise, before, _MOST, shift) < POWER:
        return None
    return MIN_RUNS + bisect_left(
        range(MIN_RUNS, _MOST), True, key=lambda after: power(noise, before, after, shift) >= POWER
    )
