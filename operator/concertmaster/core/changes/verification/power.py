"""Power of a verification: how reliably a slowdown is detected, given the variation of a workflow's runs.

The limit of any test: with n runs before and m after, the difference of the mean logs has the standard error
s * sqrt(1 / n + 1 / m), s being the standard deviation of log durations at equal input size. The last test of
``stats.comparison.watch`` detects it beyond the critical value, so the power is that of a shifted Student's t (two-sample
test, e.g. Cohen, Statistical Power Analysis, 1988; here in normal approximation). Huber's bound costs a tenth of the
information.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.stats.comparison import LAST_LEVEL, MIN_RUNS
from concertmaster.core.stats.quantiles import normal_quantile
from concertmaster.core.stats.shift import residuals
from concertmaster.core.text import percent

SLOWDOWN = 0.20  # the degradation that a verification must detect
TOLERATED_SLOWDOWN = 0.02  # a change is called slower only when it significantly exceeds this; a saving accepts less
POWER = 0.90  # required probability of detection
EFFICIENCY = 0.90  # of bounded residuals under normal noise
_SHIFT = math.log((1.0 + SLOWDOWN) / (1.0 + TOLERATED_SLOWDOWN))
_Z = normal_quantile(1.0 - LAST_LEVEL / 2.0)
_MAX_RUNS = 1000  # runs after a change; larger numbers are not reported

Between = Callable[[int, int], float]
"""Standard error of the shift, by the numbers of runs before and after, beyond that of independent runs."""


def _alike(before: int, after: int) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """Power of a verification with at most ``most`` runs. ``noise``: standard deviation of log durations at equal input
    size; ``power``: probability of detecting SLOWDOWN; ``needed``: runs after the change required for POWER, more than
    ``most`` if that is not enough (None: no number of runs suffices with so few before). ``dependent``: runs that follow
    each other have something in common."""

    noise: float
    before: int
    most: int
    power: float
    needed: int | None
    dependent: bool = False

    @property
    def enough(self) -> bool:
        """Whether a verification would reliably detect the slowdown."""
        return self.power >= POWER

    def warns(self) -> str | None:
        """A warning for people when a verification may miss the slowdown; None otherwise."""
        if self.enough:
            return None
        alike = ", and those that follow each other are alike" if self.dependent else ""
        runs = f"runs vary by {percent(self.noise)}{alike}, so that {self.most} runs after the change (verify.maxRuns)"
        chance = f"{runs} would show a slowdown of {percent(SLOWDOWN)} in {percent(self.power)} of the cases"
        if self.needed is not None:
            return f"{chance}; {percent(POWER)} takes {self.needed}"
        return f"{chance}, and with only {self.before} before it no number of runs is sure to"


def outlook(seconds: Sequence[float], sizes: Sequence[float], most: int, between: Between = _alike) -> Outlook | None:
    """Power for a change after runs of ``seconds`` (positive) on inputs of ``sizes``; None with too few runs."""
    if len(seconds) < MIN_RUNS:
        return None
    noise, before = spread(seconds, sizes), len(seconds)
    detected = power(noise, before, most, between=between)
    # Where days differ, runs of the same day may tell more than twice as many of two: fewer than most are no answer then.
    least = MIN_RUNS if detected >= POWER else most
    return Outlook(noise, before, most, detected, needed(noise, before, between, least), between(before, most) > 0.0)


def spread(seconds: Sequence[float], sizes: Sequence[float]) -> float:
    """Standard deviation of ``unexplained`` log durations."""
    kept = unexplained(seconds, sizes)
    parameters = 2 if _varies(sizes) else 1
    return math.sqrt(float(kept @ kept) / max(1, kept.size - parameters))


def unexplained(seconds: Sequence[float], sizes: Sequence[float]) -> Floats:
    """Log durations around their regression on log sizes (if all are positive), with bounded outliers."""
    y = np.log(np.asarray(seconds, dtype=float))
    x = np.log(np.asarray(sizes, dtype=float)) if _varies(sizes) else None
    rest = residuals(y, None if x is None else x - float(x.mean()))
    size = np.abs(rest)
    # When most runs take the same time the median ignores the others: the mean absolute residual is a lower bound of the
    # scale. Under normal noise it is 0.8 standard deviations and has no effect, and a few stuck runs hardly change it.
    bound = 2.5 * max(1.4826 * float(np.median(size)), float(np.mean(size)))
    return np.clip(rest, -bound, bound)


def _varies(sizes: Sequence[float]) -> bool:
    return all(s > 0 for s in sizes) and float(np.log(np.asarray(sizes, dtype=float)).std()) > 1e-9


def power(noise: float, before: int, after: int, shift: float = _SHIFT, between: Between = _alike) -> float:
    """Probability (0 to 1) that the last test detects a true ``shift`` of the mean log duration."""
    if before < MIN_RUNS or after < MIN_RUNS:
        return 0.0
    if noise <= 0:
        return 1.0
    error = math.hypot(noise * math.sqrt((1.0 / before + 1.0 / after) / EFFICIENCY), between(before, after))
    critical = _Z + (_Z**3 + _Z) / (4.0 * (before + after - 2))  # Student's quantile, to its first order in 1 / degrees
    return 0.5 * math.erfc((critical - shift / error) / math.sqrt(2.0))


def needed(noise: float, before: int, between: Between = _alike, least: int = MIN_RUNS) -> int | None:
    """The fewest runs after a change, ``least`` or more, that detect the slowdown with POWER; None when no number does."""
    if power(noise, before, _MAX_RUNS, between=between) < POWER:
        return None
    return least + bisect_left(
        range(least, _MAX_RUNS), True, key=lambda after: power(noise, before, after, between=between) >= POWER
    )
