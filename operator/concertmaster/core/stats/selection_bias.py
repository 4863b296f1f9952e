"""Estimates that are known only because they were large enough to be noticed.

Where one barely is, noise has mostly added to it: it lies above the truth on average (regression to the mean, the winner's
curse). The remedy is the likelihood given that it was noticed (Zhong, Prentice, Biostatistics 9(4), 2008; Weinstein,
Fithian, Benjamini, JASA 108(501), 2013), which leaves estimates alone that would have been noticed anyway.
"""

from __future__ import annotations

import math

from concertmaster.core.model import Interval
from concertmaster.core.stats.quantiles import normal_cdf, normal_density

_Z = 1.96  # standard errors from the estimate to each end of its interval
# What decides whether a change is noticed (ranks, the fit) agrees with its estimate to about one standard error, so that the
# threshold is as blurred as that: the difference of both has this standard deviation.
_BLUR = math.sqrt(2.0)


def corrected_for_selection(estimate: Interval, least: float) -> Interval:
    """A positive ``estimate`` with its 95% interval, given that below about ``least`` (same unit) it would
    not have been noticed. The likely value is the most likely one, at least 0; the interval may span it."""
    error = (estimate.likely - estimate.low) / _Z
    if not (error > 0.0 and math.isfinite(error) and estimate.likely > 0.0):
        return estimate
    likely = error * _most_likely(estimate.likely / error, least / error)
    wider = 1.0 / math.sqrt(_information(likely / error, least / error))
    up = estimate.high - estimate.likely
    return Interval(likely - wider * (estimate.likely - estimate.low), likely, likely + wider * up)


def _most_likely(found: float, least: float) -> float:
    """The effect, 0 or more, whose estimates have a mean of ``found`` if noticed (in standard errors): the most likely one,
    as the density is of an exponential family."""
    low, high = 0.0, found
    if _rise(low, least) >= found:
        return low
    while high - low > 1e-6 * found:
        middle = (low + high) / 2.0
        if middle + _rise(middle, least) < found:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _rise(effect: float, least: float) -> float:
    """By how much estimates of ``effect`` that are noticed lie above it on average."""
    return _hazard((effect - least) / _BLUR) / _BLUR


def _information(effect: float, least: float) -> float:
    """The variance of estimates that are noticed, as a share of that of all (0.5 to 1)."""
    z = (effect - least) / _BLUR
    hazard = _hazard(z)
    return 1.0 - hazard * (hazard + z) / _BLUR**2


def _hazard(z: float) -> float:
    """Density over distribution function of the standard normal distribution (inverse Mills ratio); -z far below 0."""
    below = normal_cdf(z) if z > -30.0 else 0.0
    return normal_density(z) / below if below > 0.0 else -z
